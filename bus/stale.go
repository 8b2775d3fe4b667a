package bus

import (
	"net"
	"sync/atomic"
	"time"
)

// staleDialer makes connections on which nothing arrives late. When a link has been dead for so long that the client gives a
// connection up, the kernel still holds what was written meanwhile, and sends it when the link is back: heartbeats of minutes ago, as if
// fresh. Such a connection is reset instead of closed, which drops that.
type staleDialer struct {
	timeout time.Duration
	stale   time.Duration // a server that is there is heard more often than that: it answers pings
}

// Dial connects.
func (d staleDialer) Dial(network, address string) (net.Conn, error) {
	c, err := net.DialTimeout(network, address, d.timeout)
	if err != nil {
		return nil, err
	}
	return &staleConn{Conn: c, stale: d.stale, begun: time.Now()}, nil
}

type staleConn struct {
	net.Conn
	stale time.Duration
	begun time.Time
	heard atomic.Int64 // ns since begun
}

// Read notes that the other end lives.
func (c *staleConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(int64(time.Since(c.begun)))
	}
	return n, err
}

// Close closes the connection; one whose other end was not heard for long is reset.
func (c *staleConn) Close() error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok && time.Since(c.begun)-time.Duration(c.heard.Load()) > c.stale {
		_ = tcp.SetLinger(0) // closing is all that is left to do
	}
	return c.Conn.Close()
}
