package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/agent/supervise"
	"github.com/pacewire/pacewire/telemetry"
)

// operate does something to the processes that are called name, all at a time or one after the other, and tells what became of
// each.
func (h *Host) operate(ctx context.Context, name, action string, atOnce bool, do func(context.Context, *entry) error) (telemetry.ChangeList, error) {
	if err := h.open(ctx); err != nil {
		return telemetry.ChangeList{}, err
	}
	crew := h.called(name)
	if len(crew) == 0 {
		return telemetry.ChangeList{}, h.unknown(name)
	}
	list := telemetry.ChangeList{Changes: make([]telemetry.Change, len(crew))}
	faults := make([]error, len(crew))
	var g errgroup.Group
	if !atOnce {
		g.SetLimit(1)
	}
	var failed atomic.Bool
	for n, e := range crew {
		g.Go(func() error {
			if !atOnce && failed.Load() {
				list.Changes[n] = telemetry.Change{Plugin: e.name, Action: telemetry.ChangeNone, Reason: "left as it is after what went wrong"}
				return nil
			}
			list.Changes[n], faults[n] = h.operateOne(ctx, e, action, do)
			failed.CompareAndSwap(false, faults[n] != nil)
			return nil
		})
	}
	_ = g.Wait() // each has its own
	err := errors.Join(faults...)
	switch at := slices.IndexFunc(faults, func(err error) bool { return err != nil }); {
	case err == nil:
		return list, nil
	case !atOnce && at > 0:
		return telemetry.ChangeList{}, fmt.Errorf("%w; of %d processes those before %s were changed", err, len(crew), crew[at].name)
	}
	return telemetry.ChangeList{}, err
}

// operateOne does something to one process.
func (h *Host) operateOne(ctx context.Context, e *entry, action string, do func(context.Context, *entry) error) (telemetry.Change, error) {
	release, err := e.take(ctx)
	if err != nil {
		return telemetry.Change{}, err
	}
	defer release()
	if h.until.Err() != nil { // it may have been stopped with the agent while we waited
		return telemetry.Change{}, errEnds
	}
	if h.find(e.name) != e { // or unloaded
		return telemetry.Change{}, h.unknown(e.name)
	}
	c := e.change(action, func() error { return do(ctx, e) })
	if idle := c.OldPID == c.PID && !e.current().attached(); idle && (action == telemetry.ChangeStart || action == telemetry.ChangeStop) {
		c.Action = telemetry.ChangeNone
	}
	if c.Error != "" {
		return telemetry.Change{}, fmt.Errorf("%s %s: %s", action, e.name, c.Error)
	}
	return c, nil
}

// open waits until the plugins of the config have been started, and refuses operations when they are about to be stopped.
func (h *Host) open(ctx context.Context) error {
	select {
	case <-h.ready:
	case <-ctx.Done():
		return refuse(telemetry.FaultTimeout, "the agent is not ready: try again")
	}
	if h.until.Err() != nil {
		return errEnds
	}
	return nil
}

// change does something to the plugin, and notes what it was, and how it went.
func (e *entry) change(action string, do func() error) telemetry.Change {
	begun := time.Now()
	c := telemetry.Change{Plugin: e.name, Action: action, OldPID: e.pid()}
	if err := do(); err != nil {
		c.Error = err.Error()
	}
	c.PID, c.TookMS = e.pid(), time.Since(begun).Milliseconds()
	return c
}

func (e *entry) pid() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.now.attached() {
		return 0
	}
	return int64(e.now.child.Status().PID)
}

// Start starts a plugin that was stopped, that has failed, or that backs off, and forgets its crashes. One that runs stays.
func (h *Host) Start(ctx context.Context, name string) (telemetry.ChangeList, error) {
	return h.operate(ctx, name, telemetry.ChangeStart, true, func(ctx context.Context, e *entry) error {
		i := e.now
		if i.stopped == "" {
			return e.revive(ctx)
		}
		i.start(h.life)
		if i.attached() {
			return nil // it may come
		}
		return i.awaitWork(ctx)
	})
}

// revive starts now what would be started later, or never.
func (e *entry) revive(ctx context.Context) error {
	i := e.now
	if i.attached() {
		return fmt.Errorf("somebody else starts it: pacewire plugin env %s tells how", e.name)
	}
	before := i.child.Status()
	if before.State == supervise.Running {
		return nil
	}
	i.child.Retry("plugin start")
	await(ctx, e, askTime, func() (bool, bool) { return true, i.child.Status().Since != before.Since }) // what it was is no news
	return i.awaitWork(ctx)
}

// awaitWork waits until the plugin works. What makes it fail is told; a plugin that only takes long is no error.
func (i *instance) awaitWork(ctx context.Context) error {
	h, ok := await(ctx, i.entry, i.entry.host.o.Times.Start, func() (health, bool) {
		h := i.health()
		return h, h.err != nil || h.works
	})
	if !ok {
		return nil
	}
	return h.err
}

// stoppedBy is why a plugin does not run that an operator has stopped.
const stoppedBy = "stopped by an operator: pacewire plugin start starts it"

// Stop drains a plugin; it does not run again before it is started, be it by an operator or with the agent.
func (h *Host) Stop(ctx context.Context, name string) (telemetry.ChangeList, error) {
	return h.operate(ctx, name, telemetry.ChangeStop, true, func(ctx context.Context, e *entry) error {
		e.now.stop(context.WithoutCancel(ctx), stoppedBy) // who drains is not cut short
		<-e.now.done
		return nil
	})
}

// Restart drains a plugin and starts it again; of several processes one after the other.
func (h *Host) Restart(ctx context.Context, name string) (telemetry.ChangeList, error) {
	return h.operate(ctx, name, telemetry.ChangeRestart, false, func(ctx context.Context, e *entry) error {
		return e.asked("restarted by an operator", func() error { return e.restart(ctx) })
	})
}

func (e *entry) restart(ctx context.Context) error {
	i := e.now
	switch {
	case i.attached():
		return fmt.Errorf("somebody else starts it, and has to start it again")
	case i.stopped != "":
		i.start(e.host.life)
	default:
		if err := i.mayStart(); err != nil {
			return fmt.Errorf("the process that runs is left alone, as it could not be started again: %w", err)
		}
		if err := i.child.Restart(ctx); err != nil {
			return err
		}
	}
	return i.awaitWork(ctx)
}

// Upgrade lets a new process of the same command take over: its program is another one by now.
func (h *Host) Upgrade(ctx context.Context, name string) (telemetry.ChangeList, error) {
	return h.operate(ctx, name, telemetry.ChangeUpgrade, false, func(ctx context.Context, e *entry) error {
		return e.asked("upgraded by an operator", func() error { return e.swap(ctx, e.plan()) })
	})
}
