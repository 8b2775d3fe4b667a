package e2e

import (
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// A hub that was stopped for a multiple of the limit has not seen anybody beat, and blames nobody.
func hubIsFrozen(t *testing.T) {
	hosts, stop := 50, span(downLimit+10*time.Second, 6*downLimit)
	if long {
		hosts = 2000
	}
	e := newEstate(t)
	hub := e.hub()
	e.awaitHub(hub)
	e.fleet(hosts)
	agent := e.agent(e.bus.URL, "real")
	e.awaitUp("real")
	before, had := agent.now(), len(e.events())
	hub.pause()
	hold(t, stop)
	hub.resume()
	hold(t, downLimit+5*time.Second)
	e.awaitHub(hub)
	e.awaitVoices("the hub knows that it was stopped", func(v telemetry.HubStatus) bool { return v.Counts["blind_stalled"] > 0 })
	if list := e.verdicts(had); len(list) > 0 {
		t.Errorf("%d events of a hub that was stopped for %v, the first: %+v", len(list), stop, list[0].Event)
	}
	agent.untouched(before)
	t.Logf("%d hosts, hub stopped for %v: %d events", hosts, stop, len(e.events())-had)
}

// Those who die while no hub is there are DOWN once, after its warm-up; and not a second time when it is started once more.
func hubIsAway(t *testing.T) {
	const killed = 10
	e := newEstate(t)
	hub := e.hub()
	e.awaitHub(hub)
	f := e.fleet(60) // so that those are no mass
	doomed, steady := e.agent(e.bus.URL, "doomed"), e.agent(e.bus.URL, "steady")
	e.awaitUp("doomed", "steady")
	plugins, had := steady.now(), len(e.events())

	hub.kill9()
	dead := append(f.Names()[:killed], "doomed")
	f.Kill(dead[:killed]...)
	doomed.kill9()
	hold(t, 5*time.Second)
	begin := time.Now()
	hub = e.hub()
	for _, host := range dead {
		down := e.awaitEvent(takesOver+downWithin, host, "down", 1)
		// A hub that was stopped itself in its warm-up begins to look anew: then it finds what is so now.
		if down.Reason != "not_seen_since_restart" && down.Reason != "disconnected" {
			t.Errorf("%s is DOWN for the reason %q", host, down.Reason)
		}
	}
	t.Logf("all %d that died are DOWN %v after the start of the hub", len(dead), time.Since(begin).Round(100*time.Millisecond))

	hub.drain()
	hub = e.hub()
	e.awaitHub(hub)
	hold(t, downLimit+5*time.Second)
	if downs := e.since(had, "down"); len(downs) != len(dead) {
		t.Errorf("%d hosts died, and %d are told DOWN: %q", len(dead), len(downs), downs)
	}
	if more := e.since(had, "up", "left", "restarted", "conflict", "forgotten", "mass_overdue"); len(more) > 0 {
		t.Errorf("nothing else has happened: %q", more)
	}
	steady.untouched(plugins)
}

// A pair is two hubs, of which one speaks, and hosts that both hear.
type pair struct {
	*estate
	fleet         *fleet.Fleet
	speaks, waits *system
}

func newPair(t *testing.T) *pair {
	e := newEstate(t)
	p := &pair{estate: e, speaks: e.hub(), waits: e.hub()}
	e.awaitHub(p.speaks)
	p.order()
	p.fleet = e.fleet(40) // so that six are no mass
	return p
}

// order finds out who speaks.
func (p *pair) order() {
	p.t.Helper()
	if p.awaitVoices("one of two hubs speaks", func(v telemetry.HubStatus) bool { return v.Voice }).ID == p.idOf(p.waits) {
		p.speaks, p.waits = p.waits, p.speaks
	}
}

// downOnce checks that each of the dead is DOWN once, and that nothing else has happened after the first events.
func (p *pair) downOnce(had int, dead ...string) {
	p.t.Helper()
	for _, host := range dead {
		p.awaitEvent(downWithin, host, "down", 1)
	}
	hold(p.t.(*testing.T), 5*time.Second)
	var told []string
	for _, v := range p.verdicts(had) {
		switch {
		case v.Type == "voice": // which is told for the operator, once
		case v.Type == "down":
			told = append(told, v.Host)
		default:
			p.t.Errorf("unasked-for event: %+v", v.Event)
		}
	}
	if slices.Sort(told); !slices.Equal(told, dead) {
		p.t.Errorf("DOWN are told %q, want %q", told, dead)
	}
}

// When the hub that speaks is killed, the other one speaks (within 15 s, where the machine has time), and who dies around that time is told DOWN once.
func hubTakesOver(t *testing.T) {
	p := newPair(t)
	had, hosts := len(p.events()), p.fleet.Names()
	p.fleet.Kill(hosts[:3]...)
	hold(t, 3*time.Second)
	begin := p.speaks.kill9()
	p.fleet.Freeze(hosts[3:6]...)
	p.awaitVoice(p.idOf(p.waits))
	t.Logf("the other hub speaks after %v", time.Since(begin).Round(10*time.Millisecond))
	p.downOnce(had, hosts[:6]...)
}

// A hub that spoke, and goes on after another one has taken over, does not speak as well.
func hubIsStopped(t *testing.T) {
	p := newPair(t)
	had, hosts := len(p.events()), p.fleet.Names()
	p.fleet.Kill(hosts[:3]...)
	hold(t, 2*time.Second)
	begin := p.speaks.pause()
	p.awaitVoice(p.idOf(p.waits))
	t.Logf("the other hub speaks after %v", time.Since(begin).Round(10*time.Millisecond))
	p.fleet.Kill(hosts[3:6]...)
	hold(t, 8*time.Second)
	p.speaks.resume()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
		list := p.voices(300 * time.Millisecond) // of nobody, where it is slow
		if slices.ContainsFunc(list, func(v telemetry.HubStatus) bool { return v.ID != p.idOf(p.waits) }) {
			t.Errorf("these speak: %+v", list)
		}
	}
	p.awaitVoice(p.idOf(p.waits))
	p.downOnce(had, hosts[:6]...)
}
