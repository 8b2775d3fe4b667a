package host

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
)

const (
	quietTime = 45 * time.Second // for operations that are under way: at most a swap whose old process drains already
	stopTime  = 25 * time.Second // for all plugins, before they are killed
	catchUp   = time.Second      // for the readers to finish what the plugins before them have sent
	lookOver  = 20 * time.Millisecond
)

// stop ends the plugins in the direction of the data: collectors, then processors, then publishers, so that what was
// collected can still be brought out. What a reader does not manage stays in the stream for the next start.
func (h *Host) stop(ctx context.Context) {
	h.quiet(ctx)
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	for _, kind := range []string{config.Collector, config.Processor, config.Publisher} {
		h.settle(ctx, kind)
		var wg sync.WaitGroup
		for _, e := range h.ofKind(kind) {
			wg.Go(func() { e.end(ctx) })
		}
		wg.Wait()
	}
}

// quiet waits for the operations that are under way, which end with the agent too, and lets no other begin.
func (h *Host) quiet(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, quietTime)
	defer cancel()
	select {
	case h.changing <- struct{}{}: // for good: nobody adds a plugin any more
	case <-ctx.Done():
	}
	for _, e := range h.entries() {
		_, _ = e.take(ctx) // for good too
	}
}

// agentEnds is why a plugin does not run whose agent ends.
const agentEnds = "the agent ends"

// end stops the plugin with the agent.
func (e *entry) end(ctx context.Context) {
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
	h.caughtUp(ctx, h.readBy(kind))
}

// readBy returns what the plugins of a kind read.
func (h *Host) readBy(kind string) (inputs []bus.Input) {
	for _, e := range h.ofKind(kind) {
		if e.name == e.plugin { // the others read the same
			inputs = append(inputs, e.read()...)
		}
	}
	return inputs
}
