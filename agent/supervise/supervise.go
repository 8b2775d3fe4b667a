// Package supervise keeps a child process running.
package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// A Spec says what to run and how to end it.
type Spec struct {
	// Name is what logs and errors call the child.
	Name string
	// Command is the program and its arguments; the program is looked for on
	// the PATH of Env.
	Command []string
	// Env is the whole environment, as "KEY=value"; nothing is inherited.
	Env []string
	// Each is called before each start, for what every process has of its own;
	// nil for nothing. After an error that matches ErrNoStart there is no start
	// until Restart or Retry, after another one the next is tried as after a crash.
	Each func() (Start, error)
	// Dir is the working directory, by default our own.
	Dir string
	// Log gets the child's starts and ends; nil for none.
	Log *slog.Logger
	// Line gets each line the child prints, without its end; stream is
	// "stdout" or "stderr", and each has a goroutine of its own. The line is
	// valid during the call. A call that blocks blocks the child. Nil for none.
	Line func(stream string, line []byte)
	// Drain asks the child to finish what it holds and exit; nil for none. It
	// comes first when the child is to stop or restart, and not when it hangs.
	// It must return when ctx ends.
	Drain func(ctx context.Context) error
	// DrainTimeout is how long the child has to exit after Drain (10 s),
	// TermTimeout after SIGTERM (5 s).
	DrainTimeout, TermTimeout time.Duration
	// NoRestart reports the exit codes after which another start is no use,
	// such as that of a refused config; nil for none.
	NoRestart func(exitCode int) bool
	// Single makes Run return when the first process has ended, whatever ended it:
	// there is no other start until Steady.
	Single bool
	// Keep leaves the process running when ctx of Run ends; only Stop ends it. The
	// next Run, be it of another agent, goes on with the process that is kept in
	// KeepDir, a folder of this child alone.
	Keep    bool
	KeepDir string
	// Limits bound the process and all it starts. Files is 1024 unless set.
	Limits Limits
	// User is who the process runs as, by name or id; empty is our own user.
	User string
	// File is what is executed in the place of the program that Command names; nil for that.
	File *os.File
	// Prepare gets the command before each start and may change it: an environment
	// of this process alone, a File that was checked just now, a Note for its record.
	// An error is as one of the start. A File that it puts there is closed after the start. Nil for none.
	Prepare func(*Command) error
	// Healthy is how long a child has to run for its earlier crashes to be
	// forgotten (1 min).
	Healthy time.Duration
	// OnChange gets each change of state, one call at a time and in order,
	// from the goroutine of Run: it may call Status, Replace, Kill and Signal,
	// but must not wait for Stop or Restart.
	OnChange func(Status)
}

// ErrNoStart is what an error of Spec.Each wraps when starting is no use before
// something has changed: it is no crash.
var ErrNoStart = errors.New("not to be started")

// A Start is what one process has that the next one has not.
type Start struct {
	// Env is added to Spec.Env.
	Env []string
	// Done is called when the process has ended, or could not be started; nil
	// for nothing.
	Done func()
}

// State is where a child is in its life.
type State string

// The states of a child.
const (
	Starting   State = "starting"
	Running    State = "running"
	Stopping   State = "stopping"    // asked to end, to stop or to be replaced
	BackingOff State = "backing_off" // it ended; the next start is at Status.Next
	Stopped    State = "stopped"     // Run has not begun, or has ended
	Failed     State = "failed"      // no further start until Restart
)

// Exit is how a process ended.
type Exit = process.Exit

// Limits bound what a process may use.
type Limits = process.Limits

// Command is what a process is started from.
type Command = process.Command

// Status is a child as it is now.
type Status struct {
	State  State
	Reason string    // why it is not simply running
	Since  time.Time // when this state began
	Next   time.Time // when the next start is due, if backing off
	PID    int       // 0 without a process
	// Started is when the process was started, zero without one.
	Started time.Time
	// Restarts counts the starts after the first, for whatever reason.
	Restarts int
	// LastExit is how the last process ended; its At is zero if none has.
	LastExit Exit
	// Stderr is the last lines of it, of this process and those before.
	Stderr []string
	// LinesLeftOut counts the lines that came too fast to be handed on.
	LinesLeftOut int64
}

// A Child is a command that is kept running while its Run runs.
type Child struct {
	spec   Spec
	launch func(process.Command) (running, error)

	orders chan order // taken by Run wherever it waits; one may be under way

	// Of the goroutine of Run alone:
	lives   int
	waiting []chan<- error // who asked for the restart that is to come

	stderr  tail
	leftOut atomic.Int64

	mu     sync.Mutex
	status Status // the goroutine of Run changes it
	proc   running
	cancel context.CancelFunc
	done   chan struct{} // closed when Run ends, nil before
	early  bool          // Stop came before the first Run
}

// running is what supervision needs of a process; tests have one without a process.
type running interface {
	PID() int
	Done() <-chan struct{}
	Exit() process.Exit
	Usage() (process.Usage, error)
	Signal(syscall.Signal) error
	Terminate(grace time.Duration)
}

// New prepares a child; Run starts it.
func New(s Spec) *Child {
	s.DrainTimeout = cmp.Or(s.DrainTimeout, 10*time.Second)
	s.TermTimeout = cmp.Or(s.TermTimeout, 5*time.Second)
	s.Healthy = cmp.Or(s.Healthy, time.Minute)
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.Log = s.Log.With("child", s.Name)
	return &Child{
		spec:   s,
		launch: launch,
		orders: make(chan order, 1), // so that Replace and Kill do not wait
		status: Status{State: Stopped, Since: time.Now()},
	}
}

func launch(c process.Command) (running, error) {
	p, err := process.Start(c)
	if err != nil {
		return nil, err // not p: a nil *Process is no nil interface
	}
	return p, nil
}

