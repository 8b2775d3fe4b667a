package hub

import (
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// hello sends a beat with the whole list.
func (k *keeper) hello(change ...func(*telemetry.Heartbeat)) {
	k.t.Helper()
	list := func(b *telemetry.Heartbeat) { b.Inventory = k.list() }
	k.steady(append([]func(*telemetry.Heartbeat){list}, change...)...)
	k.Inventory = nil
}

// The list of a beat says what to ask for; one that is not that of its digest is not believed, and a host has one looked at now and
// then, however often it sends it.
func TestListOfABeat(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	k := keeperOf(t, b, "web")
	looked := func() time.Time {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.fleet["web"].listed
	}
	over := func() { // the pause
		r.mu.Lock()
		defer r.mu.Unlock()
		r.fleet["web"].listed = time.Time{}
	}
	k.set("os/info", telemetry.Facts{"n": 1})
	k.hello()
	k.held(r)
	if wants := k.asked(); len(wants) != 1 || wants[0] != 1 {
		t.Errorf("asked for %v", wants)
	}
	k.hello() // all is well
	k.set("cpu/info", telemetry.Facts{"n": 1})
	over()
	k.hello(func(b *telemetry.Heartbeat) { b.Inventory = b.Inventory[1:] })
	k.held(r)
	if wants := k.asked(); !slices.Equal(wants, []int{0, 1}) {
		t.Errorf("asked for %v", wants)
	}
	k.steady()

	over()
	k.set("os/info", telemetry.Facts{"n": 2})
	k.hello()
	k.held(r)
	k.steady()
	first := looked()
	k.asked()
	k.set("os/info", telemetry.Facts{"n": 3})
	r.mu.Lock()
	r.fleet["web"].listed = time.Now().Add(time.Minute) // as if it had just been
	pause := r.fleet["web"].listed
	r.mu.Unlock()
	for range 5 {
		k.hello()
	}
	if wants := k.asked(); len(wants) != 0 || looked() != pause || first.IsZero() {
		t.Errorf("asked for %v, looked at %v", wants, looked())
	}
	over()
	k.hello()
	k.held(r)
}
