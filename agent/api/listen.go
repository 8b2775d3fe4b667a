package api

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
)

// CheckListen refuses an address that other machines could reach: this version has neither TLS nor accounts for it.
func CheckListen(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "" {
		return fmt.Errorf("web.listen %q: want host:port such as 127.0.0.1:8470", addr)
	}
	if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
		return nil
	}
	return fmt.Errorf("web.listen %s lets other machines reach the API, which needs web.tls and web.accounts: this version has neither yet; "+
		"listen on 127.0.0.1:%s and reach it by ssh -L %s:127.0.0.1:%s", addr, port, port, port)
}

// hostNames returns the names that a Host header may have: of this machine's loopback, and of the address listened on.
func hostNames(listen string) map[string]bool {
	names := map[string]bool{"localhost": true, "127.0.0.1": true, "[::1]": true}
	if host, _, err := net.SplitHostPort(listen); err == nil && host != "" {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		names[strings.ToLower(host)] = true
	}
	return names
}

// known reports whether a Host header names this server. A page of elsewhere whose name was made to lead here does not.
func (s *Server) known(header string) bool {
	host := strings.ToLower(header)
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host = host[:i]
	}
	return s.names[host]
}

// bounded returns l with no more than mostConns connections at a time: a further one waits to be accepted.
func (s *Server) bounded(l net.Listener) net.Listener {
	return &boundedListener{Listener: l, slots: make(chan struct{}, mostConns), done: make(chan struct{}), s: s}
}

type boundedListener struct {
	net.Listener
	slots chan struct{}
	done  chan struct{}
	once  sync.Once
	s     *Server
}

// Accept waits for a free slot, then for a connection.
func (l *boundedListener) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.done:
		return nil, net.ErrClosed
	}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &boundedConn{Conn: c, l: l, reserve: l.s.open.Add(1) > mostConns-reserveConns}, nil
}

// Close ends Accept too.
func (l *boundedListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type boundedConn struct {
	net.Conn
	l       *boundedListener
	once    sync.Once
	reserve bool // it is one of the last that there may be
}

// reserved is the key of a context whose connection is of the reserve.
type reserved struct{}

// connContext tells the requests of a connection of the reserve so: they are answered if they are vital, and end it.
func connContext(ctx context.Context, c net.Conn) context.Context {
	if b, ok := c.(*boundedConn); ok && b.reserve {
		return context.WithValue(ctx, reserved{}, true)
	}
	return ctx
}

func fromReserve(ctx context.Context) bool { return ctx.Value(reserved{}) != nil }

// Close gives the slot back.
func (c *boundedConn) Close() error {
	c.once.Do(func() {
		c.l.s.open.Add(-1)
		<-c.l.slots
	})
	return c.Conn.Close()
}
