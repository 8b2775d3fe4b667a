package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pacewire/pacewire/telemetry"
)

// replaced is why a process ends whose place another one takes.
const replaced = "replaced"

// swap lets a new process, made after p, take over from the one that works. The two run side by side until the new one has
// proved itself; when it does not, it goes, and the old one has never stopped. Where two cannot work at the same time the new
// one proves itself without working, and the old one is started again should it then fail after all.
//
// The caller has the plugin's turn.
func (e *entry) swap(ctx context.Context, p plan) error {
	old := e.now
	if p.conf.Attached || old.attached() || p.conf.Kind != old.plan.conf.Kind || !old.works() {
		return e.replace(ctx, p)
	}
	next := e.instance(p, true)
	next.hold = true
	e.mu.Lock()
	e.next = next
	e.mu.Unlock()
	next.start(e.host.life)
	err := e.takeOver(ctx, old, next)
	if err != nil {
		next.stop(context.WithoutCancel(ctx), "it did not take over")
	}
	e.mu.Lock()
	e.next = nil // until here, so that its last words are not taken for those of a stranger
	e.swapped(err)
	e.mu.Unlock()
	e.changed()
	return err
}

// swapped tells how a swap went. The caller has the lock.
func (e *entry) swapped(err error) {
	if err != nil {
		e.say(slog.LevelWarn, "plugin is not swapped, the process before goes on", "error", err)
		return
	}
	e.say(slog.LevelInfo, "plugin is swapped", "program", e.now.plan.program())
}

// works reports whether there is a process that others may wait for.
func (i *instance) works() bool {
	i.entry.mu.Lock()
	defer i.entry.mu.Unlock()
	if state, _ := i.state(time.Now()); i.attached() && slices.Contains([]string{stopped, awaited, lost}, state) {
		return false
	}
	h := i.health()
	return i.last.Inst != "" && h.err == nil
}

// replace puts a new process in the place of one that does not work: there is nothing to wait for.
func (e *entry) replace(ctx context.Context, p plan) error {
	old := e.now
	e.mu.Lock()
	wanted := old.stopped == ""
	e.mu.Unlock()
	old.stop(context.WithoutCancel(ctx), replaced)
	<-old.done
	next := e.instance(p, false)
	e.promote(next)
	if !wanted {
		e.mu.Lock()
		next.stopped = stoppedBy
		e.mu.Unlock()
		return nil
	}
	next.start(e.host.life)
	if next.attached() {
		return nil
	}
	return next.awaitWork(ctx)
}

// promote puts next in charge.
func (e *entry) promote(next *instance) {
	e.mu.Lock()
	if old := e.now; old.child != nil {
		e.restarts += old.child.Status().Restarts
	}
	if !e.now.ended() {
		e.leaving = e.now
	}
	e.now, e.next, next.hold = next, nil, false
	e.mu.Unlock()
	e.changed()
}

// takeOver leads the new process to where the old one can go.
func (e *entry) takeOver(ctx context.Context, old, next *instance) error {
	tolerant := old.fails()
	alone, err := next.prepared(ctx)
	if err != nil {
		return err
	}
	if alone {
		return e.relieve(ctx, old, next)
	}
	next.release(ctx)
	if err := next.working(ctx, e.host.o.Times.Take); err != nil {
		return err
	}
	if err := next.proves(ctx, tolerant); err != nil {
		return err
	}
	if !next.child.Steady() {
		return errEnded
	}
	e.promote(next)
	e.dismiss(context.WithoutCancel(ctx), old)
	return nil
}

// dismiss drains a process that has been relieved.
func (e *entry) dismiss(ctx context.Context, old *instance) {
	old.stop(ctx, replaced)
	<-old.done
	e.mu.Lock()
	defer e.mu.Unlock()
	e.leaving = nil
}

// errEnded is why a process does not take over that has ended in the last moment.
var errEnded = errors.New("its process ended")

