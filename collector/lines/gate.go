package lines

import (
	"errors"
	"net"
	"sync"
	"time"
)

// A gate lets only so many connections in. Others are closed at once: whoever waited in vain would not know why.
type gate struct {
	net.Listener
	l    *listener
	done <-chan struct{}
}

const (
	shortPause = 5 * time.Millisecond
	longPause  = time.Second
)

// Accept returns the next connection that there is a place for. It fails only when the gate is closed.
func (g *gate) Accept() (net.Conn, error) {
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
		case g.l.slots <- struct{}{}:
			return &visitor{Conn: c, leave: sync.OnceFunc(func() { <-g.l.slots })}, nil
		default:
			g.report("max_connections", cap(g.l.slots))
			_ = c.Close()
		}
	}
}

func (g *gate) report(key string, value any) {
	if more, ok := g.l.reports.connections.pass(); ok {
		g.l.log.Warn("connection refused", "listen", g.Addr().String(), key, value, "unreported", more)
	}
}

func (g *gate) wait(d time.Duration) {
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
