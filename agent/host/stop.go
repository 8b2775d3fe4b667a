package host

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/config"
)

const (
	stopTime = 25 * time.Second // for all plugins, before they are killed
	catchUp  = time.Second      // for the readers to finish what the plugins before them have sent
	lookOver = 20 * time.Millisecond
)

// stop ends the plugins in the direction of the data: collectors, then processors, then publishers, so that what was
// collected can still be brought out. What a reader does not manage stays in the stream for the next start.
func (h *Host) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	select {
	case h.changing <- struct{}{}: // for good: nobody adds a plugin any more
	case <-ctx.Done():
	}
	for _, kind := range []string{config.Collector, config.Processor, config.Publisher} {
		h.settle(ctx, kind)
		var wg sync.WaitGroup
		for _, e := range h.ofKind(kind) {
			wg.Go(func() { e.end(ctx) })
		}
		wg.Wait()
	}
}

// agentEnds is why a plugin does not run whose agent ends.
const agentEnds = "the agent ends"

// end stops the plugin with the agent. An operation on it, which ends with the agent too, is waited for.
func (e *entry) end(ctx context.Context) {
	if release, err := e.take(ctx); err == nil {
		defer release()
	}
	switch i := e.current(); {
	case i.plan.conf.Keep: // it is for the next agent
	case i.attached(): // it goes on without one
		i.detach()
	default:
		i.stop(ctx, agentEnds)
	}
}

// ofKind returns the plugins of a kind.
func (h *Host) ofKind(kind string) []*entry {
	return slices.DeleteFunc(h.entries(), func(e *entry) bool { return e.plan().conf.Kind != kind })
}

// settle waits, but not for long, until the plugins of a kind have read everything that is there for them.
func (h *Host) settle(ctx context.Context, kind string) {
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	for h.backlog(ctx, kind) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookOver):
		}
	}
}

// backlog reports whether a consumer of a plugin of a kind has something to give out, or given out and not settled.
func (h *Host) backlog(ctx context.Context, kind string) bool {
	for _, e := range h.ofKind(kind) {
		for _, in := range e.plan().inputs {
			state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
			if err == nil && (state.Pending > 0 || state.AckPending > 0) {
				return true
			}
		}
	}
	return false
}
