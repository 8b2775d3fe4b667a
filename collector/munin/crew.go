package munin

import (
	"context"
	"errors"
	"sync"
	"time"
)

// An errand is a run of a plugin that was due at a time.
type errand struct {
	job
	*known
	at     time.Time
	result result
}

// A crew runs plugins side by side, so many at a time. One goroutine sends it, and awaits what comes back.
type crew struct {
	life  context.Context //nolint:containedctx // of runs that go on beyond their tick
	stop  context.CancelFunc
	slots chan struct{} // one for each run
	back  chan *errand
	out   int // errands that are not back yet
	all   sync.WaitGroup
}

func newCrew(life context.Context, size int) *crew {
	c := &crew{slots: make(chan struct{}, size), back: make(chan *errand)}
	c.life, c.stop = context.WithCancel(life)
	return c
}

// send has e done as soon as there is room, within life.
func (c *crew) send(life context.Context, e *errand) {
	c.out++
	c.all.Go(func() {
		c.slots <- struct{}{}
		if !errors.Is(life.Err(), context.Canceled) {
			e.result = e.run(life)
		}
		<-c.slots
		select {
		case c.back <- e:
		case <-c.life.Done(): // nobody waits any more
		}
	})
}

// await returns the errands that are back when all are, or when ctx ends.
func (c *crew) await(ctx context.Context) (list []*errand) {
	for c.out > 0 {
		select {
		case e := <-c.back:
			c.out--
			list = append(list, e)
		case <-ctx.Done():
			return list
		}
	}
	return list
}

// end ends what is at work, and waits until it has.
func (c *crew) end() {
	c.stop()
	c.all.Wait()
}