// relieve lets the new process begin when the old one has ended: two must not work at the same time. It proves itself before,
// without work, and after. When it fails then, the program of the old one is started again, as it was.
func (e *entry) relieve(ctx context.Context, old, next *instance) error {
	tolerant := old.fails()
	if err := next.proves(ctx, tolerant); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // from here on it has to be brought to an end
	old.holdProgram()
	defer old.dropProgram()
	old.stop(ctx, replaced)
	<-old.done
	next.release(ctx)
	err := next.working(ctx, e.host.o.Times.Take)
	if err == nil {
		err = next.proves(ctx, tolerant)
	}
	if err == nil && !next.child.Steady() {
		err = errEnded
	}
	if err == nil {
		e.promote(next)
		return nil
	}
	next.stop(ctx, "it did not take over")
	<-next.done
	e.expects("started again: the process that was to take over has failed")
	old.start(e.host.life)
	return fmt.Errorf("it was ready, but does not work; the old one is started again: %w", errors.Join(err, old.awaitWork(ctx)))
}

// prepared waits until the new process could work, and reports whether it has to be alone then.
func (i *instance) prepared(ctx context.Context) (alone bool, err error) {
	limit := i.entry.host.o.Times.Ready
	h, ok := await(ctx, i.entry, limit, func() (health, bool) {
		h := i.health()
		return h, h.err != nil || h.ready
	})
	if !ok {
		return false, fmt.Errorf("it is not ready within %v: %w", limit, i.reached())
	}
	if h.err != nil {
		return false, h.err
	}
	i.entry.mu.Lock()
	defer i.entry.mu.Unlock()
	return slices.Contains(i.last.Flags, telemetry.FlagExclusive), nil
}

// reached says how far the process has come.
func (i *instance) reached() error {
	i.entry.mu.Lock()
	defer i.entry.mu.Unlock()
	state, _ := i.state(time.Now())
	if i.arrived.IsZero() {
		return errors.New("no heartbeat came")
	}
	return fmt.Errorf("it is %s", state)
}

// release lets the process begin its work.
func (i *instance) release(ctx context.Context) {
	i.entry.mu.Lock()
	i.hold = false
	i.entry.mu.Unlock()
	i.greet(ctx)
}

// working waits until the process works with what its plan says. It is asked again and again: an answer may get lost.
func (i *instance) working(ctx context.Context, limit time.Duration) error {
	for end := time.Now().Add(limit); ; i.greet(ctx) {
		h, ok := await(ctx, i.entry, min(time.Second, time.Until(end)), func() (health, bool) {
			h := i.health()
			return h, h.err != nil || h.works
		})
		if ok {
			return h.err
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("it does not work within %v: %w", limit, i.reached())
		}
	}
}

// proves watches the process for the time of probation, and returns what went wrong with it. If tolerant its calls may fail:
// they did before.
func (i *instance) proves(ctx context.Context, tolerant bool) error {
	h, bad := await(ctx, i.entry, i.entry.host.o.Times.Probation, func() (health, bool) {
		h := i.health()
		if h.err == nil && !tolerant && slices.Contains(i.last.Flags, "failing") {
			h.err = fmt.Errorf("its calls fail: %s", message(i.last.Error))
		}
		return h, h.err != nil
	})
	if bad {
		return h.err
	}
	return ctx.Err()
}

// fails reports whether the calls of the process fail.
func (i *instance) fails() bool {
	i.entry.mu.Lock()
	defer i.entry.mu.Unlock()
	return slices.Contains(i.last.Flags, "failing")
}

// holdProgram keeps the executable of the process that runs, which may be another file than the one by its name: should the
// process be needed again, it is to be the same. That of a script is its interpreter, which has another command line than was
// given, and would not know what to run: a script is the one by its name.
func (i *instance) holdProgram() {
	pid := i.child.Status().PID
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || string(line) != strings.Join(i.entry.command(i), "\x00")+"\x00" {
		return
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return // then it is the one by its name
	}
	i.entry.mu.Lock()
	defer i.entry.mu.Unlock()
	i.program = f
}

// dropProgram lets go of what holdProgram keeps.
func (i *instance) dropProgram() {
	i.entry.mu.Lock()
	defer i.entry.mu.Unlock()
	if i.program != nil {
		i.program.Close()
		i.program = nil
	}
}

// held returns the executable that is kept, for a process that is about to start; nil for none.
func (i *instance) held() *os.File {
	i.entry.mu.Lock()
	defer i.entry.mu.Unlock()
	if i.program == nil {
		return nil
	}
	fd, err := unix.FcntlInt(i.program.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return os.NewFile(uintptr(fd), i.program.Name())
}
