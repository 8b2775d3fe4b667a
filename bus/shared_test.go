package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

const (
	longAway = 4 * time.Second // longer than anybody goes on with what it has fetched
	batches  = 100
)

// cutOff lets a reader behind a link fetch ahead, with others if there are any, and cuts it off for long.
func cutOff(t *testing.T, b *bustest.Bus, seen map[string]int, others ...*bus.Consumer) (*bus.Consumer, *bustest.Link) {
	t.Helper()
	way := bustest.NewLink(t, b.URL)
	c := b.Dial(t, bus.Options{User: "h1_out", URL: way.URL})
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	bustest.Wait(t, limit, "all ask", func() bool {
		return consumerState(t, b.Conn(t, "agent"), "out").Waiting >= 2*(1+len(others))
	})
	fill(t, b.Conn(t, "h1_in"), batches)
	for range 4 {
		d := next(t, k)
		seen[string(d.Body)]++
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, k)
	bustest.Wait(t, limit, "something is fetched ahead", func() bool { return k.Ready() > 4 })
	way.Cut()
	bustest.Wait(t, limit, "the reader is away", func() bool { return !c.Connected() })
	<-time.After(longAway)
	return k, way
}

// Who is away for long leaves what it has fetched to those who share the consumer: they are given it.
func TestSharedIsLeft(t *testing.T) {
	t.Parallel() // it waits
	b := bustest.New(t)
	seen := make(map[string]int)
	other := consumer(t, b.Conn(t, "h2_out"), input("out"), bus.ConsumeOptions{})
	k, way := cutOff(t, b, seen, other)
	nothing(t, k, 100*time.Millisecond)
	if s := k.Stats(); s.Left == 0 {
		t.Errorf("nothing was left: %+v", s)
	}
	for len(seen) < batches {
		d := next(t, other)
		seen[string(d.Body)]++
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	flush(t, other)
	way.Heal()
	nothing(t, k, 2*time.Second)
	for body, n := range seen {
		if n > 1 {
			t.Errorf("%s was given out %d times", body, n)
		}
	}
}

// Who reads alone goes on with what it has.
func TestAloneIsKept(t *testing.T) {
	t.Parallel() // it waits
	b := bustest.New(t)
	seen := make(map[string]int)
	k, way := cutOff(t, b, seen)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for len(seen) < batches {
		if len(seen) == 10 {
			way.Heal()
		}
		d, err := k.Next(ctx)
		if err != nil {
			t.Fatalf("after %d: %v", len(seen), err)
		}
		seen[string(d.Body)]++
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if s := k.Stats(); s.Left != 0 || s.Delivered != batches {
		t.Errorf("%+v", s)
	}
}

// Acks are not given up while the stream says nothing at all: they are sent again on the next connection.
func TestAcksOutliveSilence(t *testing.T) {
	t.Parallel() // it waits
	b := bustest.New(t)
	way := bustest.NewLink(t, b.URL)
	c := b.Dial(t, bus.Options{User: "h1_out", URL: way.URL})
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	fill(t, b.Conn(t, "h1_in"), 1)
	d := next(t, k)
	way.Swallow()
	if err := d.Ack(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	go func() {
		defer cancel()
		for k.Stats().Resets < 2 && ctx.Err() == nil { // each after 6 s and more
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if d, err := k.Next(ctx); err == nil {
		t.Errorf("%s is given out again", d.Body)
	}
	way.Heal()
	flush(t, k)
	if s := k.Stats(); s.Unconfirmed != 0 {
		t.Errorf("acks were given up: %+v", s)
	}
}
