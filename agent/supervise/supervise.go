// Package supervise keeps a child process running.
package supervise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	// Cause returns what a line of stderr says of why the process ended, "" if
	// nothing; whole says that the lines before it add nothing. By default each
	// line says itself.
	Cause func(line string) (cause string, whole bool)
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
	// Single makes Run return when the first process has ended, whatever ended it,
	// or could not be started: there is no other until Steady.
	Single bool
	// Keep leaves the process running when ctx of Run ends; only Stop ends it. The
	// next Run, be it of another agent, goes on with the process that is kept in
	// KeepDir, a folder of this child alone.
	Keep    bool
	KeepDir string
	// Resumed is called in the place of Each when Run goes on with a process that
	// was kept. After an error it is not wanted: it is ended, and another one
	// started. Nil for nothing.
	Resumed func(Record) (Start, error)
	// Limits bound the process and all it starts. Files is 1024 unless set.
	Limits Limits
	// User is who the process runs as, by name or id; empty is our own user.
	User string
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
	// Command is started in the place of Spec.Command; nil for that.
	Command []string
	// File, if not nil, is what is executed in the place of the program that the
	// command names: see process.Command. The child closes it.
	File *os.File
	// Note is for the Record of a process that is kept.
	Note string
	// Done is called when the process has ended, or could not be started, and not
	// when it is kept; nil for nothing.
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

// Record is what is known of a process that was kept.
type Record = process.Record

// Status is a child as it is now.
type Status struct {
	State  State
	Reason string    // why it is not simply running
	Since  time.Time // when this state began
	Next   time.Time // when the next start is due, if backing off
	PID    int       // 0 without a process
	// Started is when the process was started, zero without one.
	Started time.Time
	// Restarts counts the starts that nobody asked for: after a crash, and after what Replace and Kill
	// ended. Those of Run, Restart and Retry are not among them.
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
	resume func(dir string, stdout, stderr io.Writer) (running, Record, error)

	orders chan order  // taken by Run wherever it waits; one may be under way
	wake   chan string // of Retry, with the reason: empty while there is a process

	// Of the goroutine of Run alone:
	unasked bool           // the start to come is one that nobody asked for
	waiting []chan<- error // who asked for the restart that is to come
	warned  bool           // of limits that do not hold here

	stderr  tail
	leftOut atomic.Int64

	mu     sync.Mutex
	status Status // the goroutine of Run changes it
	proc   running
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when Run ends
	early  bool          // Stop came while no Run was under way: it is for the next
	single bool          // until Steady
	spent  bool          // the process of a single one has ended
}

// running is what supervision needs of a process; tests have one without a process.
type running interface {
	PID() int
	Done() <-chan struct{}
	Exit() process.Exit
	Usage() (process.Usage, error)
	Signal(syscall.Signal) error
	Terminate(grace time.Duration)
	Started() time.Time
	Unheld() []string
	Detach() bool
}

