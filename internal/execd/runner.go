package execd

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/plugin"
)

const (
	patience   = 5 * time.Second // for a program to end by itself when its input has
	mostDelay  = 5 * time.Minute // between the end of a program and its next start
	longEnough = time.Minute     // after which a program counts as one that works
	shortDelay = time.Second     // of the second start where the operator wants none
)

// Manners are how a program is to be treated that is not one of Telegraf's.
type Manners struct {
	TermAtOnce bool          // it does not end with its input, and waits for SIGTERM
	Apart      time.Duration // from one start to the next at least
	Returns    bool          // it may end well, and is started again then as if nothing had happened
}

// A Runner starts a program again and again: later each time, unless it works for long.
type Runner struct {
	cfg   Config
	env   plugin.Env
	ways  Manners
	life  context.Context //nolint:containedctx // the instance's own: when it ends, nothing is waited for any more
	spec  child.Spec
	delay time.Duration // until the start after the next end
}

// New returns the runner of the program of cfg. life is the context that New of a plugin is given. Without a command there is nothing
// to do, which the error says.
func New(life context.Context, cfg Config, env plugin.Env, ways Manners) (*Runner, error) {
	if len(cfg.Command) == 0 {
		return nil, fmt.Errorf("command is empty: name a program and its arguments, such as [/usr/local/bin/gpu-shim, --all]: %w", plugin.ErrNoData)
	}
	spec, err := cfg.spec(env.Log)
	return &Runner{cfg: cfg, env: env, ways: ways, life: life, spec: spec, delay: cfg.RestartDelay.Std()}, err
}

// A Program is one that runs.
type Program struct {
	*child.Program
	why     atomic.Pointer[error] // it was ended for
	leaving atomic.Bool           // it was told that there is no more input
}

// Condemn ends a program that nobody can go on with. Of several reasons the first counts.
func (p *Program) Condemn(why error) {
	p.why.CompareAndSwap(nil, &why)
	p.End()
}

// errDone says that a program has ended well that may do so.
var errDone = errors.New("the program has done its work")

// Run starts the program once, or one that may return again and again. feed gives it its input, until ctx ends, which it does when the
// program has; read reads what it prints, to the end. When Run returns, nothing of the program is left. The error says how it has ended,
// and when it is to be started again; nil that there is no more input for it.
func (r *Runner) Run(ctx context.Context, feed func(ctx context.Context, p *Program) error, read func(p *Program)) error {
	for {
		begun := time.Now()
		err := r.once(ctx, feed, read)
		if !errors.Is(err, errDone) {
			return err
		}
		r.delay = r.cfg.RestartDelay.Std()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(r.ways.Apart - time.Since(begun)):
		}
	}
}

func (r *Runner) once(ctx context.Context, feed func(ctx context.Context, p *Program) error, read func(p *Program)) error {
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
	p.leaving.Store(true)
	p.Stop(r.life, r.patience())
	<-heard
	if ctx.Err() != nil || fed == nil {
		return nil
	}
	return r.outcome(p, fed, time.Since(begun))
}

// patience is how long the program has to end by itself.
func (r *Runner) patience() time.Duration {
	if r.ways.TermAtOnce {
		return 0
	}
	return patience
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
	if why := p.why.Load(); why != nil {
		err = *why
	}
	return child.Saying(err, p.LastLine())
}

// outcome says how a program has ended that has run for so long. What goes wrong elsewhere is not its fault.
func (r *Runner) outcome(p *Program, fed error, ran time.Duration) error {
	if !errors.Is(fed, errGone) {
		return fed
	}
	own, code := p.why.Load() == nil, p.Exit().Code
	if r.ways.Returns && own && code == 0 {
		return errDone
	}
	err := p.reason()
	if r.cfg.StopOnError && own && code != 0 {
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
	delay := max(r.delay, (r.ways.Apart - ran).Round(time.Millisecond))
	if r.delay *= 2; r.delay == 0 {
		r.delay = shortDelay // one that ends at once is not to be all that this machine does
	}
	r.delay = min(r.delay, max(mostDelay, first))
	return plugin.After(fmt.Errorf("%w (it is started again in %v)", err, delay), max(delay, time.Millisecond))
}
