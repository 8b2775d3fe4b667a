package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// echoing is a server that says each line again.
func echoing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

// client is one of a proxy.
type client struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialProxy(t *testing.T, p *proxy) client {
	t.Helper()
	c, err := net.Dial("tcp", p.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return client{t, c, bufio.NewReader(c)}
}

// says sends a line and expects it again.
func (c client) says(line string) {
	c.t.Helper()
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
	c.hears(line)
}

func (c client) hears(line string) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if got, err := c.r.ReadString('\n'); err != nil || got != line+"\n" {
		c.t.Errorf("heard %q, %v; want %q", got, err, line)
	}
}

// silent expects that nothing comes for a moment.
func (c client) silent() {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if got, err := c.r.ReadString('\n'); !errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Errorf("heard %q, %v", got, err)
	}
}

func openProxy(t *testing.T) *proxy {
	t.Helper()
	p, err := newProxy(echoing(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestProxyPasses(t *testing.T) {
	p := openProxy(t)
	c := dialProxy(t, p)
	c.says("hello")
	c.says("again")
	if p.Passed(there) != 12 || p.Passed(back) != 12 {
		t.Errorf("%d and %d bytes passed", p.Passed(there), p.Passed(back))
	}
	p.Slow(5*time.Millisecond, 1000)
	begin := time.Now()
	c.says("slowly")
	if took := time.Since(begin); took < 20*time.Millisecond {
		t.Errorf("7 bytes at 1,000 bytes/s and 5 ms, each way, took %v", took)
	}
}

func TestProxyCuts(t *testing.T) {
	p := openProxy(t)
	c := dialProxy(t, p)
	c.says("hello")
	p.Set(cut)
	_ = c.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := c.r.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is not cut: %v", err)
	}
	next, err := net.Dial("tcp", p.Address()) // the kernel takes it, the proxy does not: now, or before this is told
	if err == nil {
		_ = next.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := next.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a new connection is not cut: %v", err)
		}
		_ = next.Close()
	}
	if p.Refused() != 1 {
		t.Errorf("%d connections were refused", p.Refused())
	}
	p.Set(pass)
	dialProxy(t, p).says("healed")
}

// What a black hole has not taken comes out of it when it is healed.
func TestProxyHoldsBack(t *testing.T) {
	f := func(harm func(p *proxy)) {
		t.Helper()
		p := openProxy(t)
		c := dialProxy(t, p)
		c.says("hello")
		harm(p)
		if _, err := io.WriteString(c, "kept\n"); err != nil {
			t.Fatal(err)
		}
		c.silent()
		if p.Held() < int64(len("kept\n")) {
			t.Errorf("%d bytes were held", p.Held())
		}
		p.Set(pass)
		c.hears("kept")
	}
	f(func(p *proxy) { p.Set(blackhole) })
	f(func(p *proxy) { p.SetHalf(there, blackhole) })
	f(func(p *proxy) { p.SetHalf(back, blackhole) })
}

// Close does not wait for connections that a black hole holds.
func TestProxyCloses(t *testing.T) {
	p := openProxy(t)
	c := dialProxy(t, p)
	c.says("hello")
	p.Set(blackhole)
	p.Close()
}

func TestSlowWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proxy{latency: time.Second, rate: 10}
		begin := time.Now()
		if err := p.write(there, io.Discard, make([]byte, 50)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 6*time.Second || p.Passed(there) != 50 {
			t.Errorf("50 bytes at 10 bytes/s, a second late, took %v; %d passed", took, p.Passed(there))
		}
	})
}
