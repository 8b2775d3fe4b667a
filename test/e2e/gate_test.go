package e2e

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A gate is the way to a bus. While it is shut it is a black hole: connections stay, new ones are taken, and what goes in is lost.
type gate struct {
	url  string
	to   string
	shut atomic.Bool

	mu    sync.Mutex
	ends  []net.Conn
	done  bool
	pipes sync.WaitGroup
}

func openGate(t testing.TB, url string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{url: "nats://" + l.Addr().String(), to: strings.TrimPrefix(url, "nats://")}
	g.pipes.Go(func() { g.run(l) })
	t.Cleanup(func() {
		_ = l.Close()
		g.close()
	})
	return g
}

func (g *gate) run(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed
		}
		g.pipes.Go(func() { g.connect(client) })
	}
}

func (g *gate) connect(client net.Conn) {
	server, err := net.Dial("tcp", g.to)
	if err != nil {
		_ = client.Close() // as a bus that is not there would
		return
	}
	if !g.keep(client, server) {
		return
	}
	var lost atomic.Bool // bytes of this connection: what comes after them makes no sense
	g.pipes.Go(func() { g.pipe(client, server, &lost) })
	g.pipe(server, client, &lost)
}

// pipe copies until from ends. The end of a connection that has lost something reaches nobody either.
func (g *gate) pipe(from, to net.Conn, lost *atomic.Bool) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if g.shut.Load() {
			lost.Store(true)
		}
		switch {
		case err != nil && lost.Load():
			return
		case err != nil:
			_ = to.Close()
			return
		case !lost.Load():
			_, _ = to.Write(buf[:n]) // the read on the other side tells
		}
	}
}

// keep notes both ends of a connection; false: it is too late.
func (g *gate) keep(ends ...net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.done {
		g.ends = append(g.ends, ends...)
		return true
	}
	for _, c := range ends {
		_ = c.Close()
	}
	return false
}

func (g *gate) close() {
	g.mu.Lock()
	g.done = true
	for _, c := range g.ends {
		_ = c.Close()
	}
	g.mu.Unlock()
	g.pipes.Wait()
}
