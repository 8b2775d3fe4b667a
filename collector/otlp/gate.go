package otlp

import (
	"net"
	"sync"
)

// A gate lets only so many connections in. Others are closed at once: whoever waited in vain would not know why.
type gate struct {
	net.Listener
	l *listener
}

// Accept returns the next connection that there is a place for.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err // of those that pass, such as too many open files, the server waits for the end
		}
		select {
		case g.l.slots <- struct{}{}:
			return &visitor{c, sync.OnceFunc(func() { <-g.l.slots })}, nil
		default:
			g.l.log.Debug("connection refused", "listen", g.Addr().String(), "max_connections", cap(g.l.slots))
			_ = c.Close()
		}
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
