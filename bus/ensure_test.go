package bus_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/cluster"
)

// A consumer that is deleted and made anew is found again.
func TestConsumerRecreated(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_out")
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	p := fill(t, c, 1)
	if err := next(t, k).Ack(); err != nil {
		t.Fatal(err)
	}
	flush(t, k)
	if err := c.DeleteConsumer(t.Context(), bus.StreamMetrics, "out"); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteConsumer(t.Context(), bus.StreamMetrics, "out"); err != nil {
		t.Errorf("delete again: %v", err)
	}
	in := input("out")
	in.Start = "new"
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), metric("later")); err != nil {
		t.Fatal(err)
	}
	if d := next(t, k); string(d.Body) != "later" {
		t.Errorf("got %q", d.Body)
	}
}

func TestEnsureConsumerKeepsPosition(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	p := fill(t, c, 5)
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	for range 3 {
		if err := next(t, k).Ack(); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, k)
	k.Stop()
	in := input("out")
	in.Filters = append(in.Filters, bus.MetricsFilter("mem"))
	in.Start = "new"
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	if s := consumerState(t, c, "out"); s.AckFloor != 3 || !slices.Equal(s.Filters, in.Filters) {
		t.Errorf("consumer %+v", s)
	}
	mem := bus.Message{Subject: bus.MetricsSubject("h1", "mem"), Body: []byte("mem")}
	if err := p.Publish(t.Context(), mem); err != nil {
		t.Fatal(err)
	}
	k, err := c.Consume(t.Context(), bus.StreamMetrics, "out", bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Stop)
	var got []string
	for range 3 {
		d := next(t, k)
		got = append(got, string(d.Body))
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(got) // what Stop gave back has no order
	if want := []string{"3", "4", "mem"}; !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

// What a consumer reads changes under its reader, which keeps what it has in hand.
func TestFiltersChangeWhileRead(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	p := fill(t, c, 3)
	in := input("out")
	k := consumer(t, c, in, bus.ConsumeOptions{})
	held := next(t, k)
	bustest.Wait(t, limit, "the others", func() bool { return k.Ready() == 2 })
	in.Filters = []string{bus.MetricsFilter("mem")}
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	for _, plugin := range []string{"cpu", "mem"} {
		m := bus.Message{Subject: bus.MetricsSubject("h1", plugin), Body: []byte(plugin)}
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	got := []string{string(held.Body)}
	if err := held.Ack(); err != nil {
		t.Error(err)
	}
	for got[len(got)-1] != "mem" {
		d := next(t, k)
		got = append(got, string(d.Body))
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
	}
	flush(t, k)
	if want := []string{"0", "1", "2", "mem"}; !slices.Equal(got, want) { // fetched before the change: all of these
		t.Errorf("got %q; want %q", got, want)
	}
	if s := consumerState(t, c, "out"); s.AckPending != 0 || s.Pending != 0 || !slices.Equal(s.Filters, in.Filters) {
		t.Errorf("consumer %+v", s)
	}
}

// An agent makes sure of a consumer before each start of its reader, so that must
// disturb no other reader, and take no message back.
func TestEnsureConsumerWhileRead(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	const count = 500
	fill(t, c, count)
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	for i := range count {
		if i%50 == 0 {
			if err := c.EnsureConsumer(t.Context(), input("out")); err != nil {
				t.Fatal(err)
			}
		}
		d := next(t, k)
		if string(d.Body) != fmt.Sprint(i) || d.Deliveries != 1 {
			t.Fatalf("delivery %d: %q, given %d times", i, d.Body, d.Deliveries)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, k)
	if s := k.Stats(); s.Redelivered != 0 || s.Resets != 0 || s.LostUnread != 0 || s.LostAway != 0 {
		t.Errorf("stats %+v", s)
	}
}

// A deleted consumer is gone from the stream and from the disk.
func TestDeleteConsumer(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	fill(t, c, 5)
	k := consumer(t, c, input("gone"), bus.ConsumeOptions{})
	consumer(t, c, input("stays"), bus.ConsumeOptions{})
	if err := next(t, k).Ack(); err != nil {
		t.Fatal(err)
	}
	flush(t, k)
	k.Stop()
	left := func(name string) []string {
		t.Helper()
		all, err := filepath.Glob(filepath.Join(b.Dir, "jetstream", "*", "streams", bus.StreamMetrics, "obs", name))
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	if len(left("*")) != 2 {
		t.Fatalf("INVALID: the store has %q", left("*"))
	}
	if err := c.DeleteConsumer(t.Context(), bus.StreamMetrics, "gone"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.ConsumerInfo(t.Context(), bus.StreamMetrics, "gone"); !errors.Is(err, bus.ErrNoConsumer) {
		t.Errorf("info: %v", err)
	}
	if _, err := c.Consume(t.Context(), bus.StreamMetrics, "gone", bus.ConsumeOptions{}); !errors.Is(err, bus.ErrNoConsumer) {
		t.Errorf("consume: %v", err)
	}
	if s := streamState(t, c, bus.StreamMetrics); s.Consumers != 1 || s.Messages != 5 {
		t.Errorf("stream %+v", s)
	}
	bustest.Wait(t, limit, "an empty store", func() bool { return len(left("gone")) == 0 })
	if len(left("stays")) != 1 {
		t.Error("the other consumer is gone")
	}
	if err := c.DeleteConsumer(t.Context(), "NONE", "gone"); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("delete from no stream: %v", err)
	}
}

func TestStart(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "hub")
	p := fill(t, c, 2)
	f := func(start, want string) {
		t.Helper()
		in := input("start" + start)
		in.Start = start
		k := consumer(t, c, in, bus.ConsumeOptions{})
		if err := p.Publish(t.Context(), metric("x")); err != nil {
			t.Fatal(err)
		}
		if d := next(t, k); string(d.Body) != want {
			t.Errorf("start %q: first is %q; want %q", start, d.Body, want)
		}
	}
	f("new", "x")
	f("", "x")
	f("all", "0")
	f(time.Now().Add(-time.Hour).Format(time.RFC3339), "0")
	in := input("bad")
	in.Start = "yesterday"
	if err := c.EnsureConsumer(t.Context(), in); err == nil {
		t.Error("start yesterday was taken")
	}
	in = input("lost")
	in.Stream = "NONE"
	if err := c.EnsureConsumer(t.Context(), in); !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("no stream: %v", err)
	}
	if _, err := c.Consume(t.Context(), bus.StreamMetrics, "none", bus.ConsumeOptions{}); !errors.Is(err, bus.ErrNoConsumer) {
		t.Errorf("no consumer: %v", err)
	}
}

// Streams of a store whose size nobody tells shrink by trial, and leave room for buckets.
func TestEnsureStreamsInSmallStore(t *testing.T) {
	c := bustest.Bare(t, embedded.Options{MaxStore: 64 << 20}).Conn(t, bus.Hub)
	if err := c.EnsureStreams(t.Context(), bus.DefaultStreams()); err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, name := range []string{bus.StreamMetrics, bus.StreamEvents, bus.StreamDead} {
		sum += streamState(t, c, name).MaxBytes
	}
	if sum > 52<<20 || sum < 20<<20 {
		t.Errorf("streams may take %d bytes of 64 MiB", sum)
	}
}

// A store that is too small for the smallest streams is named, and what would help.
func TestEnsureStreamsWithoutRoom(t *testing.T) {
	f := func(c *bus.Conn) {
		t.Helper()
		err := c.EnsureStreams(t.Context(), bus.DefaultStreams())
		if !errors.Is(err, bus.ErrFull) {
			t.Fatalf("%v", err)
		}
		for _, part := range []string{"make stream METRICS of ", " bytes: store is full", "bus.max_store", "max_file_store", "nats: "} {
			if strings.Count(err.Error(), part) != 1 {
				t.Errorf("%q is not told, or twice: %v", part, err)
			}
		}
	}
	f(bustest.Bare(t, embedded.Options{MaxStore: 1 << 19}).Conn(t, bus.Hub))
	f(bustest.NewCluster(t, cluster.Options{MaxStore: 1 << 19}).Conn(t, bus.Hub))

	b := bustest.Bare(t, embedded.Options{MaxStore: 3<<20 + 1<<19})
	c := b.Conn(t, bus.Hub)
	s := smallStreams()
	s.MetricsMaxBytes, s.EventsMaxBytes, s.DeadMaxBytes = 1<<20, 1<<20, 1<<20
	if err := c.EnsureStreams(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	in := input("p")
	in.Ordered = true
	if err := c.EnsureConsumer(t.Context(), in); !errors.Is(err, bus.ErrFull) || !strings.Contains(err.Error(), "make stream LEASES of 1048576 bytes") {
		t.Errorf("%v", err)
	}
}

// A trial takes no message from a stream that is there.
func TestEnsureStreamsAgainInSmallStore(t *testing.T) {
	c := bustest.Bare(t, embedded.Options{MaxStore: 64 << 20}).Conn(t, bus.Hub)
	settings := smallStreams()
	settings.MetricsMaxBytes, settings.EventsMaxBytes, settings.DeadMaxBytes = 40<<20, 1<<20, 1<<20
	if err := c.EnsureStreams(t.Context(), settings); err != nil {
		t.Fatal(err)
	}
	p := publisher(t, c, bus.PublisherOptions{})
	body := strings.Repeat("x", 500<<10)
	for range 70 {
		if err := p.Publish(t.Context(), metric(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.EnsureStreams(t.Context(), bus.DefaultStreams()); err != nil {
		t.Fatal(err)
	}
	if s := streamState(t, c, bus.StreamMetrics); s.Messages != 70 {
		t.Errorf("METRICS has %d messages of 70, and %d bytes at most", s.Messages, s.MaxBytes)
	}
}
