package statsd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/plugin"
)

func testEnv(t testing.TB) plugin.Env {
	return plugin.Env{Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Host: "h", Name: "statsd", Dir: t.TempDir()}
}

// A rig is a listener at work, which flushes once an hour: at the end, as a rule.
type rig struct {
	*emitter
	t      testing.TB
	table  *table
	log    *texttest.Buffer
	cancel context.CancelFunc
	done   chan error
}

// start starts a listener, which ends with the test, and returns when it listens.
func start(t testing.TB, change func(*Config), listen ...string) *rig {
	t.Helper()
	cfg := defaults()
	cfg.Listen, cfg.Flush = listen, plugin.Duration(time.Hour)
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &rig{emitter: &emitter{}, t: t, log: &texttest.Buffer{}, done: make(chan error, 1)}
	env := testEnv(t)
	env.Log = slog.New(slog.NewTextHandler(r.log, nil))
	s, err := New(t.Context(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	r.table = s.(*listener).table
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	go func() { r.done <- s.Stream(ctx, r.emitter) }()
	t.Cleanup(r.stop)
	r.until("it listens", func() bool { return len(r.addresses()) == len(listen) })
	return r
}

// addresses returns where it listens, as the log says.
func (r *rig) addresses() (all []string) {
	for line := range strings.Lines(r.log.String()) {
		if _, address, ok := strings.Cut(strings.TrimSpace(line), "msg=listening listen="); ok {
			all = append(all, strings.Trim(address, `"`))
		}
	}
	return all
}

// stop ends the listener, which tells what has come.
func (r *rig) stop() {
	r.t.Helper()
	if r.cancel == nil {
		return
	}
	r.cancel()
	r.cancel = nil
	select {
	case err := <-r.done:
		if err != nil {
			r.t.Errorf("stream: %v", err)
		}
	case <-time.After(patience):
		r.t.Fatal("stream does not end")
	}
}

// total returns the last total of a counter.
func (r *rig) total(name string) (total float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.emitter.points {
		if p.Series == name {
			total = p.Fields["total"].(float64)
		}
	}
	return total
}

// points ends the listener and returns its last flush, without the times.
func (r *rig) points() (points []string) {
	r.t.Helper()
	r.stop()
	for _, line := range r.take() {
		points = append(points, line[:strings.LastIndexByte(line, ' ')])
	}
	return points
}

// dial connects to the n-th address.
func (r *rig) dial(n int) net.Conn {
	r.t.Helper()
	network, address, _ := strings.Cut(r.addresses()[n], "://")
	c, err := net.Dial(network, address)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *rig) send(c net.Conn, text string) {
	r.t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		r.t.Error(err)
	}
}

// patience is long enough for any machine.
const patience = time.Minute

// until polls until ok, and fails the test when that takes too long.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited in vain: %s\n%s", what, r.log)
		}
	}
}

// What comes by all ways is added up, and what was sent before the end is in the last flush.
func TestTransports(t *testing.T) {
	dir := t.TempDir()
	r := start(t, nil, "udp://127.0.0.1:0", "tcp://127.0.0.1:0", "unixgram://"+filepath.Join(dir, "d"), "unix://"+filepath.Join(dir, "s"))
	for i := range 4 {
		c := r.dial(i)
		for range 10 {
			r.send(c, "c:1|c\nc:2|c|#a:b\n")
		}
		r.send(c, "bad\n")
		_ = c.Close()
	}
	r.until("all is read", func() bool { return r.dropped("bad_name") == 4 })
	if got, want := r.points(), []string{"c total=40,value=40", "c,a=b total=80,value=80"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !strings.Contains(r.log.String(), `msg="line refused"`) || !strings.Contains(r.log.String(), "reason=bad_name line=bad") {
		t.Errorf("log:\n%s", r.log)
	}
}

// Lines that are too long, that do not end and that are noise cost themselves alone.
func TestStreamsOfNoise(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxLine = 1000 }, "tcp://127.0.0.1:0")
	c := r.dial(0)
	long := strings.Repeat("x", 1<<20)
	r.send(c, "c:1|c\n"+long+":1|c\nc:1|c\nc:1|c|#"+strings.Repeat("y", 994)+"\nc:1|c|#"+strings.Repeat("y", 993)+"\nc:1")
	_ = c.Close()
	r.until("the connection has ended", func() bool { return r.dropped("unfinished") == 1 })
	if n := r.dropped("too_long"); n != 2 {
		t.Errorf("%d lines too long, want 2", n)
	}
	noise := make([]byte, 1<<20)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise)
	c = r.dial(0)
	r.send(c, string(noise)+"\nc:1|c\n_sc|end\n")
	r.until("the noise is read", func() bool { return r.dropped("bad_check") == 1 })
	_ = c.Close()
	c = r.dial(0)
	r.send(c, "c:1|c\nc:1")
	_ = c.Close()
	r.until("the last connection has ended", func() bool { return r.dropped("unfinished") == 2 })
	if got := r.points(); !slices.Contains(got, "c total=4,value=4") {
		t.Errorf("%q", got)
	}
}

