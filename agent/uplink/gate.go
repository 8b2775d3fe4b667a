package uplink

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errAway ends what goes on while the bus of the fleet is there.
var errAway = errors.New("the bus of the fleet is away")

// A gate is open while the bus of the fleet is there.
type gate struct {
	mu     sync.Mutex
	up     chan struct{} // closed while it is
	down   chan struct{} // closed while it is not
	since  time.Time
	reason error // of the loss
}

func (g *gate) init() {
	g.up, g.down, g.since = make(chan struct{}), make(chan struct{}), time.Now()
	close(g.down)
}

// open is called at each connect.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if isClosed(g.down) {
		g.since, g.down, g.reason = time.Now(), make(chan struct{}), nil
		close(g.up)
	}
}

// shut is called when the connection is lost.
func (g *gate) shut(reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if isClosed(g.up) {
		g.since, g.up, g.reason = time.Now(), make(chan struct{}), reason
		close(g.down)
	}
}

func isClosed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// look returns whether the bus is there, since when it is so, and why it is not.
func (g *gate) look() (up bool, since time.Time, reason error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return isClosed(g.up), g.since, g.reason
}

func (g *gate) isUp() bool {
	up, _, _ := g.look()
	return up
}

// await waits until the bus is there, and returns a context that ends when it is not any more, with errAway as its cause.
func (g *gate) await(ctx context.Context) (context.Context, context.CancelFunc, error) {
	for {
		g.mu.Lock()
		up, down := g.up, g.down
		g.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-up:
		}
		if isClosed(down) {
			continue // it was there for a moment: the next one has another channel
		}
		during, cancel := context.WithCancelCause(ctx)
		go func() {
			select {
			case <-down:
				cancel(errAway)
			case <-during.Done():
			}
		}()
		return during, func() { cancel(nil) }, nil
	}
}
