package bus_test

import (
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
	for end := time.Now().Add(limit); ; {
		if time.Now().After(end) {
			t.Fatal("the lease is lost again and again")
		}
		lease, err := c.TakeLease(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
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
