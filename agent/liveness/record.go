package liveness

import (
	"math"
	"slices"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Restore takes what was known before a restart, once, before the first beat. down is how long nobody watched.
func (w *Watch) Restore(records []telemetry.HostRecord, down time.Duration, now Instant) {
	w.restored = now.Mono
	w.grow(min(len(records), w.rules.Most))
	for _, r := range records {
		p := w.keep(r.Host, now)
		if p == nil {
			continue
		}
		heard := p.beaten
		w.remember(p, &r, now)
		if !heard {
			w.reckon(p, &r, min(max(0, down), longestAge), now)
			p.warm = p.alive() || p.state == telemetry.HostLeft && p.reason == ReasonUpgrade
		}
		w.due[p.slot] = w.next(p)
	}
}

// reckon reconstructs when p was heard last. A record is written when something happens, so that of a living host may be old: it was
// heard until its watcher went.
func (w *Watch) reckon(p *peer, r *telemetry.HostRecord, down time.Duration, now Instant) {
	age := max(down, ago(r.Seen, now))
	if p.alive() {
		_, limit := w.rules.Limits(p.interval)
		age = min(age, down+limit)
	}
	p.track.Heard = now.Mono - age
	if r.Seen != 0 {
		p.seen = now.Wall.Add(-age)
	}
}

// Adopt takes over what the hub that speaks has recorded of a host.
func (w *Watch) Adopt(r telemetry.HostRecord, now Instant) {
	p := w.keep(r.Host, now)
	if p == nil {
		return
	}
	if r.State != p.state || r.Since != unixNano(p.since) {
		p.fresh = false // its verdict is about the beats so far
		p.warm = false
		p.from = max(p.from, now.Mono)
	}
	w.remember(p, &r, now)
	if !p.beaten {
		w.reckon(p, &r, 0, now)
	}
	w.due[p.slot] = w.next(p)
}

// keep returns the peer of a record, a new one if need be: nil when there is no room or it has no id.
func (w *Watch) keep(host string, now Instant) *peer {
	if p := w.index[host]; p != nil {
		return p
	}
	if host == "" || len(host) > longestID || len(w.peers) >= w.rules.Most {
		w.counts["records_left_out"]++
		return nil
	}
	p := w.add(host, now.Mono)
	p.from = now.Mono
	return p
}

// remember takes over a record.
func (w *Watch) remember(p *peer, r *telemetry.HostRecord, now Instant) {
	w.place(p, stateOf(r.State))
	p.was, p.reason, p.changed = r.From, r.Reason, r.Change
	p.since, p.until = wallOf(r.Since), wallOf(r.Until)
	p.probe = probe{}
	p.quietUntil = 0
	if r.Until != 0 {
		p.quietUntil = max(1, now.Mono+until(r.Until, now))
	}
	p.flaps = Flaps{at: now.Mono - max(0, ago(r.PenaltyAt, now)), damped: r.Damped}
	if r.Penalty > 0 { // NaN is not
		p.flaps.penalty = min(r.Penalty, ceiling)
	}
	p.incident = r.Incident
	p.beats = w.rules.Stable
	p.aliases = slices.Clone(r.Aliases[:min(len(r.Aliases), mostAliases)])
	if len(p.aliases) > 0 && p.renamed == 0 {
		p.renamed = now.Mono
	}
	p.told = told{r.Inst, r.Boot, r.Name, slices.Contains(r.Flags, FlagConflict), now.Mono}
	if !p.beaten {
		p.interval = intervalOf(r.IntervalMS, 0)
		p.seen, p.name, p.last.Boot, p.last.Owner = wallOf(r.Seen), r.Name, r.Boot, r.Owner
		p.ephemeral = slices.Contains(r.Flags, FlagEphemeral)
	}
	p.recall(r)
}

// recall takes over which instances there were, unless a newer one was heard here already.
func (p *peer) recall(r *telemetry.HostRecord) {
	for _, inst := range r.Retired[:min(len(r.Retired), mostRetired)] {
		if inst != p.inst && !slices.Contains(p.retired, inst) {
			p.retire(inst)
		}
	}
	newer := !p.beaten || r.Gen > p.gen || slices.Contains(r.Retired, p.inst)
	if r.Inst != "" && r.Inst != p.inst && newer {
		p.follow(r.Inst)
	}
	p.gen = max(p.gen, r.Gen)
}

// Record returns what is to be remembered of a host, without Term, Event and Items, and without what its manifest says.
func (w *Watch) Record(host string) (telemetry.HostRecord, bool) {
	p := w.index[host]
	if p == nil {
		return telemetry.HostRecord{}, false
	}
	r := telemetry.HostRecord{
		Version: telemetry.ProtocolVersion, Host: p.host, Name: p.told.name, State: p.state, From: p.was, Reason: p.reason,
		Since: unixNano(p.since), Seen: unixNano(p.seen), Change: p.changed,
		Boot: p.told.boot, Inst: p.told.inst, Gen: p.gen, Retired: slices.Clone(p.retired), IntervalMS: p.interval.Milliseconds(),
		Owner: p.last.Owner, Aliases: p.aliases, Incident: p.incident, Until: unixNano(p.until), Damped: p.flaps.damped,
	}
	lasting := p.bits() & (bitEphemeral | bitFlapping | bitMaintenance)
	if p.told.conflict {
		lasting |= bitConflict
	}
	r.Flags = w.flags[lasting]
	if p.flaps.penalty > 0 {
		r.Penalty, r.PenaltyAt = p.flaps.now(w.guard.last.Mono), unixNano(w.guard.last.Wall)
	}
	return r, true
}

func stateOf(s string) string {
	switch s {
	case telemetry.HostUp, telemetry.HostOverdue, telemetry.HostDown, telemetry.HostLeft:
		return s
	}
	return telemetry.HostUnknown
}

// intervalOf returns the interval that somebody claims to have, or the one before when it makes no sense.
func intervalOf(ms int64, before time.Duration) time.Duration {
	if ms <= 0 {
		return max(before, time.Millisecond)
	}
	return time.Duration(min(ms, telemetry.MaxIntervalMS)) * time.Millisecond
}

func unixNano(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func wallOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// longestAge bounds what a wrong clock makes of an age.
const longestAge = 10 * 365 * 24 * time.Hour

// ago is how long ago a wall time was, by a clock that may have been set since.
func ago(ns int64, now Instant) time.Duration {
	if ns == 0 {
		return 0
	}
	return min(time.Duration(minus(now.Wall.UnixNano(), ns)), longestAge)
}

// until is how far a wall time is.
func until(ns int64, now Instant) time.Duration {
	return min(time.Duration(max(minus(ns, now.Wall.UnixNano()), math.MinInt64+1)), longestAge)
}
