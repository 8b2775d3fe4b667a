package main

import (
	"io"
	"net"
	"sync"
	"time"
)

// A mode is what a proxy does with a direction of its connections.
type mode int

const (
	pass      mode = iota
	blackhole      // nothing is let through, not even an end: the sender's buffers fill
	cut            // connections are reset, new ones too
)

// A way is a direction: what the client says, or what the server answers.
type way int

const (
	there way = iota
	back
)

// A proxy is a TCP connection between two parts that can be harmed.
type proxy struct {
	to     string
	listen net.Listener
	done   sync.WaitGroup

	mu      sync.Mutex
	change  chan struct{} // closed at a change of what follows
	modes   [2]mode       // by way
	latency time.Duration // of each way
	rate    int           // bytes/s of each way and connection; 0: as they come
	links   map[*link]bool
	passed  [2]int64 // bytes
	refused int      // connections that were reset at their begin
	held    int64    // bytes that a black hole has not let through
	ended   bool
}

// link is one connection through a proxy.
type link struct{ client, server *net.TCPConn }

// newProxy starts a proxy to an address, on a free port.
func newProxy(to string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{to: to, listen: l, change: make(chan struct{}), links: map[*link]bool{}}
	p.done.Go(p.serve)
	return p, nil
}

// Address is where the proxy listens.
func (p *proxy) Address() string { return p.listen.Addr().String() }

// Close ends the proxy and all its connections.
func (p *proxy) Close() {
	_ = p.listen.Close()
	p.set(func() { p.ended = true })
	p.Reset()
	p.done.Wait()
}

// Set changes what both ways do; a cut resets the connections that are there.
func (p *proxy) Set(m mode) {
	p.set(func() { p.modes = [2]mode{m, m} })
	if m == cut {
		p.Reset()
	}
}

// SetHalf changes what one way does: half open.
func (p *proxy) SetHalf(w way, m mode) { p.set(func() { p.modes[w] = m }) }

// Slow delays each way, and lets so many bytes a second through, 0: all.
func (p *proxy) Slow(latency time.Duration, rate int) {
	p.set(func() { p.latency, p.rate = latency, rate })
}

// Passed returns how many bytes went a way so far.
func (p *proxy) Passed(w way) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.passed[w]
}

// Refused returns how many connections were reset at their begin.
func (p *proxy) Refused() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// Held returns how many bytes a black hole has taken and not let through, until it was healed.
func (p *proxy) Held() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// Reset resets the connections that are there.
func (p *proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

func (l *link) reset() {
	for _, c := range []*net.TCPConn{l.client, l.server} {
		_ = c.SetLinger(0) // RST instead of FIN
		_ = c.Close()
	}
}

func (p *proxy) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
	close(p.change)
	p.change = make(chan struct{})
}

func (p *proxy) serve() {
	for {
		c, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.done.Go(func() { p.connect(c.(*net.TCPConn)) })
	}
}

// connect carries one connection until it ends.
func (p *proxy) connect(client *net.TCPConn) {
	server, err := net.DialTimeout("tcp", p.to, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client, server.(*net.TCPConn)}
	if !p.admit(l) {
		l.reset()
		return
	}
	var ways sync.WaitGroup
	ways.Go(func() { p.carry(there, l.server, l.client) })
	ways.Go(func() { p.carry(back, l.client, l.server) })
	ways.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// admit takes a connection in, unless they are being cut.
func (p *proxy) admit(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.modes[there] == cut || p.modes[back] == cut {
		p.refused++
		return false
	}
	p.links[l] = true
	return true
}

// carry carries one way until a side ends. The other way ends then too: nobody here uses half of a connection.
func (p *proxy) carry(w way, to, from *net.TCPConn) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && (!p.opens(w, n) || p.write(w, to, buf[:n]) != nil) {
			return
		}
		if err != nil {
			p.open(w)
			return
		}
	}
}

// opens is open for so many bytes that were read already.
func (p *proxy) opens(w way, bytes int) bool {
	p.mu.Lock()
	if p.modes[w] == blackhole {
		p.held += int64(bytes)
	}
	p.mu.Unlock()
	return p.open(w)
}

// open waits while a way is a black hole, and reports whether the proxy still runs.
func (p *proxy) open(w way) bool {
	for {
		p.mu.Lock()
		m, ended, change := p.modes[w], p.ended, p.change
		p.mu.Unlock()
		if ended || m != blackhole {
			return !ended
		}
		<-change
	}
}

// write writes what was read, late or in pieces where that is asked for.
func (p *proxy) write(w way, to io.Writer, b []byte) error {
	p.mu.Lock()
	latency := p.latency
	p.passed[w] += int64(len(b))
	p.mu.Unlock()
	time.Sleep(latency)
	for len(b) > 0 {
		n := p.piece(len(b))
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// piece waits as long as the rate asks for before a piece of n bytes, and returns how long that may be. A rate that changes
// counts at once.
func (p *proxy) piece(n int) int {
	p.mu.Lock()
	rate, change := p.rate, p.change
	p.mu.Unlock()
	if rate <= 0 {
		return n
	}
	n = min(n, max(1, rate/10))
	select {
	case <-time.After(time.Duration(n) * time.Second / time.Duration(rate)):
	case <-change:
	}
	return n
}

// proxyTo starts a proxy that ends with the row.
func (t *trial) proxyTo(address string) *proxy {
	p, err := newProxy(address)
	t.must(err, "start a proxy")
	t.cleanup(p.Close)
	return p
}
