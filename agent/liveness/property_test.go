package liveness

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pacewire/pacewire/telemetry"
)

// law checks what has to hold whatever happens.
type law struct {
	*rig
	rt    *rapid.T
	known map[string]string        // host to the state that was told last
	asked map[string]time.Duration // when an outcome came that a DOWN may rest on
}

func (l *law) hear(b telemetry.Heartbeat) {
	h := l.w.Hear(b, l.at())
	l.check(h.Changes)
	if h.Order != Fresh || !l.w.Speaks() {
		return
	}
	want := telemetry.HostUp
	if b.Bye != "" {
		want = telemetry.HostLeft
	}
	if h.Peer.State != want {
		l.rt.Fatalf("a fresh beat of %s makes it %s, want %s", b.Host, h.Peer.State, want)
	}
}

func (l *law) sweep() {
	changes, probe := l.w.Sweep(l.self, l.at())
	l.check(changes)
	for _, host := range probe {
		o := rapid.SampledFrom([]Outcome{Alive, Disconnected, Silent, Silent, Unclear, ""}).Draw(l.rt, "outcome")
		if o == "" {
			continue // the answer is lost
		}
		l.check(l.w.Probed(host, o, l.at()))
		if o == Disconnected || o == Silent {
			l.asked[host] = l.now
		}
	}
}

func (l *law) check(changes []Change) {
	for _, c := range changes {
		if c.Host == "" {
			continue
		}
		if was, ok := l.known[c.Host]; ok && c.From != was {
			l.rt.Fatalf("%s %s from %s, but it was %s", c.Host, c.Type, c.From, was)
		}
		l.known[c.Host] = c.To
		if c.Type == TypeForgotten {
			delete(l.known, c.Host)
		}
		if (c.From == c.To) != (typeOf[c.To] != c.Type) {
			l.rt.Fatalf("%s %s from %s to %s", c.Host, c.Type, c.From, c.To)
		}
		if c.Type == TypeDown {
			l.checkDown(c)
		}
	}
}

func (l *law) checkDown(c Change) {
	if blind := l.w.Blind(l.at()); blind != "" {
		l.rt.Fatalf("%s is down while the watcher is blind: %s", c.Host, blind)
	}
	if c.Reason == ReasonUpgrade || c.Reason == ReasonNotSeen {
		return
	}
	if c.From != telemetry.HostOverdue {
		l.rt.Fatalf("%s is down from %s", c.Host, c.From)
	}
	if _, down := l.w.rules.Limits(10 * time.Second); c.LastSeen < down {
		l.rt.Fatalf("%s is down after %v", c.Host, c.LastSeen)
	}
	if at, ok := l.asked[c.Host]; c.LastSeen < 80*time.Second && (!ok || at < l.now-c.LastSeen) {
		l.rt.Fatalf("%s is down and was not asked", c.Host)
	}
}

// sums checks what is kept besides the peers themselves.
func (l *law) sums() {
	states, rate, skewed := map[string]int{}, int64(0), 0
	for i, p := range l.w.peers {
		states[p.state]++
		rate += p.rate
		if p.clock.skewed {
			skewed++
		}
		if p.slot != i || l.w.index[p.host] != p {
			l.rt.Fatalf("%s is in slot %d, and thinks it is in %d", p.host, i, p.slot)
		}
		if len(p.rivals) > mostRivals || len(p.retired) > mostRetired || len(p.aliases) > mostAliases {
			l.rt.Fatalf("%s grows: %d rivals, %d retired, %d aliases", p.host, len(p.rivals), len(p.retired), len(p.aliases))
		}
	}
	for state, n := range l.w.states {
		if n != states[state] {
			l.rt.Fatalf("%d %s, counted %d", states[state], state, n)
		}
	}
	if rate != l.w.rate || skewed != l.w.skewed || len(l.w.due) != len(l.w.peers) {
		l.rt.Fatalf("rate %d, %d; skewed %d, %d", rate, l.w.rate, skewed, l.w.skewed)
	}
}