// Run starts the child, and starts it again whenever it ends, until ctx ends or
// Stop is called. It returns nil when the process and all it left behind are
// gone. A failed child does not end Run: Restart revives it. Run may be called
// again when it has returned.
func (c *Child) Run(ctx context.Context) error {
	ctx, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer c.finish()
	b := newBackoff(c.spec.Healthy)
	for ctx.Err() == nil {
		b.started(time.Now())
		l := c.live(ctx)
		if ctx.Err() != nil {
			break
		}
		if l.restart || c.rest(ctx, b, l) {
			b = newBackoff(c.spec.Healthy)
		}
	}
	return nil
}

func (c *Child) begin(ctx context.Context) (context.Context, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		return nil, fmt.Errorf("child %s: Run is running already", c.spec.Name)
	}
	ctx, c.cancel = context.WithCancel(ctx)
	c.done = make(chan struct{})
	if c.early {
		c.early = false
		c.cancel()
	}
	select {
	case <-c.orders: // came too late for the Run before
	default:
	}
	return ctx, nil
}

func (c *Child) finish() {
	c.set(func(s *Status) { s.State = Stopped })
	c.spec.Log.Info("child stopped")
	c.answer(ErrStopped)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel()
	c.cancel = nil
	close(c.done)
}

// Status is the child as it is now.
func (c *Child) Status() Status {
	c.mu.Lock()
	s := c.status
	c.mu.Unlock()
	s.Stderr = c.stderr.lines()
	s.LinesLeftOut = c.leftOut.Load()
	return s
}

// set changes the status. State and reason start afresh each time.
func (c *Child) set(change func(*Status)) {
	c.mu.Lock()
	s := &c.status
	s.Reason, s.Next, s.Since = "", time.Time{}, time.Now()
	change(s)
	c.mu.Unlock()
	if c.spec.OnChange != nil {
		c.spec.OnChange(c.Status())
	}
}

// ended tells how a life of the child ended.
type ended struct {
	restart bool   // because Restart asked
	final   bool   // NoRestart forbids another
	reason  string // for an operator
}

// live is one life: start, watch, end.
func (c *Child) live(ctx context.Context) ended {
	c.set(func(s *Status) { s.State, s.Restarts = Starting, c.lives })
	c.lives++
	own, err := c.each()
	if err != nil {
		return c.notStarted(err)
	}
	defer own.Done()
	stdout, stderr := c.lines("stdout", nil), c.lines("stderr", &c.stderr)
	c.stderr.begin()
	p, err := c.launch(process.Command{
		Args: c.spec.Command, Env: slices.Concat(c.spec.Env, own.Env), Dir: c.spec.Dir,
		Stdout: stdout, Stderr: stderr,
		OnParentDeath: syscall.SIGKILL,
	})
	if err != nil {
		return c.notStarted(err)
	}
	c.attach(p)
	c.answer(nil)
	o := c.watch(ctx, p)
	exit := p.Exit()
	stdout.flush()
	stderr.flush()
	c.gone(exit)
	return c.verdict(exit, o)
}

// each asks for what the next process has of its own.
func (c *Child) each() (Start, error) {
	own := Start{}
	var err error
	if c.spec.Each != nil {
		own, err = c.spec.Each()
	}
	if own.Done == nil {
		own.Done = func() {}
	}
	return own, err
}

func (c *Child) notStarted(err error) ended {
	c.gone(Exit{Code: -1, At: time.Now()})
	c.answer(err)
	return ended{reason: err.Error(), final: errors.Is(err, ErrNoStart)}
}

func (c *Child) attach(p running) {
	c.set(func(s *Status) {
		c.proc = p
		s.State, s.PID = Running, p.PID()
	})
	c.spec.Log.Info("child started", "pid", p.PID())
}

// gone notes the exit; the next state follows at once.
func (c *Child) gone(e Exit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proc = nil
	c.status.PID, c.status.LastExit = 0, e
}

// verdict says what the exit means, given what was ordered before it.
func (c *Child) verdict(exit Exit, o order) ended {
	if o.kind != none {
		return ended{restart: o.kind == restart, reason: fmt.Sprintf("%s (%s)", o.reason, exit)}
	}
	e := ended{reason: exit.String()}
	if exit.Signal == "SIGKILL" {
		return e // it had no time to say why: its last line is about something else
	}
	said := 1
	if exit.Signal == "" && c.spec.NoRestart != nil && c.spec.NoRestart(exit.Code) {
		e.final, said = true, 3
	}
	if last := c.stderr.last(said); len(last) > 0 {
		e.reason += ": " + strings.Join(last, "; ")
	}
	return e
}

// rest waits until the next start is due, or for ever if there is to be none.
// It reports whether Restart cut it short.
func (c *Child) rest(ctx context.Context, b *backoff, e ended) (restart bool) {
	pause, tired := b.ended(time.Now())
	switch {
	case e.final:
		return c.fail(ctx, e.reason)
	case tired:
		return c.fail(ctx, fmt.Sprintf("%d starts in %v, the last ended with %s", maxStarts, startWindow, e.reason))
	}
	c.spec.Log.Warn("child ended", "reason", e.reason, "pause", pause)
	if pause == 0 {
		return false
	}
	c.set(func(s *Status) {
		s.State, s.Reason, s.Next = BackingOff, e.reason, time.Now().Add(pause)
	})
	timer := time.NewTimer(pause)
	defer timer.Stop()
	return c.idle(ctx, timer.C)
}

func (c *Child) fail(ctx context.Context, reason string) (restart bool) {
	c.spec.Log.Error("child failed", "reason", reason)
	c.set(func(s *Status) { s.State, s.Reason = Failed, reason })
	return c.idle(ctx, nil)
}