func TestDatagrams(t *testing.T) {
	r := start(t, nil, "udp://127.0.0.1:0", "unixgram://"+filepath.Join(t.TempDir(), "d"))
	udp, local := r.dial(0), r.dial(1)
	const largest = 65507
	line := "c:1|c|#a:b\n"
	r.send(udp, strings.Repeat(line, largest/len(line)))
	r.send(udp, "")
	r.send(udp, "c:1|c|#a:b")
	r.send(udp, "c:1|c|#")
	r.send(udp, "b:1|c\nc:1") // the next datagram does not go on with it
	r.send(udp, "|c")
	r.send(local, strings.Repeat("x", maxDatagramOfAll))
	r.send(local, strings.Repeat("x", maxDatagramOfAll+1))
	r.until("all is read", func() bool {
		return r.dropped("too_long") == 1 && r.dropped("bad_name") == 2 && r.dropped("bad_type") == 1
	})
	want := []string{"b total=1,value=1", "c total=1,value=1", fmt.Sprintf("c,a=b total=%d,value=%[1]d", largest/len(line)+1)}
	if got := r.points(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// maxDatagramOfAll is the largest that is read.
const maxDatagramOfAll = 64 << 10

// What the kernel has no room for is counted: all that was sent is in a point or among the lost.
func TestDatagramsLost(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	r := start(t, func(c *Config) { c.Flush = plugin.Duration(minFlush) }, "udp://127.0.0.1:0")
	c := r.dial(0)
	const lines = 5000 // which take longer to read than to send
	text := strings.Repeat("c:1|c\n", lines)
	sent := 0
	for ; sent < 400; sent++ {
		r.send(c, text)
	}
	r.until("all are told or counted", func() bool {
		r.send(c, text) // the kernel tells with the next one
		sent++
		for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if r.total("c") == float64(lines*(sent-r.dropped("udp_overflow"))) {
				return true
			}
		}
		return false
	})
	t.Logf("%d sent, %d lost", sent, r.dropped("udp_overflow"))
}

func TestConnectionsAreBounded(t *testing.T) {
	r := start(t, func(c *Config) { c.MaxConnections = 1 }, "tcp://127.0.0.1:0")
	r.send(r.dial(0), "c:1|c\n:\n")
	r.until("the first is in", func() bool { return r.dropped("bad_name") == 1 })
	second := r.dial(0)
	_ = second.SetReadDeadline(time.Now().Add(patience))
	var timeout net.Error
	if _, err := second.Read(make([]byte, 1)); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		t.Errorf("the second is not closed: %v", err)
	}
}

// An address that is taken is an error of Stream, which is called again: what was added up is kept.
func TestAddressInUse(t *testing.T) {
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := defaults()
	cfg.Listen = plugin.Strings{"tcp://127.0.0.1:0", "udp://" + taken.LocalAddr().String()}
	s, err := New(t.Context(), cfg, testEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Stream(t.Context(), &emitter{})
	if err == nil || !strings.Contains(err.Error(), "another program listens there: stop it, or set listen to another address") {
		t.Errorf("error %v", err)
	}
	_ = taken.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stream(ctx, &emitter{}); err != nil {
		t.Errorf("once it is free: %v", err)
	}
}
