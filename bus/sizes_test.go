package bus_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// A store is split the same way whether its size is written or the default: half is METRICS, or all above a GiB for the others.
func TestStreamsWithin(t *testing.T) {
	f := func(store, metrics, events, dead int64) {
		t.Helper()
		s := bus.StreamsWithin(store)
		if s.MetricsMaxBytes != metrics || s.EventsMaxBytes != events || s.DeadMaxBytes != dead {
			t.Errorf("of %d MiB: METRICS %d KiB, EVENTS %d KiB, DEAD %d KiB", store>>20, s.MetricsMaxBytes>>10, s.EventsMaxBytes>>10, s.DeadMaxBytes>>10)
		}
	}
	const mib = 1 << 20
	f(bus.DefaultStore, 1024*mib, 256*mib, 64*mib)
	f(1024*mib, 512*mib, 128*mib, 32*mib)
	f(8192*mib, 7168*mib, 256*mib, 64*mib)
	f(300*mib, 150*mib, 75*mib/2, 75*mib/8)
	f(64*mib, 32*mib, 8*mib, 2*mib)
	f(16*mib, 27*mib/4, 2*mib, mib)
	f(8*mib, 9*mib/4, mib, mib)
	if s := bus.StreamsWithin(bus.DefaultStore); s != bus.DefaultStreams() {
		t.Errorf("the default is %+v", s)
	}
}

// Hub and host of an agent make the streams at the same moment, perhaps of other sizes: both end with streams.
func TestStreamsMadeByTwo(t *testing.T) {
	for range 10 {
		b := bustest.Bare(t, embedded.Options{MaxStore: 4 << 30})
		one, other := b.Conn(t, bus.Hub), b.Conn(t, bus.Hub)
		first, second := make(chan error), make(chan error)
		go func() { first <- one.EnsureStreams(t.Context(), bus.DefaultStreams()) }()
		go func() { second <- other.EnsureStreams(t.Context(), smallStreams()) }()
		if err := errors.Join(<-first, <-second); err != nil {
			t.Fatal(err)
		}
	}
}

// Streams and buckets of any store fit into it, with what else is made there.
func TestAllFitsIntoTheStore(t *testing.T) {
	for _, store := range []int64{8 << 20, 9 << 20, 16 << 20, 30 << 20, 64 << 20, 1000 << 20, 3 << 30} {
		b := bustest.Bare(t, embedded.Options{MaxStore: store})
		c := b.Conn(t, bus.Hub)
		s := bus.StreamsWithin(store)
		s.Store = store
		if err := c.EnsureStreams(t.Context(), s); err != nil {
			t.Fatalf("of %d: %v", store, err)
		}
		in := input("p")
		in.Ordered = true
		if err := c.EnsureConsumer(t.Context(), in); err != nil {
			t.Errorf("of %d: %v", store, err)
		}
		for name, size := range map[string]int64{bus.BucketHosts: 128 << 20, bus.BucketInventory: 512 << 20, bus.BucketState: 1 << 20} {
			put(t, bucket(t, c, bus.BucketSettings{Name: name, Store: store, MaxBytes: size}), "key", "value")
		}
		if m := streamState(t, c, bus.StreamMetrics).MaxBytes; m != s.MetricsMaxBytes {
			t.Errorf("of %d: METRICS has %d, not %d", store, m, s.MetricsMaxBytes)
		}
	}
}

// Who wants less of a stream takes its oldest, and is told; who wants more gets it.
func TestEnsureStreamsLowered(t *testing.T) {
	b, log := bustest.Bare(t, embedded.Options{}), new(bytes.Buffer)
	c := b.Dial(t, bus.Options{User: bus.Hub, Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	within := func(store int64) bus.StreamState {
		t.Helper()
		s := bus.StreamsWithin(store)
		s.Store = store
		if err := c.EnsureStreams(t.Context(), s); err != nil {
			t.Fatalf("within %d: %v", store, err)
		}
		state := streamState(t, c, bus.StreamMetrics)
		if state.MaxBytes != s.MetricsMaxBytes {
			t.Errorf("within %d: METRICS has %d", store, state.MaxBytes)
		}
		return state
	}
	within(64 << 20)
	halves(t, c, 60)
	letters := publisher(t, c, bus.PublisherOptions{})
	for range 3 {
		if err := letters.Publish(t.Context(), bus.Message{Subject: bus.DeadSubject("out"), Body: make([]byte, 600<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	if s := within(128 << 20); s.Messages != 60 || log.Len() > 0 {
		t.Errorf("%d messages of 60: %s", s.Messages, log)
	}
	s := within(16 << 20)
	if s.Messages == 0 || s.Messages > 14 || s.LastSeq != 60 {
		t.Errorf("%d messages, the last %d", s.Messages, s.LastSeq)
	}
	if said := log.String(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "stream=METRICS max_bytes=7077888") || !strings.Contains(said, "retry or drop some") {
		t.Errorf("said %q", said)
	}
	if d := streamState(t, c, bus.StreamDead); d.Messages != 3 {
		t.Errorf("%d of 3 dead letters are left", d.Messages)
	}
	if again := within(16 << 20); again.Messages != s.Messages {
		t.Errorf("%d messages, had %d", again.Messages, s.Messages)
	}
}

// A store that has less room than is wanted takes nothing from what is there.
func TestEnsureStreamsCut(t *testing.T) {
	c := bustest.Bare(t, embedded.Options{}).Conn(t, bus.Hub)
	s := bus.StreamsWithin(64 << 20)
	if err := c.EnsureStreams(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	halves(t, c, 60)
	s.Store = 16 << 20
	for range 2 {
		if err := c.EnsureStreams(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if m := streamState(t, c, bus.StreamMetrics); m.Messages != 60 || m.MaxBytes != s.MetricsMaxBytes {
		t.Errorf("METRICS has %d messages of 60, and %d bytes at most", m.Messages, m.MaxBytes)
	}
	if e := streamState(t, c, bus.StreamEvents); e.MaxBytes != 2<<20 {
		t.Errorf("EVENTS has %d bytes at most, and nothing in it", e.MaxBytes)
	}
}

// halves publishes n messages of half a MiB.
func halves(t *testing.T, c *bus.Conn, n int) {
	t.Helper()
	p := publisher(t, c, bus.PublisherOptions{})
	body := strings.Repeat("x", 500<<10)
	for range n {
		if err := p.Publish(t.Context(), metric(body)); err != nil {
			t.Fatal(err)
		}
	}
}
