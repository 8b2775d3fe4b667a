package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"
)

// A Gate lets only so many connections in, over all sockets that it is before. Others are closed at once: whoever waited in vain
// would not know why.
type Gate struct {
	hint  string // what gives room for more
	log   *slog.Logger
	slots chan struct{} // one for each connection that is open

	refused   Throttle
	strangers Throttle
}

// NewGate returns a gate for a number of connections, as many of them as the process may have.
func NewGate(most int, log *slog.Logger) *Gate {
	g := &Gate{log: log, hint: "raise max_connections"}
	if n := bearable(most, maxFiles()); n < most {
		most, g.hint = n, "raise limits: { files } of the plugin: so many connections are all that it can have"
	}
	g.slots = make(chan struct{}, most)
	return g
}

// otherFiles are for what is no connection: the bus, sockets that listen, certificates, what is refused.
const otherFiles = 64

// bearable returns how many connections a process can have that may open a number of files; 0: any number. Without files left it
// could not even refuse somebody.
func bearable(most, files int) int {
	if files == 0 {
		return most
	}
	return max(1, min(most, files-min(otherFiles, files/2)))
}

// Open returns how many connections are open.
func (g *Gate) Open() int { return len(g.slots) }

// Before returns s with the gate before it, until ctx ends. A connection counts from its first byte on, also while it shakes hands.
func (g *Gate) Before(ctx context.Context, s net.Listener) net.Listener {
	if tls, ok := s.(*sealed); ok {
		return &sealed{g.Before(ctx, tls.Listener), tls.config}
	}
	return &gated{s, g, ctx.Done()}
}

// Visits takes the connections of s that the gate lets in, until ctx ends, and closes s. It calls visit for each of them, once its
// hands are shaken where that is wanted, and closes it behind that. It returns when all have ended.
func (g *Gate) Visits(ctx context.Context, s net.Listener, visit func(c net.Conn)) {
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	l := g.Before(ctx, s)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer c.Close()
			if err := shakeHands(ctx, c); err != nil {
				g.stranger(c, err)
				return
			}
			visit(c)
		})
	}
}

// shakeHands does what TLS begins with, where c has it.
func shakeHands(ctx context.Context, c net.Conn) error {
	t, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, headerTime)
	defer cancel()
	return t.HandshakeContext(ctx)
}

// stranger tells of a connection that did not get through the handshake. Whoever only looks whether the port is open says nothing.
func (g *Gate) stranger(c net.Conn, err error) {
	if errors.Is(err, io.EOF) {
		return
	}
	if more, ok := g.strangers.Pass(); ok {
		g.log.Warn("connection refused", "listen", c.LocalAddr().String(), "from", c.RemoteAddr().String(), "error", err, "unreported", more)
	}
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
			g.report("hint", g.gate.hint, "open", cap(g.gate.slots))
			_ = c.Close()
		}
	}
}

func (g *gated) report(facts ...any) {
	if more, ok := g.gate.refused.Pass(); ok {
		g.gate.log.With(facts...).Warn("connection refused", "listen", g.Addr().String(), "unreported", more)
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
