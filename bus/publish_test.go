package bus_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

const limit = time.Minute // of any wait in these tests

// tally counts verdicts on messages.
type tally struct {
	mu     sync.Mutex
	stored map[string]int
	errs   []error
}

func newTally() *tally { return &tally{stored: make(map[string]int)} }

func (o *tally) done(body string) func(error) {
	return func(err error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if err != nil {
			o.errs = append(o.errs, err)
			return
		}
		o.stored[body]++
	}
}

func (o *tally) counts() (stored, failed int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.stored), len(o.errs)
}

func flush(t testing.TB, f interface{ Flush(context.Context) error }) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := f.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func streamState(t testing.TB, c *bus.Conn, stream string) bus.StreamState {
	t.Helper()
	s, err := c.StreamInfo(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The server restarts twice under load, each time with messages that it has stored and nobody knows of: everything
// acknowledged is in the stream once, and everything sent is acknowledged.
func TestPublishThroughRestarts(t *testing.T) {
	b := bustest.New(t)
	link, hub := bustest.NewLink(t, b.URL), b.Conn(t, "hub")
	c := b.Dial(t, bus.Options{User: "h1_cpu", URL: link.URL})
	p := publisher(t, c, bus.PublisherOptions{})
	o := newTally()
	count := 0
	send := func(n int) {
		for range n {
			body := fmt.Sprint(count)
			if err := p.Send(t.Context(), metric(body), o.done(body)); err != nil {
				t.Error(err)
				return
			}
			count++
		}
	}
	const restarts, unknown = 2, 100
	for range restarts {
		send(500)
		flush(t, p)
		link.Deafen() // a server that ends in good order answers first, when it can
		send(unknown)
		bustest.Wait(t, limit, "what nobody is told of", func() bool {
			s, err := hub.StreamInfo(t.Context(), bus.StreamMetrics)
			return err == nil && s.Messages == uint64(count)
		})
		var load sync.WaitGroup
		load.Go(func() { send(1000) })
		b.Stop(t)
		link.Heal()
		b.Start(t)
		load.Wait()
		flush(t, p)
	}
	if stored, failed := o.counts(); stored != count || failed != 0 {
		t.Errorf("stored %d, failed %d of %d: %v", stored, failed, count, o.errs)
	}
	if s := p.Stats(); s.Resent < restarts*unknown || s.Duplicates < restarts*unknown || s.ForeignDuplicate != 0 || s.State != bus.StateOK {
		t.Errorf("INVALID or wrong: %+v", s)
	}
	k := consumer(t, c, input("oracle"), bus.ConsumeOptions{})
	seen := make(map[string]int)
	for len(seen) < count {
		d := next(t, k)
		seen[string(d.Body)]++
		if seen[string(d.Body)] > 1 && d.Deliveries == 1 {
			t.Errorf("%s is stored twice", d.Body)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if s := streamState(t, c, bus.StreamMetrics); s.Messages != uint64(count) {
		t.Errorf("stream has %d messages; want %d", s.Messages, count)
	}
}

// While nothing is acknowledged, the window holds its bounds in bytes and in
// messages, and Send blocks.
func TestWindow(t *testing.T) {
	f := func(o bus.PublisherOptions, size, want int) {
		t.Helper()
		b := bustest.New(t)
		c := b.Conn(t, "h1_cpu")
		p := publisher(t, c, o)
		b.Stop(t)
		bustest.Wait(t, limit, "disconnect", func() bool { return p.State() == bus.StateDisconnected })
		ctx, cancel := context.WithCancel(t.Context())
		body := strings.Repeat("x", size)
		var blocked error
		var load sync.WaitGroup
		load.Go(func() {
			for blocked == nil {
				blocked = p.Send(ctx, metric(body), func(error) {})
			}
		})
		bustest.Wait(t, limit, "full window", func() bool { return p.Stats().InFlight == want })
		if s := p.Stats(); s.InFlightBytes > max(o.MaxBytes, size+1000) || s.State != bus.StateDisconnected {
			t.Errorf("stats %+v", s)
		}
		cancel()
		load.Wait()
		if !errors.Is(blocked, context.Canceled) {
			t.Errorf("blocked Send: %v", blocked)
		}
		b.Start(t)
		flush(t, p)
		if s := p.Stats(); s.Stored != uint64(want) || s.InFlightBytes != 0 {
			t.Errorf("after: %+v", s)
		}
	}
	f(bus.PublisherOptions{MaxBytes: 100_000}, 9_000, 10)
	f(bus.PublisherOptions{MaxBytes: 1 << 20, MaxMessages: 7}, 100, 7)
	f(bus.PublisherOptions{MaxBytes: 10_000}, 50_000, 1) // larger than the window: alone
}

func TestDuplicates(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_cpu")
	p := publisher(t, c, bus.PublisherOptions{})
	m := metric("x")
	m.ID = bus.DerivedID("h1/cpu/9f3c1a7e5b2d4c60/812", "filter", 1)
	if m.ID != "h1/cpu/9f3c1a7e5b2d4c60/812+filter" {
		t.Errorf("derived id %q", m.ID)
	}
	for range 2 {
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Stats(); s.Stored != 2 || s.Duplicates != 1 || s.ForeignDuplicate != 0 {
		t.Errorf("stats %+v", s)
	}
	if s := streamState(t, c, bus.StreamMetrics); s.Messages != 1 {
		t.Errorf("%d messages", s.Messages)
	}
}

// Another plugin has read our id and used it: our message is stored all the same.
func TestForeignDuplicate(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_cpu")
	victim := publisher(t, c, bus.PublisherOptions{})
	if err := victim.Publish(t.Context(), metric("first")); err != nil {
		t.Fatal(err)
	}
	k := consumer(t, c, input("spy"), bus.ConsumeOptions{})
	id := next(t, k).ID
	stem, ok := strings.CutSuffix(id, "/1")
	if !ok || !strings.HasPrefix(id, "h1/cpu/") {
		t.Fatalf("id %q", id)
	}
	thief := publisher(t, b.Conn(t, "h1_mem"), bus.PublisherOptions{Host: "h1", Plugin: "mem"})
	m := bus.Message{Subject: bus.MetricsSubject("h1", "mem"), ID: stem + "/2", Body: []byte("stolen")}
	if err := thief.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if err := victim.Publish(t.Context(), metric("second")); err != nil {
		t.Fatal(err)
	}
	if s := victim.Stats(); s.ForeignDuplicate != 1 || s.Stored != 2 {
		t.Errorf("stats %+v", s)
	}
	d := next(t, k)
	if string(d.Body) != "second" || strings.HasPrefix(d.ID, stem) || !strings.HasSuffix(d.ID, "/1") {
		t.Errorf("%q with id %q", d.Body, d.ID)
	}
}

func TestTooLarge(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_cpu")
	p := publisher(t, c, bus.PublisherOptions{MaxBytes: 8 << 20})
	if err := p.Publish(t.Context(), metric(strings.Repeat("x", 1<<20))); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("above the server's limit: %v", err)
	}
	event := bus.Message{Subject: bus.EventSubject("h1", "cpu", "x"), Body: make([]byte, 300<<10)}
	if err := p.Publish(t.Context(), event); !errors.Is(err, bus.ErrTooLarge) {
		t.Errorf("above the stream's limit: %v", err)
	}
	if err := p.Publish(t.Context(), metric("small")); err != nil {
		t.Errorf("after: %v", err)
	}
	if !c.Connected() {
		t.Error("connection was lost")
	}
}

func TestNoStreamThenCreated(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, "h1_cpu")
	p := publisher(t, c, bus.PublisherOptions{})
	o := newTally()
	if err := p.Send(t.Context(), metric("early"), o.done("early")); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, limit, "state no_stream", func() bool { return p.State() == bus.StateNoStream })
	if err := c.EnsureStreams(t.Context(), smallStreams()); err != nil {
		t.Fatal(err)
	}
	flush(t, p)
	if stored, failed := o.counts(); stored != 1 || failed != 0 || p.State() != bus.StateOK {
		t.Errorf("stored %d, failed %d, state %s", stored, failed, p.State())
	}
}

func smallStreams() bus.StreamSettings {
	s := bus.DefaultStreams()
	s.MetricsMaxBytes, s.EventsMaxBytes, s.DeadMaxBytes = 64<<20, 8<<20, 8<<20
	return s
}

// A server whose store is smaller than its streams promise says 503; what waits
// goes on when a larger store is there.
func TestStorageFull(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{MaxStore: 12 << 20})
	c := b.Conn(t, "hub")
	settings := smallStreams()
	if err := c.EnsureStreams(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	shrunk := streamState(t, c, bus.StreamMetrics).MaxBytes
	if shrunk >= settings.MetricsMaxBytes || shrunk > 12<<20 {
		t.Errorf("METRICS was not shrunk: %d", shrunk)
	}
	b.Resize(2 << 20) // below what the streams may take
	b.Restart(t)
	var mu sync.Mutex
	var states []bus.PublisherState
	p := publisher(t, c, bus.PublisherOptions{OnState: func(s bus.PublisherState) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, s)
	}})
	o := newTally()
	body := strings.Repeat("x", 200<<10)
	for i := range 15 {
		name := fmt.Sprint(i)
		if err := p.Send(t.Context(), metric(body), o.done(name)); err != nil {
			t.Fatal(err)
		}
	}
	bustest.Wait(t, limit, "state storage_full", func() bool { return p.State() == bus.StateStorageFull })
	if s := p.Stats(); s.StorageFull == 0 || s.InFlight == 0 {
		t.Errorf("stats %+v", s)
	}
	b.Resize(64 << 20)
	b.Restart(t)
	flush(t, p)
	if stored, failed := o.counts(); stored != 15 || failed != 0 {
		t.Errorf("stored %d, failed %d: %v", stored, failed, o.errs)
	}
	bustest.Wait(t, limit, "state ok", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(states) > 1 && states[len(states)-1] == bus.StateOK
	})
}

