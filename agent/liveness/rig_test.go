package liveness

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// begin is the wall time at which each rig begins.
var begin = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// healthy is a watcher that has nothing to blame itself for.
var healthy = Self{Connected: true, Bus: true}

// rig is a Watch with a clock of its own.
type rig struct {
	t       testing.TB
	w       *Watch
	now     time.Duration
	wall    time.Duration // beyond now: the clock was set
	self    Self
	outcome func(host string) Outcome // of probes; nil: Disconnected
	seqs    map[string]uint64
	got     []Change
	asked   []string
}

func newRig(t testing.TB) *rig { return newRigWith(t, DefaultRules()) }

func newRigWith(t testing.TB, r Rules) *rig {
	return &rig{t: t, w: New(r, Instant{0, begin}), self: healthy, seqs: map[string]uint64{}}
}

func (r *rig) at() Instant { return Instant{r.now, begin.Add(r.now + r.wall)} }

// beat is the next beat of an instance, which is named host/gen; change changes it.
func (r *rig) beat(host string, gen uint64, change ...func(*telemetry.Heartbeat)) telemetry.Heartbeat {
	inst := fmt.Sprintf("%s/%d", host, gen)
	r.seqs[inst]++
	b := telemetry.Heartbeat{
		Version: 1, Host: host, Plugin: telemetry.AgentName, Name: host, Boot: "boot-1", Inst: inst, Gen: gen, Seq: r.seqs[inst], IntervalMS: 10_000,
		T1: r.at().Wall.UnixNano(), Mono1: int64(r.now) + 1e12,
	}
	for _, f := range change {
		f(&b)
	}
	return b
}

// hear has one beat heard.
func (r *rig) hear(b telemetry.Heartbeat) Heard {
	h := r.w.Hear(b, r.at())
	r.got = append(r.got, h.Changes...)
	return h
}

// sweep sweeps once, and answers the probes.
func (r *rig) sweep() {
	changes, probe := r.w.Sweep(r.self, r.at())
	r.got = append(r.got, changes...)
	r.asked = append(r.asked, probe...)
	for _, host := range probe {
		o := Disconnected
		if r.outcome != nil {
			o = r.outcome(host)
		}
		if o != "" {
			r.got = append(r.got, r.w.Probed(host, o, r.at())...)
		}
	}
}

// run goes on for d with a sweep each second; those of hosts beat each ten, in generation 1.
func (r *rig) run(d time.Duration, hosts ...string) {
	r.t.Helper()
	for end := r.now + d; r.now < end; {
		r.now += time.Second
		for i, host := range hosts {
			if (r.now/time.Second+time.Duration(i))%10 == 0 {
				r.hear(r.beat(host, 1))
			}
		}
		r.sweep()
	}
}

// state is that of a host.
func (r *rig) state(host string) string {
	p, _ := r.w.Peer(host)
	return p.State
}

// wants compares what was told since it was asked last, as "host type reason".
func (r *rig) wants(want ...string) {
	r.t.Helper()
	var got []string
	for _, c := range r.take() {
		got = append(got, say(c))
	}
	if !slices.Equal(got, want) {
		r.t.Errorf("at %v told %q, want %q", r.now, got, want)
	}
}

func (r *rig) take() []Change {
	got := r.got
	r.got = nil
	return got
}

func say(c Change) string {
	s := c.Type
	if c.Host != "" {
		s = c.Host + " " + s
	}
	if c.Reason != "" {
		s += " " + c.Reason
	}
	return s
}

// count returns how many changes of a type were told since asked last; silenced ones apart.
func count(changes []Change, typ string) (told, silenced int) {
	for _, c := range changes {
		switch {
		case c.Type != typ:
		case c.Silenced:
			silenced++
		default:
			told++
		}
	}
	return told, silenced
}

// same compares records by what is written of them.
func same(a, b telemetry.HostRecord) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("h%d", i)
	}
	return list
}

// records returns what is to be remembered of all.
func (r *rig) records() []telemetry.HostRecord {
	var all []telemetry.HostRecord
	r.w.Hosts(func(p Peer) bool {
		rec, _ := r.w.Record(p.Host)
		all = append(all, rec)
		return true
	})
	return all
}
