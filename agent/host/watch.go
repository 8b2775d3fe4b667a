package host

import (
	"context"
	"time"

	"github.com/pacewire/pacewire/agent/supervise"
)

// watch replaces plugins that hang, until ctx ends.
func (h *Host) watch(ctx context.Context) error {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	wishes := time.NewTicker(wishesEvery)
	defer wishes.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wishes.C:
			h.children.Go(func() { h.lookAtWishes(ctx) })
			continue
		case <-t.C:
		}
		now := time.Now()
		h.inspect(ctx, last, now)
		last = now
	}
}

// inspect looks at every plugin; last is when it did so before. Our own delay is nobody's silence, nor is that of the bus.
func (h *Host) inspect(ctx context.Context, last, now time.Time) {
	blind := now.Sub(last) > 2*watchEvery || !h.conn.Connected()
	if h.resumed() {
		h.children.Go(h.greetAll)
	}
	h.lookForRunDir()
	if h.o.InProcess == nil {
		h.children.Go(func() { h.lookAgain(ctx) })
	}
	h.children.Go(func() { h.endErrands(ctx) }) // a plugin that is slow to take its new work holds up nobody
	for _, e := range h.entries() {
		e.inspect(now, blind)
		e.reconsider()
		e.catchesUp(ctx)
	}
}

// greetAll asks every plugin for a heartbeat.
func (h *Host) greetAll() {
	for _, e := range h.entries() {
		e.current().greet(h.life)
	}
}

// inspect replaces a process that hangs.
func (e *entry) inspect(now time.Time, blind bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := e.now
	if blind {
		i.excuse(now)
		return
	}
	e.look() // silence alone changes the state of one that somebody else has started
	if reason := i.hangs(now); reason != "" {
		e.host.log.Warn("plugin hangs and is replaced", "plugin", e.name, "reason", reason)
		i.child.Replace(reason)
	}
}

// reconsider starts a plugin anew whose program has changed since it failed.
func (e *entry) reconsider() {
	i := e.current()
	if i.attached() || i.child.Status().State != supervise.Failed {
		return
	}
	now := identity(e.plan().command) // without the lock: a file system may hang
	e.mu.Lock()
	changed := i.programs != now && i.programs != ""
	i.programs = now
	e.mu.Unlock()
	if changed {
		e.host.log.Info("program has changed, plugin is started again", "plugin", e.name)
		i.child.Retry("its program has changed")
	}
}
