package host

import (
	"context"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// narrowed returns a host whose plugin sink reads less than the one before, which has left n batches of what is left out.
func narrowed(t *testing.T, b *bustest.Bus, own bool, n int) (*Host, *entry) {
	t.Helper()
	const text = "collect: { numbers: { attached: true }, more: { use: numbers, attached: true } }\npublish: { sink: { from: "
	before := connected(t, b, text+"[numbers, more] } }\n")
	send(t, before, "more", n)
	h := newHost(t, b.URL, text+"numbers } }\n")
	if err := h.dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	if own {
		h.o.InProcess = b.Server()
	}
	e := h.find("sink")
	if err := e.found(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !e.wide() {
		t.Fatal("it reads no more than before")
	}
	return h, e
}

// drain settles n batches of a consumer.
func drain(t *testing.T, h *Host, n int) {
	t.Helper()
	k, err := h.data.Consume(t.Context(), bus.StreamMetrics, "sink", bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Stop()
	for range n {
		d, err := k.Next(t.Context())
		if err == nil {
			err = d.Ack()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A consumer that nobody tells of is not taken for one that has nothing left: it is narrowed when it has given out all, and no
// earlier. On a bus of others a single answer is not enough.
func TestNarrowWithoutAnswer(t *testing.T) {
	const n = 300 // more than is given out at a time
	f := func(own bool) {
		t.Helper()
		b := bustest.New(t)
		h, e := narrowed(t, b, own, n)
		gives := func(when string, want int) {
			t.Helper()
			c, err := h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
			if err != nil || len(c.Filters) != want {
				t.Errorf("own %v: %s it gives out %v, %v; want %d", own, when, c.Filters, err, want)
			}
		}
		b.Stop(t)
		for _, narrow := range []func(context.Context) error{e.narrowEarly, e.narrow} {
			if err := narrow(t.Context()); err != nil {
				t.Errorf("own %v: %v", own, err)
			}
			if e.upTo() == nil || !e.wide() {
				t.Errorf("own %v: up to %v, wide %v", own, e.upTo(), e.wide())
			}
		}
		e.catchesUp(t.Context())
		b.Start(t)
		bustest.Wait(t, soon, "the bus is back", func() bool {
			_, err := h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
			return err == nil && h.data.Connected()
		})
		e.catchesUp(t.Context())
		if !own {
			e.crew.past.since = time.Now().Add(-time.Hour) // before the bus was away
			e.catchesUp(t.Context())
		}
		gives("with a backlog", 2)
		drain(t, h, n)
		begun := time.Now()
		bustest.Wait(t, soon, "it is narrowed", func() bool {
			e.catchesUp(t.Context())
			return e.upTo() == nil
		})
		if took := time.Since(begun); !own && took < quietLook {
			t.Errorf("narrowed after %v", took)
		}
		gives("at last", 1)
		if e.wide() {
			t.Errorf("own %v: it reads %v", own, e.read())
		}
	}
	f(true)
	f(false)
}

// Who could not narrow his consumer does not do so by accident later.
func TestNarrowFails(t *testing.T) {
	b := bustest.New(t)
	h, e := narrowed(t, b, true, 0)
	b.Stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := e.narrowNow(ctx); err == nil {
		t.Error("narrowed without a bus")
	}
	if !e.wide() {
		t.Error("it is said to be narrow")
	}
	b.Start(t)
	bustest.Wait(t, soon, "the bus is back", func() bool { return e.give(t.Context(), same) == nil })
	c, err := h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
	if err != nil || len(c.Filters) != 2 {
		t.Errorf("it gives out %v, %v", c.Filters, err)
	}
	if err := e.narrow(t.Context()); err != nil || e.upTo() != nil {
		t.Errorf("%v, up to %v", err, e.upTo())
	}
}

// What is behind until the end of another stream is told by the bus when it can.
func TestEnds(t *testing.T) {
	b := bustest.New(t)
	h, e := narrowed(t, b, true, 5)
	if got := h.ends(t.Context(), e.read(), map[string]uint64{bus.StreamMetrics: 3}); got[bus.StreamMetrics] != 3 {
		t.Errorf("known, and asked again: %v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := h.ends(ctx, e.read(), nil)
	if got == nil || got[bus.StreamMetrics] != 0 {
		t.Errorf("nobody tells: %v", got)
	}
	if e.past(t.Context(), got) {
		t.Error("past an end that nobody knows")
	}
	if got = h.ends(t.Context(), e.read(), got); got[bus.StreamMetrics] != 5 {
		t.Errorf("%v", got)
	}
	if !h.behind(ctx, e.read()) {
		t.Error("nobody tells, and it has nothing left")
	}
	if e.past(t.Context(), got) {
		t.Error("nothing was read")
	}
}

// A server that knows nothing yet of a consumer that had a place does not say that all is read.
func TestPastBlank(t *testing.T) {
	_, e := narrowed(t, bustest.New(t), true, 0)
	until := map[string]uint64{bus.StreamMetrics: 5}
	if !e.past(t.Context(), until) {
		t.Error("a new one has nothing to read, and is not past it")
	}
	e.crew.was(consumerOf(e.read()[0]), place{Settled: 3})
	if e.past(t.Context(), until) {
		t.Error("an answer of zeros is believed")
	}
}

func TestLull(t *testing.T) {
	var l lull
	now := time.Now()
	f := func(quiet bool, after time.Duration, want bool) {
		t.Helper()
		now = now.Add(after)
		if got := l.lasts(quiet, now); got != want {
			t.Errorf("%v after %v: %v", quiet, after, got)
		}
	}
	f(true, 0, false)
	f(true, quietLook-1, false)
	f(false, 0, false)
	f(true, quietLook, false)
	f(true, quietLook, true)
	f(true, time.Hour, true)
	f(false, 0, false)
}
