package bus_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// leases returns a bus with what the processes of p take their lease by.
func leases(t *testing.T) *bustest.Bus {
	t.Helper()
	b := bustest.New(t)
	in := input("p")
	in.Ordered = true
	for range 2 { // as two agents do, and each start of a process
		if err := b.Conn(t, "agent").EnsureConsumer(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// taking takes the lease from another goroutine.
func taking(t *testing.T, ctx context.Context, c *bus.Conn) <-chan *bus.Lease {
	t.Helper()
	got := make(chan *bus.Lease, 1)
	go func() {
		defer close(got)
		lease, err := c.TakeLease(ctx, "p")
		if err == nil {
			got <- lease
		} else if ctx.Err() == nil {
			t.Error(err)
		}
	}()
	return got
}

// watched is the time in which a lease is signalled, and looked after twice.
const watched = 2500 * time.Millisecond

// kept takes the lease and keeps it for a while. A machine that stands still meanwhile loses it, and rightly so.
func kept(t *testing.T, c *bus.Conn) *bus.Lease {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); {
		lease, err := c.TakeLease(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-time.After(watched):
			return lease
		case <-lease.Lost():
			lease.Release()
		}
	}
	t.Fatal("the lease is lost again and again")
	return nil
}

// One at a time has the lease, and the next one when it is given back.
func TestLease(t *testing.T) {
	b := leases(t)
	first := kept(t, b.Conn(t, "p"))
	second := taking(t, t.Context(), b.Conn(t, "p"))
	select {
	case <-second:
		t.Fatal("two have the lease")
	case <-time.After(watched):
	}
	first.Release()
	first.Release()
	(<-second).Release()
}

// Who waits for a lease has it as soon as it is given back, and not when the stream gives it out again by itself.
func TestLeaseHandedOver(t *testing.T) {
	b := leases(t)
	js, err := jetstream.New(raw(t, b))
	if err != nil {
		t.Fatal(err)
	}
	k, err := js.Consumer(t.Context(), bus.StreamLeases, "p")
	if err != nil {
		t.Fatal(err)
	}
	config := k.CachedInfo().Config
	config.AckWait = time.Hour
	if _, err := js.UpdateConsumer(t.Context(), bus.StreamLeases, config); err != nil {
		t.Fatal(err)
	}
	first, err := b.Conn(t, "p").TakeLease(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	second := taking(t, t.Context(), b.Conn(t, "p"))
	first.Release()
	select {
	case lease := <-second:
		lease.Release()
	case <-time.After(limit):
		t.Fatal("nobody gets the lease that was given back")
	}
}

// Who waits may give up.
func TestLeaseGivenUp(t *testing.T) {
	b := leases(t)
	first, err := b.Conn(t, "p").TakeLease(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	second := taking(t, ctx, b.Conn(t, "p"))
	cancel()
	if lease := <-second; lease != nil {
		t.Error("the lease of another is taken")
	}
	first.Release()
	third, err := b.Conn(t, "p").TakeLease(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	third.Release()
}

// The lease of one who is gone without a word is the next one's; who was only silent learns that it is lost, and does no harm by
// what it says then.
func TestLeaseLost(t *testing.T) {
	t.Parallel() // it waits
	b := leases(t)
	c := b.Conn(t, "p")
	gone, err := c.TakeLease(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	next := taking(t, t.Context(), b.Conn(t, "p"))
	c.Close()
	var lease *bus.Lease
	select {
	case lease = <-next:
	case <-time.After(limit):
		t.Fatal("nobody gets the lease of who is gone")
	}
	<-gone.Lost()
	gone.Release()

	b.Stop(t)
	select {
	case <-lease.Lost():
	case <-time.After(limit):
		t.Fatal("the lease is not lost without a bus")
	}
	b.Start(t)
	after, err := b.Conn(t, "p").TakeLease(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	third := taking(t, t.Context(), b.Conn(t, "p"))
	lease.Release()
	select {
	case <-third:
		t.Error("the one before has taken it away")
	case <-time.After(watched):
	}
	after.Release()
	(<-third).Release()
}

// given waits until somebody is given the lease.
func given(t *testing.T, c *bus.Conn) {
	t.Helper()
	bustest.Wait(t, limit, "the lease is given", func() bool {
		is, err := c.ConsumerInfo(t.Context(), bus.StreamLeases, "p")
		return err == nil && is.AckPending == 1
	})
}

// Who was suspended when he was given the lease finds it to be another's when he sees it, and waits on.
func TestLeaseStale(t *testing.T) {
	b := leases(t)
	c := b.Conn(t, "p")
	asleep, err := c.Consume(t.Context(), bus.StreamLeases, "p", bus.ConsumeOptions{Messages: 2, Expires: bus.LeaseExpires, Progress: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	given(t, c)
	holder, err := b.Conn(t, "p").TakeLease(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan *bus.Lease, 1)
	go func() {
		defer close(got)
		lease, err := c.TakeLeaseFrom(t.Context(), "p", asleep)
		if err != nil {
			t.Error(err)
		}
		got <- lease
	}()
	select {
	case <-got:
		t.Error("two have the lease")
	case <-holder.Lost():
		t.Error("it was taken from who has it")
	case <-time.After(2500 * time.Millisecond):
	}
	if !holder.Sure() {
		t.Error("who has it is not sure")
	}
	holder.Release()
	if lease := <-got; lease != nil {
		lease.Release()
	}
}

// Who goes with a lease that it has not seen says nothing of it.
func TestLeaseUnseen(t *testing.T) {
	b := leases(t)
	c := b.Conn(t, "p")
	k, err := c.Consume(t.Context(), bus.StreamLeases, "p", bus.ConsumeOptions{Messages: 2, Expires: bus.LeaseExpires})
	if err != nil {
		t.Fatal(err)
	}
	given(t, c)
	k.Stop()
	is, err := c.ConsumerInfo(t.Context(), bus.StreamLeases, "p")
	if err != nil || is.AckPending != 1 {
		t.Errorf("%+v, %v", is, err)
	}
}

// A plugin whose batches are in order may take its own lease, and nobody else's.
func TestLeaseRights(t *testing.T) {
	ordered, other := bus.Input{Stream: bus.StreamMetrics, Durable: "p", Ordered: true}, bus.Input{Stream: bus.StreamMetrics, Durable: "p"}
	f := func(in bus.Input, want bool) {
		t.Helper()
		rights := bus.RightsOf(bus.RoleProcessor, "h1", "p", []bus.Input{in})
		if may := slices.Contains(rights.Publish, "$JS.API.CONSUMER.MSG.NEXT.LEASES.p"); may != want {
			t.Errorf("ordered %v: may take leases %v", in.Ordered, may)
		}
		for _, s := range rights.Publish {
			if strings.HasPrefix(s, "pw.lease") || strings.Contains(s, "LEASES") && !strings.Contains(s, "LEASES.p") {
				t.Errorf("may publish %s", s)
			}
		}
	}
	f(ordered, true)
	f(other, false)
}

func TestLeaseWithoutStream(t *testing.T) {
	b := bustest.New(t)
	if _, err := b.Conn(t, "p").TakeLease(t.Context(), "p"); !errors.Is(err, bus.ErrNoConsumer) && !errors.Is(err, bus.ErrNoStream) {
		t.Errorf("%v", err)
	}
}

// The lease of a plugin that is gone leaves nothing behind, and those of others as they are.
func TestForgetLease(t *testing.T) {
	b := leases(t)
	c := b.Conn(t, "agent")
	in := input("q")
	in.Ordered = true
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	held, err := b.Conn(t, "p").TakeLease(t.Context(), "p")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // of one that is forgotten there is nothing to forget
		if err := c.ForgetLease(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
	}
	left, err := c.Leases(t.Context())
	is, err2 := c.StreamInfo(t.Context(), bus.StreamLeases)
	if err := errors.Join(err, err2); err != nil || !slices.Equal(left, []string{"p"}) || is.Messages != 1 {
		t.Errorf("left are %q and %d messages, %v", left, is.Messages, err)
	}
	held.Release()
	if err := c.ForgetLease(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if err := c.EnsureConsumer(t.Context(), in); err != nil { // it comes back
		t.Fatal(err)
	}
	again, err := b.Conn(t, "q").TakeLease(t.Context(), "q")
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}

// Where no plugin keeps an order there is no lease.
func TestNoLeases(t *testing.T) {
	c := bustest.New(t).Conn(t, "agent")
	left, err := c.Leases(t.Context())
	if err := errors.Join(err, c.ForgetLease(t.Context(), "p")); err != nil || left != nil {
		t.Errorf("%q, %v", left, err)
	}
}

// No user of a plugin may take away the lease of another, or its own.
func TestLeaseStaysWithPlugins(t *testing.T) {
	in := input("out")
	in.Ordered = true
	h := turnHostile(t, bustest.Guarded(t), bus.RolePublisher, "h1", "out", in)
	for _, subject := range []string{"$JS.API.STREAM.PURGE.LEASES", "$JS.API.CONSUMER.DELETE.LEASES.out", "$JS.API.STREAM.DELETE.LEASES", "pw.lease.out"} {
		h.violates(t, subject, h.Publish(subject, nil))
	}
}