func TestLaws(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		l := &law{rig: newRig(t), rt: rt, known: map[string]string{}, asked: map[string]time.Duration{}}
		gens := map[string]uint64{}
		host := func() string { return rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(rt, "host") }
		next := func(change ...func(*telemetry.Heartbeat)) {
			h := host()
			l.hear(l.beat(h, 1+gens[h], change...))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"":        func(*rapid.T) { l.sums() },
			"beat":    func(*rapid.T) { next() },
			"wait":    func(*rapid.T) { l.wait(rapid.IntRange(1, 60).Draw(rt, "seconds")) },
			"wait on": func(*rapid.T) { l.wait(30) },
			"bye": func(*rapid.T) {
				next(bye(rapid.SampledFrom([]string{"shutdown", "upgrade", "suspend"}).Draw(rt, "bye")))
			},
			"again": func(*rapid.T) {
				next(func(b *telemetry.Heartbeat) { b.Seq = max(1, b.Seq-uint64(rapid.IntRange(0, 70).Draw(rt, "back"))) })
			},
			"rename": func(*rapid.T) {
				next(func(b *telemetry.Heartbeat) { b.Name = rapid.StringN(0, 3, 3).Draw(rt, "name") })
			},
			"by hand": func(*rapid.T) {
				next(func(b *telemetry.Heartbeat) { b.Gen, b.Inst = 0, rapid.StringN(1, 1, 1).Draw(rt, "inst") })
			},
			"clone": func(*rapid.T) {
				next(func(b *telemetry.Heartbeat) { b.Inst = rapid.StringN(1, 1, 1).Draw(rt, "inst") })
			},
			"retired":  func(*rapid.T) { l.hear(l.beat(host(), 1)) },
			"restart":  func(*rapid.T) { gens[host()]++ },
			"stall":    func(*rapid.T) { l.now += time.Duration(rapid.IntRange(0, 300).Draw(rt, "stall")) * time.Second },
			"self":     func(*rapid.T) { l.self = Self{rapid.Bool().Draw(rt, "connected"), false, rapid.Bool().Draw(rt, "bus")} },
			"well":     func(*rapid.T) { l.self = healthy },
			"set":      func(*rapid.T) { l.wall += time.Duration(rapid.Int64Range(-1e15, 1e15).Draw(rt, "step")) },
			"set host": func(*rapid.T) { next(func(b *telemetry.Heartbeat) { b.T1 = rapid.Int64().Draw(rt, "t1") }) },
			"silence":  func(*rapid.T) { l.check(l.w.Silence(host(), l.at().Wall.Add(time.Minute), l.at())) },
			"forget":   func(*rapid.T) { l.forget(host()) },
			"speak":    func(*rapid.T) { l.w.Speak(rapid.Bool().Draw(rt, "speaks"), l.at()) },
		})
	})
}

func (l *law) forget(host string) {
	l.check(l.w.Forget(host, l.at()))
	delete(l.known, host) // one that does not speak tells nothing
}

// wait lets seconds pass.
func (l *law) wait(seconds int) {
	for range seconds {
		l.now += time.Second
		l.sweep()
	}
}

// TestRestoreKnowsWhatRecordSays restores what may be restored, and has the same records.
func TestRestoreKnowsWhatRecordSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		host := rapid.SampledFrom([]string{"a", "b", "c"})
		for range rapid.IntRange(0, 60).Draw(rt, "n") {
			switch rapid.IntRange(0, 4).Draw(rt, "op") {
			case 0, 1:
				r.run(time.Duration(rapid.IntRange(1, 50).Draw(rt, "s")) * time.Second)
			case 2:
				r.hear(r.beat(host.Draw(rt, "host"), rapid.Uint64Range(1, 5).Draw(rt, "gen")))
			case 3:
				r.hear(r.beat(host.Draw(rt, "host"), 1, func(b *telemetry.Heartbeat) { b.Gen, b.Name = math.MaxUint64, "other" }))
			case 4:
				r.w.Silence(host.Draw(rt, "host"), r.at().Wall.Add(time.Hour), r.at())
			}
		}
		w := New(DefaultRules(), r.at())
		w.Restore(r.records(), 0, r.at())
		for _, want := range r.records() {
			got, _ := w.Record(want.Host)
			got.Flags, want.Flags = nil, nil // conflicts are found again
			got.Penalty, want.Penalty = math.Round(got.Penalty), math.Round(want.Penalty)
			got.PenaltyAt, want.PenaltyAt = 0, 0
			if want.State == telemetry.HostOverdue {
				got.Seen, want.Seen = 0, 0 // restored as the limits allow
			}
			if !same(got, want) {
				rt.Fatalf("restored\n%+v\nwant\n%+v", got, want)
			}
		}
	})
}
