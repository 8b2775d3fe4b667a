package lines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// An emitter takes batches as the bus does: those that were posted are looked at later, by somebody else, while their
// owner reads on.
type emitter struct {
	shut   chan struct{} // closed: nothing is taken any more
	posted chan *telemetry.Batch
	idle   chan *telemetry.Batch

	mu      sync.Mutex
	blocked sync.Mutex   // held: the bus takes nothing
	came    atomic.Int32 // batches that have come to be stored
	points  []telemetry.Point
	batches int
	drops   map[string]int
	refusal error
}

func newEmitter(t testing.TB) *emitter {
	e := &emitter{
		shut:   make(chan struct{}),
		posted: make(chan *telemetry.Batch, 2), // two messages, as the outlet of a plugin holds
		idle:   make(chan *telemetry.Batch, 16),
		drops:  map[string]int{},
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := range e.posted {
			e.store(b)
			b.Reset()
			select {
			case e.idle <- b:
			default:
			}
		}
	})
	t.Cleanup(func() {
		close(e.posted)
		wg.Wait()
	})
	return e
}

// store keeps what a reader of the message would see.
func (e *emitter) store(b *telemetry.Batch) {
	e.came.Add(1)
	e.blocked.Lock()
	defer e.blocked.Unlock()
	var got telemetry.Batch
	if err := got.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil && b.Len() > 0 {
		panic(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.batches++
	for p := range got.Points() {
		e.points = append(e.points, p)
	}
	b.Drops().Each(func(c telemetry.Code, n int) { e.drops[c.String()] += n })
}

func (e *emitter) Emit(b *telemetry.Batch) error {
	e.mu.Lock()
	err := e.refusal
	e.mu.Unlock()
	if err == nil {
		e.store(b)
	}
	return err
}

func (e *emitter) Post(b *telemetry.Batch, _ time.Duration) error {
	select {
	case <-e.shut:
		return errors.New("stopped")
	default:
	}
	select {
	case e.posted <- b:
		return nil
	case <-e.shut:
		return errors.New("stopped")
	}
}

func (e *emitter) Batch() *telemetry.Batch {
	select {
	case b := <-e.idle:
		return b
	default:
		return &telemetry.Batch{}
	}
}

func (e *emitter) Drop(reason string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.drops[reason] += n
}

// dropped returns how many were dropped for reason.
func (e *emitter) dropped(reason string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.drops[reason]
}

// count returns how many points have come.
func (e *emitter) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.points)
}

// take waits for n points and returns them.
func (e *emitter) take(t testing.TB, n int) []telemetry.Point {
	t.Helper()
	until(t, fmt.Sprintf("%d points", n), func() bool { return e.count() >= n })
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.points) != n {
		t.Fatalf("%d points, want %d", len(e.points), n)
	}
	points := e.points
	e.points = nil
	return points
}

// patience is long enough for any machine.
const patience = time.Minute

// until polls until ok, and fails the test when that takes too long.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// A rig is a listener at work.
type rig struct {
	*emitter
	t      testing.TB
	l      *listener
	cancel context.CancelFunc
	done   chan struct{}
}

// config returns the defaults, listening at the entries.
func config(listen ...string) Config {
	c := defaults()
	c.Listen = listen
	return c
}

func env(t testing.TB) plugin.Env {
	return plugin.Env{Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})), Host: "h", Name: "lines", Dir: t.TempDir()}
}

// start starts a listener, which ends with the test.
func start(t testing.TB, cfg Config) *rig {
	t.Helper()
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, env(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &rig{newEmitter(t), t, s.(*listener), cancel, make(chan struct{})}
	go func() {
		defer close(r.done)
		if err := s.Stream(ctx, r.emitter); err != nil {
			t.Errorf("stream: %v", err)
		}
	}()
	t.Cleanup(r.stop)
	return r
}

// stop ends the listener and waits for that.
func (r *rig) stop() {
	r.t.Helper()
	r.cancel()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("stream does not end")
	}
	if err := r.l.Close(); err != nil {
		r.t.Errorf("close: %v", err)
	}
}

// address returns where the only socket listens.
func (r *rig) address() net.Addr { return r.l.sockets[0].Addr() }

// dial connects to the only socket.
func (r *rig) dial() net.Conn {
	r.t.Helper()
	a := r.address()
	c, err := net.Dial(a.Network(), a.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// send writes text to c.
func (r *rig) send(c net.Conn, text string) {
	r.t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		r.t.Error(err)
	}
}

// contextOf returns the context of t, to be ended before t.
func contextOf(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}
