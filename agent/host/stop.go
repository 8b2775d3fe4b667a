package host

import (
	"context"
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
	for _, kind := range []string{config.Collector, config.Processor, config.Publisher} {
		h.settle(ctx, kind)
		var wg sync.WaitGroup
		for _, e := range h.plugins {
			if e.conf.Kind != kind {
				continue
			}
			wg.Go(func() {
				if err := e.child.Stop(ctx); err != nil {
					h.log.Warn("plugin does not stop and is killed", "plugin", e.conf.Name, "error", err)
					e.child.Kill("does not stop")
				}
			})
		}
		wg.Wait()
	}
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
	for _, e := range h.plugins {
		if e.conf.Kind != kind {
			continue
		}
		for _, in := range e.inputs {
			state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
			if err == nil && (state.Pending > 0 || state.AckPending > 0) {
				return true
			}
		}
	}
	return false
}