func TestDenied(t *testing.T) {
	b := bustest.Guarded(t)
	denied := make(chan error, 10)
	_, creds := b.Grant(t, "h1_cpu", &embedded.Rights{
		Publish:   []string{"pw.metrics.h1.cpu", "pw.hb.h1.cpu.htb"},
		Subscribe: []string{"_INBOX_h1_cpu.>", "pw.ctl.h1.cpu.*"},
	})
	c := b.Dial(t, bus.Options{User: "h1_cpu", CredsFile: creds, OnDenied: func(err error) { denied <- err }})
	p := publisher(t, c, bus.PublisherOptions{})
	foreign := bus.Message{Subject: bus.MetricsSubject("h1", "mem"), Body: []byte("forged")}
	err := p.Publish(t.Context(), foreign)
	if !errors.Is(err, bus.ErrDenied) || !strings.Contains(err.Error(), foreign.Subject) {
		t.Errorf("forged publish: %v", err)
	}
	if err := <-denied; !strings.Contains(err.Error(), foreign.Subject) {
		t.Errorf("OnDenied: %v", err)
	}
	if p.State() != bus.StateDenied {
		t.Errorf("state %s", p.State())
	}
	if err := p.Publish(t.Context(), metric("own")); err != nil || p.State() != bus.StateOK {
		t.Errorf("own subject: %v, %s", err, p.State())
	}
	if _, err := c.Consume(t.Context(), bus.StreamMetrics, "other", bus.ConsumeOptions{}); !errors.Is(err, bus.ErrDenied) {
		t.Errorf("consumed without a right to: %v", err)
	}
	if _, err := c.Request(t.Context(), bus.HubSubject("get"), []byte("x")); !errors.Is(err, bus.ErrDenied) {
		t.Errorf("asked without a right to: %v", err)
	}
	if c.Denied() != 3 {
		t.Errorf("%d denied", c.Denied())
	}
}