// New prepares a child; Run starts it.
func New(s Spec) *Child {
	s.DrainTimeout = cmp.Or(s.DrainTimeout, 10*time.Second)
	s.TermTimeout = cmp.Or(s.TermTimeout, 5*time.Second)
	s.Healthy = cmp.Or(s.Healthy, time.Minute)
	s.Limits.Files = cmp.Or(s.Limits.Files, 1024)
	if s.Cause == nil {
		s.Cause = func(line string) (string, bool) { return line, false }
	}
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	s.Log = s.Log.With("child", s.Name)
	return &Child{
		spec:   s,
		launch: launch,
		resume: resume,
		orders: make(chan order, 1), // so that Replace and Kill do not wait
		wake:   make(chan string, 1),
		single: s.Single,
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

func resume(dir string, stdout, stderr io.Writer) (running, Record, error) {
	r, err := process.ReadRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, r, err
	}
	p, err := process.Resume(dir, stdout, stderr) // it knows what to do with a bad record
	if err != nil {
		return nil, r, err
	}
	return p, r, nil
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
	reason := ""
	defer func() { c.finish(reason) }()
	b := newBackoff(c.spec.Healthy)
	c.unasked = false
	for c.goesOn(ctx) {
		b.started(time.Now())
		l := c.live(ctx)
		if ctx.Err() != nil || c.ends() {
			reason = l.reason
			break
		}
		c.unasked = !l.restart && !c.rest(ctx, b, l)
		if !c.unasked {
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
	ctx, c.cancel = context.WithCancelCause(ctx)
	c.done, c.spent = make(chan struct{}), false
	if c.early {
		c.early = false
		c.cancel(ErrStopped)
	}
	select {
	case <-c.orders: // came too late for the Run before
	default:
	}
	return ctx, nil
}

// goesOn reports whether there is another life to come. A Stop that was early ends what an earlier agent has kept.
func (c *Child) goesOn(ctx context.Context) bool {
	return ctx.Err() == nil || c.spec.Keep && stopped(ctx)
}

// ends reports whether with this process Run ends. From then on Steady is too late.
func (c *Child) ends() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spent = c.single
	return c.single
}

func (c *Child) finish(reason string) {
	c.set(func(s *Status) { s.State, s.Reason = Stopped, reason })
	c.spec.Log.Info("child stopped")
	c.answer(ErrStopped)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cancel(nil)
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
	o := output{c.lines("stdout", nil), c.lines("stderr", &c.stderr)}
	c.stderr.begin()
	p, own, err := c.takeUp(o)
	if p == nil && err == nil && ctx.Err() == nil {
		p, own, err = c.start(o)
	}
	switch {
	case err != nil:
		return c.notStarted(err)
	case p == nil:
		return ended{}
	}
	return c.follow(ctx, p, own, o)
}

// output is where a process prints to.
type output struct{ stdout, stderr *process.Lines }

// takeUp goes on with the process that was kept; it returns none if there is none, or it is not wanted.
func (c *Child) takeUp(o output) (running, Start, error) {
	if !c.spec.Keep {
		return nil, Start{}, nil
	}
	p, record, err := c.resume(c.spec.KeepDir, o.stdout, o.stderr)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, Start{}, nil
	case errors.Is(err, os.ErrProcessDone):
		c.spec.Log.Info("kept process has ended meanwhile", "pid", record.PID)
		return nil, Start{}, nil
	case err != nil:
		return nil, Start{}, err
	}
	if c.spec.Resumed == nil {
		return p, Start{}, nil
	}
	own, err := c.spec.Resumed(record)
	if err != nil {
		c.spec.Log.Warn("kept process is not wanted and is ended", "pid", record.PID, "reason", err)
		p.Terminate(c.spec.TermTimeout)
		<-p.Done()
		return nil, Start{}, nil
	}
	return p, own, nil
}

// start starts a process with what it has of its own.
func (c *Child) start(o output) (running, Start, error) {
	c.set(func(s *Status) {
		s.State = Starting
		if c.unasked {
			s.Restarts++
		}
	})
	own := Start{}
	var err error
	if c.spec.Each != nil {
		own, err = c.spec.Each()
	}
	if own.File != nil {
		defer own.File.Close()
	}
	if err != nil {
		return nil, own, err
	}
	p, err := c.launch(c.command(own, o))
	if err != nil && own.Done != nil {
		own.Done()
	}
	return p, own, err
}

func (c *Child) command(own Start, o output) process.Command {
	s := c.spec
	cmd := process.Command{
		Args: s.Command, Env: slices.Concat(s.Env, own.Env), Dir: s.Dir,
		Stdout: o.stdout, Stderr: o.stderr,
		OnParentDeath: syscall.SIGKILL,
		Limits:        s.Limits, User: s.User, File: own.File,
	}
	if own.Command != nil {
		cmd.Args = own.Command
	}
	if s.Keep {
		cmd.OnParentDeath, cmd.KeepDir, cmd.Note = 0, s.KeepDir, own.Note
	}
	return cmd
}

func (c *Child) notStarted(err error) ended {
	c.gone(Exit{Code: -1, At: time.Now()})
	c.answer(err)
	return ended{reason: err.Error(), final: errors.Is(err, ErrNoStart)}
}

// follow is the life of a process from its start to its end, or until it is left to itself.
func (c *Child) follow(ctx context.Context, p running, own Start, out output) ended {
	c.attach(p)
	c.answer(nil)
	o := c.watch(ctx, p)
	exit := p.Exit()
	out.stdout.Flush()
	out.stderr.Flush()
	if o.kind == leave {
		c.gone(c.Status().LastExit) // it has not ended
		c.spec.Log.Info("child is left running", "pid", p.PID())
		return ended{reason: o.reason}
	}
	c.gone(exit)
	if own.Done != nil {
		own.Done()
	}
	return c.verdict(exit, o)
}

func (c *Child) attach(p running) {
	c.set(func(s *Status) {
		c.proc = p
		s.State, s.PID, s.Started = Running, p.PID(), p.Started()
		select {
		case <-c.wake: // came while it was being started
		default:
		}
	})
	c.spec.Log.Info("child started", "pid", p.PID())
	if unheld := p.Unheld(); len(unheld) > 0 && !c.warned {
		c.warned = true
		c.spec.Log.Warn("limits do not hold without a cgroup: delegate one to the agent, such as with Delegate=yes in its unit", "limits", unheld)
	}
}

// gone notes the exit; the next state follows at once.
func (c *Child) gone(e Exit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.proc = nil
	c.status.PID, c.status.Started, c.status.LastExit = 0, time.Time{}, e
}

// unasked is what is wrong with an end that nothing else explains, such as that of a script which works once.
const unasked = ", though nobody has ended it: it is to run on"

// verdict says what the exit means, given what was ordered before it.
func (c *Child) verdict(exit Exit, o order) ended {
	if o.kind != none {
		return ended{restart: o.kind == restart, reason: fmt.Sprintf("%s (%s)", o.reason, exit)}
	}
	e := ended{reason: exit.String()}
	if exit.Signal == "SIGKILL" || exit.Over != "" {
		return e // it had no time to say why: its last line is about something else
	}
	said := 1
	if exit.Signal == "" && !exit.Unknown && c.spec.NoRestart != nil && c.spec.NoRestart(exit.Code) {
		e.final, said = true, 3
	}
	switch last := c.stderr.last(said, c.spec.Cause); {
	case len(last) > 0:
		e.reason += ": " + strings.Join(last, "; ")
	case exit.Code == 0 && !exit.Unknown:
		e.reason += unasked
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
