package scrape

import (
	"context"
	"time"

	"github.com/pacewire/pacewire/collector"
)

// A crew is the workers of all targets.
type crew struct {
	*scraper
	out collector.Emitter
	at  map[string]*worker // by key of the target
}

// follow ends the workers of targets that are no more, and starts those of new ones.
func (c *crew) follow(ctx context.Context, targets []*target) {
	there := map[string]bool{}
	for _, t := range targets {
		there[t.key] = true
	}
	for key, w := range c.at {
		if there[key] {
			continue
		}
		w.end()
		w.vanish()
		delete(c.at, key)
		c.log.Info("target left out from now on", "url", w.target.url)
	}
	for _, t := range targets {
		if c.at[t.key] != nil {
			continue
		}
		w := newWorker(c.scraper, t, c.out)
		c.at[t.key] = w
		w.start(ctx)
	}
}

// end ends all workers.
func (c *crew) end() {
	for _, w := range c.at {
		w.cancel()
	}
	for _, w := range c.at {
		w.end()
	}
}

// start begins to scrape the target at each interval.
func (w *worker) start(ctx context.Context) {
	ctx, w.cancel = context.WithCancel(ctx)
	w.done = make(chan struct{})
	go func() {
		defer close(w.done)
		w.run(ctx)
	}()
}

// end waits until the worker has ended.
func (w *worker) end() {
	w.cancel()
	<-w.done
}

func (w *worker) run(ctx context.Context) {
	now := time.Now()
	due := now.Add(w.target.first(w.every, now))
	for sleep(ctx, time.Until(due)) {
		w.scrape(ctx)
		due = due.Add(w.every)
		if late := time.Since(due); late > 0 { // the bus was in no hurry
			due = due.Add(late.Truncate(w.every) + w.every)
		}
	}
}
