package main

import (
	"fmt"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// rowsOfEdge are the faults of a machine that keeps what it makes until the bus of the fleet is there.
func rowsOfEdge() []row {
	return []row{
		{name: "E1", title: "edge with a spool: link cut, and the agent killed meanwhile, `order: oldest`", run: func(t *trial) { t.edge("oldest") },
			promise: "all that was acknowledged arrives, once and in order, within 60 s of healing"},
		{name: "E2", title: "the same, `order: live`", run: func(t *trial) { t.edge("live") },
			promise: "what is new once the link is found whole arrives within 5 s, while what has waited goes beside it over a slow link"},
	}
}

// caughtUp is how long after healing the bus of the fleet may lack something.
const caughtUp = time.Minute

// edge runs an agent with a spool behind a link, and another agent that brings to the sink what arrives at the bus of the fleet.
func (t *trial) edge(order string) {
	server, address := t.rawBus("", "")
	link := t.proxyTo(address)
	t.begin(pipeline{})
	t.system.hasBus(server)
	config := fmt.Sprintf("host: edge\nbus: { urls: \"nats://%s\", spool: { order: %s } }\ncollect: { in: { use: lines, listen: %q } }\n", link.Address(), order, t.source.url)
	_, err := t.place.Write("pacewire.yaml", config)
	t.must(err, "write the config of the edge")
	t.center("nats://" + address)
	t.startAgent("agent")
	t.awaitRunning()

	t.load(load{hosts: 20, batches: t.times(100, 50), points: t.times(20, 100)}) // in full 5,000 points/s
	t.await(readyWithin, "points arrive", func() error { return yet(t.oracle.Arrived() > 0) })
	t.hold(2 * time.Second)
	link.Set(cut)
	t.hold(t.span(4*time.Second, 150*time.Second))
	t.system.agent.Kill()
	t.startAgent("agent")
	t.awaitRunning()
	t.hold(t.span(4*time.Second, 150*time.Second))
	healed := time.Now()
	if order == "live" {
		t.overtakes(link)
	} else {
		t.bitesWhile(link)
		link.Set(pass)
	}
	if took := t.healed(healed, 5*time.Minute); took > caughtUp {
		t.errorf("caught up %v after healing", took)
	}
	t.settle()
	if c := t.oracle.Count(); order == "oldest" && c.Reordered > 0 {
		t.errorf("%d points are out of order", c.Reordered)
	}
}

// bitesWhile says that a fault bites if connections were refused at p, and points wait for it.
func (t *trial) bitesWhile(p *proxy) {
	if waiting := t.oracle.Acked() - t.oracle.Arrived(); waiting > 0 && p.Refused() > 0 {
		t.bite("%d connections were refused, %d points wait", p.Refused(), waiting)
	}
}

const (
	freshAtMost  = 5 * time.Second // that a new point takes while others wait; a busy machine needs a fifth
	leastWaiting = 500             // points that wait, or no new one has overtaken anything
)

// overtakes heals the link to the bus of the fleet, and measures how long new points take while what has waited goes beside them.
func (t *trial) overtakes(link *proxy) {
	link.Slow(0, t.times(128<<10, 256<<10)) // so that catching up takes a while, and more than what is new needs
	healed := time.Now()
	link.Set(pass)
	found := t.await(readyWithin, "the edge finds the link whole", func() error { // what is older than that waits with the rest
		_, ok := t.system.agent.Log.First(healed, "", "what is new overtakes what waits")
		return yet(ok)
	})
	fresh := t.pulse(t.span(time.Second, 10*time.Second))
	waiting := t.oracle.Acked() - t.oracle.Arrived()
	link.Slow(0, 0)
	t.note("the link was found whole after %s; new points while %d others wait: %v", round(found), waiting, fresh)
	if fresh.most > freshAtMost {
		t.errorf("a new point took %v", fresh.most)
	}
	if waiting >= leastWaiting {
		t.bite("%d points still wait when new ones have arrived, %d connections were refused", waiting, link.Refused())
	}
}

// center runs an agent beside the bus of the fleet, whose publisher reads the edge.
func (t *trial) center(url string) {
	place, err := lab.NewPlace(t.place.Path("center"), t.binary)
	t.must(err, "make a folder")
	t.beyond = append(t.beyond, place)
	path, err := place.Write("pacewire.yaml", fmt.Sprintf(
		"host: center\nbus: { urls: %q }\nweb: off\npublish: { out: { use: influxdb, from: in, url: %q, database: chaos, compression: none } }\n", url, t.sink.URL))
	t.must(err, "write the config of the center")
	p, err := lab.Start(place.Command(t.ctx, "agent", path))
	t.must(err, "start the agent of the center")
	t.cleanup(func() { _ = p.Stop(stopWithin) })
	t.await(readyWithin, "the publisher works", func() error {
		if p.Ended() {
			t.fatalf("the agent of the center has ended with %d: %s", p.ExitCode(), p.Log.Tail())
		}
		return lab.AllRunning(place.Plugins(t.ctx))
	})
}
