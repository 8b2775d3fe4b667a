package listen

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A Gate lets only so many connections in, over all sockets that it is before. Others are closed at once: whoever waited in vain
// would not know why.
type Gate struct {
	log     *slog.Logger
	slots   chan struct{} // one for each connection that is open
	refused Throttle
}

// NewGate returns a gate for a number of connections.
func NewGate(most int, log *slog.Logger) *Gate {
	return &Gate{log: log, slots: make(chan struct{}, most)}
}

// Open returns how many connections are open.
func (g *Gate) Open() int { return len(g.slots) }

// Before returns s with the gate before it, until ctx ends.
func (g *Gate) Before(ctx context.Context, s net.Listener) net.Listener {
	return &gated{s, g, ctx.Done()}
}

// A gated socket has a gate before it.
type gated struct {
	net.Listener
	gate *Gate
	done <-chan struct{}
}

const (
	shortPause = 5 * time.Millisecond
	longPause  = time.Second
)

// Accept returns the next connection that there is a place for. It fails only when the socket is closed.
func (g *gated) Accept() (net.Conn, error) {
	pause := shortPause
	for {
		c, err := g.Listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil, err
		case err != nil: // such as too many open files
			g.report("error", err)
			g.wait(pause)
			pause = min(2*pause, longPause)
			continue
		}
		pause = shortPause
		select {
		case g.gate.slots <- struct{}{}:
			return &visitor{Conn: c, leave: sync.OnceFunc(func() { <-g.gate.slots })}, nil
		default:
			g.report("max_connections", cap(g.gate.slots))
			_ = c.Close()
		}
	}
}

func (g *gated) report(key string, value any) {
	if more, ok := g.gate.refused.Pass(); ok {
		g.gate.log.Warn("connection refused", "listen", g.Addr().String(), key, value, "unreported", more)
	}
}

func (g *gated) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.done:
	}
}

// A visitor is a connection that the gate has let in.
type visitor struct {
	net.Conn
	leave func()
}

// Close closes the connection and frees its place.
func (v *visitor) Close() error {
	defer v.leave()
	return v.Conn.Close()
}
