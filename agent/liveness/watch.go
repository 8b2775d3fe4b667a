package liveness

import (
	"maps"
	"slices"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A Watch holds all that are watched. It is not safe for concurrent use, does no I/O and asks no clock.
type Watch struct {
	rules    Rules
	speaks   bool
	restored time.Duration

	index map[string]*peer
	peers []*peer
	due   []time.Duration // when each of peers is to be looked at: a sweep reads this alone while nothing happens

	guard  guard
	mass   mass
	admits bucket
	states map[string]int
	rate   int64 // sum of the peers'
	skewed int   // whose clock does not agree with ours
	blamed time.Duration

	out      []Change
	flags    [][]string
	orders   map[Order]uint64
	refusals map[string]uint64
	outcomes map[Outcome]uint64
	counts   map[string]uint64
	measures Measures
}

// New returns a Watch that begins at now and speaks.
func New(r Rules, now Instant) *Watch {
	w := &Watch{
		rules: r, speaks: true, index: map[string]*peer{}, flags: flagSets(), states: map[string]int{}, orders: map[Order]uint64{},
		refusals: map[string]uint64{}, outcomes: map[Outcome]uint64{}, counts: map[string]uint64{}, measures: newMeasures(),
	}
	w.guard.last, w.guard.clear = now, now.Mono
	w.admits = bucket{tokens: float64(r.NewBurst), at: now.Mono}
	return w
}

// Speak says whether the Watch gives verdicts. One that does not hears all the same and takes over by Adopt what another
// says: when it begins to speak it needs no warm-up.
func (w *Watch) Speak(speaks bool, now Instant) {
	if speaks == w.speaks {
		return
	}
	w.speaks = speaks
	for i, p := range w.peers {
		if p.warm && now.Mono >= w.warmUntil(p) { // somebody else has watched it meanwhile
			p.warm = false
			w.due[i] = w.next(p)
		}
	}
}

// Speaks reports whether it does.
func (w *Watch) Speaks() bool { return w.speaks }

// Hear takes a beat that arrived at now.
func (w *Watch) Hear(b telemetry.Heartbeat, now Instant) Heard {
	p, reason := w.peerFor(&b, now)
	if p == nil {
		return w.refuse(reason)
	}
	order, reason := w.order(p, &b, now)
	if order == Fresh {
		w.take(p, &b, now)
	}
	if order == Retired {
		p.oldBeats++
	}
	w.announce(p, now)
	w.due[p.slot] = w.next(p)
	if order == Refused {
		h := w.refuse(reason)
		h.Gen = p.gen
		return h
	}
	w.orders[order]++
	return Heard{Order: order, Reason: reason, Gen: p.gen, Peer: w.peerOf(p), Changes: w.flush()}
}

func (w *Watch) refuse(reason string) Heard {
	w.refusals[reason]++
	return Heard{Order: Refused, Reason: reason, Changes: w.flush()}
}

// peerFor returns whose beat it is, or why nobody's.
func (w *Watch) peerFor(b *telemetry.Heartbeat, now Instant) (*peer, string) {
	if b.Host == "" || b.Inst == "" || b.Seq == 0 || len(b.Host) > longestID || len(b.Inst) > longestID {
		return nil, ReasonNotAllowed
	}
	if p := w.index[b.Host]; p != nil {
		return p, ""
	}
	if len(w.peers) >= w.rules.Most || !w.admits.take(w.rules, now.Mono) {
		w.admits.refused++
		return nil, ReasonBusy
	}
	return w.add(b.Host, now.Mono), ""
}

// take takes over what a fresh beat says.
func (w *Watch) take(p *peer, b *telemetry.Heartbeat, now Instant) {
	p.ephemeral = slices.Contains(b.Flags, FlagEphemeral)
	trim(b)
	b.Host, b.Inst = p.host, p.inst // the same strings, once
	w.measures.measure(p, b)
	p.missesAcks = p.beaten && b.AckLost > p.last.AckLost
	if !p.beaten || p.last.Inst != b.Inst {
		p.acksBefore = b.AckLost // which others owe it, or nobody: it may have been alone
	}
	w.pace(p, b)
	p.from, p.seen = now.Mono, now.Wall
	p.beaten, p.fresh, p.warm = true, true, false
	if b.Name != "" {
		p.name = b.Name
	}
	w.clocks(p, b, now)
	p.last = *b
	if w.speaks {
		w.settle(p, now)
	}
}

// Sweep judges everybody; it is called each second. It returns what has changed, and whom to probe: each gets one Probed.
func (w *Watch) Sweep(self Self, now Instant) (changes []Change, probe []string) {
	w.lookAtSelf(self, now)
	if !w.speaks {
		w.admits.refused = 0
		return w.flush(), nil
	}
	for i, due := range slices.Backward(w.due) { // one that is forgotten leaves its place to the last
		if due > now.Mono {
			continue
		}
		p := w.peers[i]
		if w.judge(p, now) {
			probe = append(probe, p.host)
		}
		if p.slot >= 0 {
			w.due[p.slot] = w.next(p)
		}
	}
	w.massed(now)
	w.alarm(now)
	return w.flush(), probe
}

// grow makes room for n.
func (w *Watch) grow(n int) {
	if len(w.peers) > 0 {
		return
	}
	w.index, w.peers, w.due = make(map[string]*peer, n), make([]*peer, 0, n), make([]time.Duration, 0, n)
}

// add begins to watch a host.
func (w *Watch) add(host string, now time.Duration) *peer {
	p := &peer{host: host, slot: len(w.peers), state: telemetry.HostUnknown, track: Track{Heard: now}}
	w.index[host] = p
	w.peers = append(w.peers, p)
	w.due = append(w.due, never)
	w.states[p.state]++
	return p
}

// remove ends it.
func (w *Watch) remove(p *peer) {
	last := len(w.peers) - 1
	w.peers[p.slot], w.due[p.slot] = w.peers[last], w.due[last]
	w.peers[p.slot].slot = p.slot
	w.peers[last] = nil
	w.peers, w.due = w.peers[:last], w.due[:last]
	delete(w.index, p.host)
	w.states[p.state]--
	w.rate -= p.rate
	if p.clock.skewed {
		w.skewed--
	}
	p.slot = -1
}

// Forget drops a host; its next beat makes it a new one.
func (w *Watch) Forget(host string, now Instant) []Change {
	p := w.index[host]
	if p == nil {
		return nil
	}
	w.tell(p, Change{Type: TypeForgotten, Message: p.label() + " is forgotten: somebody asked for it"}, now)
	w.remove(p)
	return w.flush()
}

// Peer returns what is known of a host.
func (w *Watch) Peer(host string) (Peer, bool) {
	p := w.index[host]
	if p == nil {
		return Peer{}, false
	}
	return w.shown(p), true
}

// Hosts calls f for each host, in no order, until f returns false. f must not call the Watch.
func (w *Watch) Hosts(f func(Peer) bool) {
	for _, p := range w.peers {
		if !f(w.shown(p)) {
			return
		}
	}
}

// shown is what is known of p at this moment: nothing, while the watcher is cut off.
func (w *Watch) shown(p *peer) Peer {
	v := w.peerOf(p)
	if w.guard.cut && p.alive() {
		v.State, v.Reason, v.Stable = telemetry.HostUnknown, ReasonSelf, false
	}
	return v
}

// States returns how many are in each state, as it is shown.
func (w *Watch) States() map[string]uint64 {
	all := map[string]uint64{}
	for state, n := range w.states {
		if w.guard.cut && (state == telemetry.HostUp || state == telemetry.HostOverdue) {
			state = telemetry.HostUnknown
		}
		if n > 0 {
			all[state] += uint64(n)
		}
	}
	return all
}

// Warming returns how many are not heard since the restart, and not judged yet.
func (w *Watch) Warming() (n int) {
	for _, p := range w.peers {
		if p.warm {
			n++
		}
	}
	return n
}

// Len returns how many are watched.
func (w *Watch) Len() int { return len(w.peers) }

// Counts are events that are nobody's state: refused beats by reason, stalls, probes by outcome.
func (w *Watch) Counts() map[string]uint64 {
	all := maps.Clone(w.counts)
	for order, n := range w.orders {
		all["beats_"+string(order)] = n
	}
	for reason, n := range w.refusals {
		all["refused_"+reason] = n
	}
	for outcome, n := range w.outcomes {
		all["probes_"+string(outcome)] = n
	}
	return all
}

// phase is a number from 0 to 1 that is always the same for a host.
func phase(host string) float64 {
	h := uint32(2166136261) // FNV-1a
	for i := range len(host) {
		h = (h ^ uint32(host[i])) * 16777619
	}
	return float64(h) / (1 << 32)
}
