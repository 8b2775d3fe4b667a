package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/telemetry"
)

// rowsOfFleet are the faults of the control path: hubs, and the bus that hosts beat over. No points are under way.
func rowsOfFleet() []row {
	return []row{
		{name: "F26", title: "restarts of the hub and of the bus with 9,000 agents", run: fleetRestarts, quiet: true,
			promise: "all are UP again, nobody is called DOWN, at most one refresh for each agent. The agents are simulated, 8 connections carry them"},
		{name: "F27", title: "both hubs die, and the inventory is lost with the bus's store", run: inventoryLost, quiet: true,
			promise: "the inventory is as it was after one beat of 10 s and 5 s more, from the moment that a hub speaks again; the row fails from 30 s, since each look starts a reader"},
	}
}

// A watch is a bus, hubs and simulated hosts.
type watch struct {
	*trial
	store   string
	address string
	bus     *lab.Process
	hubs    []*lab.Process
	fleet   *fleet.Fleet
	conn    *bus.Conn
}

const (
	beatEvery   = 10 * time.Second
	enrolWithin = 3 * time.Minute
	wholeWithin = 30 * time.Second // twice what it takes by design
)

// watch starts a bus, hubs and hosts, and returns when all are UP and the hub has what it wants to know.
func (t *trial) watch(hubs, hosts int) *watch {
	w := &watch{trial: t, store: t.place.Path("bus")}
	t.system = &system{peak: map[string]int64{}}
	t.observe()
	w.startBus("")
	for i := range hubs {
		w.startHub(i)
	}
	var err error
	w.conn, err = bus.Dial(t.ctx, bus.Options{URL: "nats://" + w.address, User: "operator", Wait: 10 * time.Second})
	t.must(err, "connect to the bus")
	t.cleanup(w.conn.Close)
	w.fleet, err = fleet.Start(t.ctx, fleet.Options{URL: "nats://" + w.address, Hosts: hosts, Interval: beatEvery})
	t.must(err, "start the hosts")
	t.cleanup(w.fleet.Stop)
	w.awaitUp(hosts)
	w.awaitQuiet()
	return w
}

func (w *watch) startBus(listen string) {
	w.bus, w.address = w.rawBus(listen, "")
	w.system.hasBus(w.bus)
}

func (w *watch) startHub(i int) {
	place := w.place
	place.Dir = w.place.Path(fmt.Sprintf("hub%d", i))
	w.must(os.MkdirAll(place.Dir, 0o755), "make a folder")
	path, err := place.Write("pacewire.yaml", fmt.Sprintf("host: hub%d\nbus: nats://%s\nweb: off\n", i, w.address))
	w.must(err, "write the config of a hub")
	p, err := lab.Start(place.Command(w.ctx, "hub", path))
	w.must(err, "start a hub")
	w.cleanup(p.Kill)
	w.hubs = append(w.hubs, p)
	w.system.mu.Lock()
	defer w.system.mu.Unlock()
	w.system.hub = p
}

// awaitUp waits until the hub says that so many hosts are UP, and returns how long it took.
func (w *watch) awaitUp(hosts int) time.Duration {
	return w.await(enrolWithin, "all hosts are UP", func() error {
		s, err := lab.HubStatus(w.ctx, w.conn)
		if err == nil && s.States[telemetry.HostUp] != uint64(hosts) {
			err = fmt.Errorf("hosts by state: %v", s.States)
		}
		return err
	})
}

// awaitQuiet waits until a beat of everybody has passed without a refresh.
func (w *watch) awaitQuiet() {
	for last := uint64(0); ; {
		w.sleep(beatEvery + 2*time.Second)
		now := w.fleet.Stats().Refreshes
		if now == last {
			return
		}
		last = now
	}
}

// downs counts the hosts that were called DOWN since a time.
func (w *watch) downs(since time.Time) (n int) {
	ctx, cancel := context.WithTimeout(w.ctx, time.Minute)
	defer cancel()
	err := w.conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamEvents, Since: since, Once: true}, func(m bus.Tapped) error {
		if m.Subject.Verb == "down" {
			n++
		}
		return nil
	})
	w.must(cmp.Or(err, ctx.Err()), "read the events")
	return n
}

// F26
func fleetRestarts(t *trial) {
	hosts := t.times(900, 9000)
	w := t.watch(1, hosts)
	begun := time.Now()
	for _, fault := range []struct {
		what string
		do   func()
	}{
		{"the hub", func() { w.hubs[len(w.hubs)-1].Kill(); w.startHub(0) }},
		{"the bus", func() { w.bus.Kill(); t.sleep(3 * time.Second); w.startBus(w.address) }},
	} {
		before, killed := w.fleet.Stats(), time.Now()
		fault.do()
		w.awaitUp(hosts)
		took := time.Since(killed)
		t.result.recoveries = append(t.result.recoveries, took)
		w.awaitQuiet()
		after := w.fleet.Stats()
		refreshes := after.Refreshes - before.Refreshes
		t.bite("%s was killed", fault.what)
		t.note("%s: all %d UP after %s, %d refreshes", fault.what, hosts, round(took), refreshes)
		if refreshes > uint64(hosts) {
			t.errorf("%s: %d refreshes of %d hosts", fault.what, refreshes, hosts)
		}
	}
	t.sleep(t.span(5*time.Second, 90*time.Second)) // twice as long as anybody may be silent
	if n := w.downs(begun); n > 0 {
		t.errorf("%d hosts were called DOWN, though nobody was away", n)
	}
}

// F27
func inventoryLost(t *trial) {
	w := t.watch(2, t.times(100, 500))
	before := w.inventory()
	for _, hub := range w.hubs {
		hub.Kill()
	}
	w.bus.Kill()
	t.must(os.RemoveAll(w.store), "lose the store")
	w.startBus(w.address)
	if left := w.inventory(); len(left) > 0 {
		t.errorf("%d entries of inventory are left", len(left))
	}
	if len(before) > 0 {
		t.bite("%d entries of inventory are lost", len(before))
	}
	for i := range 2 {
		w.startHub(i)
	}
	t.await(readyWithin, "a hub speaks", func() error {
		s, err := lab.HubStatus(t.ctx, w.conn)
		if err == nil {
			err = yet(s.Speaker != "" || s.Voice)
		}
		return err
	})
	took := t.await(time.Minute, "the inventory is as it was", func() error {
		now := w.inventory()
		if !maps.Equal(now, before) {
			return fmt.Errorf("%d entries, %d before", len(now), len(before))
		}
		return nil
	})
	t.result.recoveries = append(t.result.recoveries, took)
	t.note("%d entries were as before %s after a hub spoke", len(before), round(took))
	if took > wholeWithin {
		t.errorf("the inventory was whole after %v, want %v", took, wholeWithin)
	}
}

// inventory is what the bus has of it: digests by key; nothing while there is no bucket.
func (w *watch) inventory() map[string]telemetry.Digest {
	all := map[string]telemetry.Digest{}
	ctx, cancel := context.WithTimeout(w.ctx, 10*time.Second)
	defer cancel()
	b, err := w.conn.Bucket(ctx, bus.BucketInventory)
	if err != nil {
		return all
	}
	_ = b.Watch(ctx, ">", func(v bus.KV) error { // ends by cancel
		if p, _, err := telemetry.DecodePluginData(v.Value); err == nil && !v.Deleted { // what is none is a mark of the hub
			all[v.Key] = p.Digest
		}
		return nil
	}, cancel)
	return all
}
