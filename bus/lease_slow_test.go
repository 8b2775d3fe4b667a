package bus_test

import (
	"context"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// A bus that answers late, but answers, takes the lease from nobody: neither who has it is put out, nor is it taken again and again.
func TestLeaseOfSlowBus(t *testing.T) {
	t.Parallel() // it waits
	b := leases(t)
	way := bustest.NewLink(t, b.URL)
	c := b.Dial(t, bus.Options{User: "p", URL: way.URL})
	way.Delay(600 * time.Millisecond) // each question takes 1.2 s, and so does each signal in its half
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		lease, err := c.TakeLease(ctx, "p")
		if err != nil {
			t.Fatalf("the lease is never given, or lost again and again: %v", err)
		}
		select {
		case <-time.After(10 * time.Second): // three times what is trusted
			if !lease.Sure() {
				t.Error("who has it is not sure")
			}
			lease.Release()
			return
		case <-lease.Lost(): // a machine that stands still meanwhile loses it rightly
			lease.Release()
		}
	}
}
