package execd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/plugin"
)

const (
	patience   = 5 * time.Second // for a program to end by itself when its input has
	mostDelay  = 5 * time.Minute // between the end of a program and its next start
	longEnough = time.Minute     // after which a program counts as one that works
)

// A Runner starts a program again and again: later each time, unless it works for long.
type Runner struct {
	cfg   Config
	env   plugin.Env
	life  context.Context //nolint:containedctx // the instance's own: when it ends, nothing is waited for any more
	spec  child.Spec
	delay time.Duration // until the start after the next end
}

// New returns the runner of the program of cfg. life is the context that New of a plugin is given. Without a command there is nothing
// to do, which the error says.
func New(life context.Context, cfg Config, env plugin.Env) (*Runner, error) {
	if len(cfg.Command) == 0 {
		return nil, fmt.Errorf("command is empty: name a program and its arguments, such as [/usr/local/bin/gpu-shim, --all]: %w", plugin.ErrNoData)
	}
	spec, err := cfg.spec(env.Log)
	return &Runner{cfg: cfg, env: env, life: life, spec: spec, delay: cfg.RestartDelay.Std()}, err
}

// A Program is one that runs.
type Program struct {
	*child.Program
	why error // it was ended for
}

// Condemn ends a program that nobody can go on with.
func (p *Program) Condemn(why error) {
	p.why = why
	p.End()
}

// Run starts the program once. feed gives it its input, until ctx ends, which it does when the program has; read reads what it prints,
// to the end. When Run returns, nothing of the program is left. The error says how it has ended, and when it is to be started again;
// nil that there is no more input for it.
func (r *Runner) Run(ctx context.Context, feed func(ctx context.Context, p *Program) error, read func(p *Program)) error {
	started, err := child.Start(r.spec)
	if err != nil {
		return r.again(err, 0)
	}
	p := &Program{Program: started}
	defer p.Close()
	begun := time.Now()
	r.env.Log.Info("program started", "pid", p.PID())
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		read(p)
	}()
	fed := r.feed(ctx, p, feed)
	p.Stop(r.life, patience)
	<-heard
	if ctx.Err() != nil || fed == nil {
		return nil
	}
	return r.outcome(p, fed, time.Since(begun))
}

// errGone says that a program has ended by itself.
var errGone = errors.New("the program has ended")

// feed has the program fed until it ends. The error is nil where its input has ended before.
func (r *Runner) feed(ctx context.Context, p *Program, feed func(ctx context.Context, p *Program) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-p.Gone():
			cancel(errGone)
		case <-ctx.Done():
		}
	}()
	err := feed(ctx, p)
	if errors.Is(context.Cause(ctx), errGone) { // whatever that has led to
		err = errGone
	}
	cancel(nil)
	<-watched
	return err
}

// reason says why the program has ended.
func (p *Program) reason() error {
	err := p.Ended() // it waits for that
	if p.why != nil {
		err = p.why
	}
	return child.Saying(err, p.LastLine())
}

// outcome says how a program has ended that has run for so long. What goes wrong elsewhere is not its fault.
func (r *Runner) outcome(p *Program, fed error, ran time.Duration) error {
	if !errors.Is(fed, errGone) {
		return fed
	}
	err := p.reason()
	if r.cfg.StopOnError && p.why == nil && p.Exit().Code != 0 {
		return plugin.Permanent(fmt.Errorf("%w (stop_on_error: it is not started again)", err))
	}
	return r.again(err, ran)
}

// again returns err with the wish that the program is started again, after a delay that grows.
func (r *Runner) again(err error, ran time.Duration) error {
	first := r.cfg.RestartDelay.Std()
	if ran >= longEnough {
		r.delay = first
	}
	delay := r.delay
	r.delay = min(2*delay, max(mostDelay, first))
	return plugin.After(fmt.Errorf("%w (it is started again in %v)", err, delay), max(delay, time.Millisecond))
}