func TestPublisherClose(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_cpu")
	p := publisher(t, c, bus.PublisherOptions{})
	b.Stop(t)
	o := newTally()
	if err := p.Send(t.Context(), metric("x"), o.done("x")); err != nil {
		t.Fatal(err)
	}
	p.Close()
	p.Close()
	if _, failed := o.counts(); failed != 1 || !errors.Is(o.errs[0], bus.ErrClosed) {
		t.Errorf("%d failed: %v", failed, o.errs)
	}
	if err := p.Send(t.Context(), metric("x"), o.done("x")); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Send after Close: %v", err)
	}
}

func TestPublisherOfClosedConn(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_cpu")
	p := publisher(t, c, bus.PublisherOptions{})
	b.Stop(t)
	o := newTally()
	if err := p.Send(t.Context(), metric("x"), o.done("x")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	bustest.Wait(t, limit, "a verdict", func() bool { _, failed := o.counts(); return failed == 1 })
	if err := p.Publish(t.Context(), metric("x")); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("Publish: %v", err)
	}
}

// A lost answer is not a lost message: it is sent again under the same id.
func TestAckTimeout(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	c := b.Conn(t, "h1_cpu")
	listener, err := bus.Handle(c, bus.MetricsSubject("h1", "cpu"), bus.Rules{},
		func(b []byte) (string, error) { return string(b), nil },
		func(context.Context, bus.Subject, string) ([]byte, error) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	p := publisher(t, c, bus.PublisherOptions{AckTimeout: 100 * time.Millisecond})
	o := newTally()
	if err := p.Send(t.Context(), metric("x"), o.done("x")); err != nil {
		t.Fatal(err)
	}
	// The listener hides that there is no stream, so only the timeout helps.
	bustest.Wait(t, limit, "a second send", func() bool { return p.Stats().Resent > 0 })
	if err := c.EnsureStreams(t.Context(), smallStreams()); err != nil {
		t.Fatal(err)
	}
	listener.Stop()
	flush(t, p)
	if s := streamState(t, c, bus.StreamMetrics); s.Messages != 1 {
		t.Errorf("%d messages", s.Messages)
	}
}

func TestManySenders(t *testing.T) {
	b := bustest.New(t)
	p := publisher(t, b.Conn(t, "h1_cpu"), bus.PublisherOptions{MaxMessages: 4})
	var load sync.WaitGroup
	for range 8 {
		load.Go(func() {
			for range 100 {
				if err := p.Publish(t.Context(), metric("x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	load.Wait()
	flush(t, p) // a verdict is given before its slot is free
	if s := p.Stats(); s.Stored != 800 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}
}
