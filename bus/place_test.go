package bus_test

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// A consumer that is gone is made anew at the place that is asked for, and never beyond the stream; one that is there keeps its own.
func TestPlace(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "agent")
	fill(t, c, 10)
	made := streamState(t, c, bus.StreamMetrics).Made
	if made.IsZero() {
		t.Fatal("nobody knows when the stream was made")
	}
	f := func(what string, start string, from uint64, made time.Time, delivered, pending uint64) {
		t.Helper()
		in := input("p")
		in.Start, in.From, in.Made = start, from, made
		if err := c.EnsureConsumer(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		s := consumerState(t, c, "p")
		if s.Delivered != delivered || s.AckFloor != delivered || s.Pending != pending {
			t.Errorf("%s: at %d, settled %d, %d wait; want %d and %d", what, s.Delivered, s.AckFloor, s.Pending, delivered, pending)
		}
	}
	gone := func() {
		t.Helper()
		if err := c.DeleteConsumer(t.Context(), bus.StreamMetrics, "p"); err != nil {
			t.Fatal(err)
		}
	}
	f("new, as it says", "new", 0, time.Time{}, 10, 0)
	f("it is there", "new", 4, made, 10, 0)
	gone()
	f("at its place", "new", 4, made, 3, 7)
	f("it is there", "all", 9, made, 3, 7)
	gone()
	f("at the end", "all", 11, made, 10, 0)
	gone()
	f("beyond the end", "new", 1000, made, 10, 0)
	gone()
	f("of another stream", "new", 9, made.Add(-time.Hour), 0, 10)
	gone()
	f("of nobody knows which", "new", 9, time.Time{}, 8, 2)
}

// The reader goes on with a consumer that was made anew, and does not give out again what it has settled.
func TestReadOnAnew(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "agent")
	p := fill(t, c, 10)
	k := consumer(t, c, input("p"), bus.ConsumeOptions{})
	read := func(from, to uint64) {
		t.Helper()
		for seq := from; seq <= to; seq++ {
			d := next(t, k)
			if d.StreamSeq != seq {
				t.Errorf("message %d, want %d", d.StreamSeq, seq)
			}
			if err := d.Ack(); err != nil {
				t.Fatal(err)
			}
		}
		flush(t, k)
	}
	read(1, 10)
	if err := c.DeleteConsumer(t.Context(), bus.StreamMetrics, "p"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if err := p.Publish(t.Context(), metric("later")); err != nil {
			t.Fatal(err)
		}
	}
	in := input("p")
	in.From = 6 // as far as somebody had seen
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	read(11, 20)
	if s := k.Stats(); s.Repeated != 5 || s.LostUnread != 0 {
		t.Errorf("%+v", s)
	}
}
