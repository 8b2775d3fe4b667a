package liveness

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// settle gives the verdict on a fresh beat.
func (w *Watch) settle(p *peer, now Instant) {
	p.fresh, p.unseen = false, false
	switch {
	case p.last.Bye != "":
		if p.state != telemetry.HostLeft {
			w.become(p, telemetry.HostLeft, p.last.Bye, now)
		}
		return
	case p.state == telemetry.HostUp:
		if p.reason == ReasonProbe {
			p.reason = "" // it beats again
		}
	case p.last.ResumedMS > 0:
		w.become(p, telemetry.HostUp, ReasonResumed, now)
	default:
		w.become(p, telemetry.HostUp, "", now)
	}
	p.beats = min(p.beats+1, w.rules.Stable)
}

// become changes the state of p, and tells.
func (w *Watch) become(p *peer, state, reason string, now Instant) {
	if state == telemetry.HostDown {
		w.flapped(p, now)
		p.beats = 0
	}
	w.place(p, state)
	p.reason, p.since = reason, now.Wall
	p.changed++
	w.tell(p, Change{Type: typeOf[state], From: p.was, Message: p.sentence(now)}, now)
	p.probe = probe{}
	if state != telemetry.HostOverdue && state != telemetry.HostDown {
		p.incident, p.held = "", 0
	}
}

// place puts p into a state, and counts it there.
func (w *Watch) place(p *peer, state string) {
	w.states[p.state]--
	w.states[state]++
	p.was, p.state = p.state, state
	w.weigh(p)
}

var typeOf = map[string]string{
	telemetry.HostUp: TypeUp, telemetry.HostOverdue: TypeOverdue, telemetry.HostDown: TypeDown, telemetry.HostLeft: TypeLeft,
}

// judge gives the verdict on a silence, ends what has its time, and reports whether p is to be asked.
func (w *Watch) judge(p *peer, now Instant) (ask bool) {
	if p.fresh {
		w.settle(p, now)
	}
	w.announce(p, now)
	w.expire(p, now)
	switch {
	case p.warm:
		ask = w.judgeRestored(p, now)
	case p.state == telemetry.HostUp:
		if overdue, _ := w.rules.Limits(p.interval); now.Mono-w.counted(p) >= overdue {
			w.become(p, telemetry.HostOverdue, "", now)
			w.mass.note(p, now.Mono)
			ask = w.asks(p, now.Mono)
		}
	case p.state == telemetry.HostOverdue:
		ask = w.judgeOverdue(p, now)
	default:
		w.judgeEnded(p, now)
	}
	return ask
}

// judgeRestored judges one that is not heard since the watcher began. It is OVERDUE, asked as any other is, and one of many when it
// is; only the reason of its DOWN is another.
func (w *Watch) judgeRestored(p *peer, now Instant) (ask bool) {
	if now.Mono < w.warmUntil(p) || w.Blind(now) != "" {
		return false
	}
	p.warm = false
	if !p.alive() {
		return false
	}
	p.unseen = true
	if p.state == telemetry.HostUp {
		w.become(p, telemetry.HostOverdue, "", now)
		w.mass.note(p, now.Mono)
	}
	return w.asks(p, now.Mono)
}

// warmUntil is when a restored one that is still silent is judged.
func (w *Watch) warmUntil(p *peer) time.Duration {
	_, down := w.rules.Limits(p.interval)
	return max(w.restored, w.guard.clear) + down + w.rules.WarmUp
}

// judgeOverdue waits for the outcome of the probe, the DOWN limit and the end of an incident.
func (w *Watch) judgeOverdue(p *peer, now Instant) (ask bool) {
	overdue, down := w.rules.Limits(p.interval)
	silent := now.Mono - w.counted(p)
	if silent < overdue {
		return false // the watcher was blind, and looks again from the beginning
	}
	may := silent >= down && now.Mono >= p.held && w.Blind(now) == ""
	switch {
	case may && silent >= 2*down && p.probe.vain(now.Mono) >= down:
		w.become(p, telemetry.HostDown, p.downFor(ReasonSilent), now)
	case w.asks(p, now.Mono):
		return true
	case may && p.probe.settled():
		w.become(p, telemetry.HostDown, p.downFor(string(p.probe.outcome)), now)
	}
	return false
}

// downFor returns the reason of a DOWN: what the probe says, unless nothing was heard since the restart.
func (p *peer) downFor(reason string) string {
	if p.unseen {
		return ReasonNotSeen
	}
	return reason
}

// asks reports whether p is to be asked whether it lives, and notes that it is.
func (w *Watch) asks(p *peer, now time.Duration) bool {
	q := &p.probe
	_, down := w.rules.Limits(p.interval)
	old := now - q.at
	switch {
	case q.open && old < probeLost: // under way
		return false
	case q.open, q.outcome == "":
	case q.settled():
		if old < down && q.at >= w.guard.clear {
			return false
		}
		*q = probe{} // too old to be true
	case old < probePause:
		return false
	}
	if !q.begun {
		q.begun, q.first = true, now
	}
	q.open, q.at = true, now
	w.counts["probes"]++
	return true
}

// Probed tells the outcome of a probe.
func (w *Watch) Probed(host string, o Outcome, now Instant) []Change {
	p := w.index[host]
	if p == nil || p.state != telemetry.HostOverdue || !w.speaks {
		return nil
	}
	w.outcomes[o]++
	p.probe.open, p.probe.outcome, p.probe.at = false, o, now.Mono
	switch o {
	case Silent:
		p.probe.silent++
	case Alive:
		p.saved++
		p.from, p.warm = now.Mono, false
		w.become(p, telemetry.HostUp, ReasonProbe, now)
	}
	w.due[p.slot] = w.next(p)
	return w.flush()
}

// judgeEnded forgets by time, and waits for one that left for an upgrade.
func (w *Watch) judgeEnded(p *peer, now Instant) {
	if p.state == telemetry.HostLeft && p.reason == ReasonUpgrade && w.Blind(now) == "" && p.age(now) >= w.rules.Upgrade {
		w.become(p, telemetry.HostDown, ReasonUpgrade, now)
		return
	}
	if at := w.forgetAt(p); now.Mono >= at && w.Blind(now) == "" {
		w.tell(p, Change{Type: TypeForgotten, Message: p.label() + " is forgotten: not heard for " + round(p.age(now)).String()}, now)
		w.remove(p)
	}
}

// forgetAt is when p is forgotten.
func (w *Watch) forgetAt(p *peer) time.Duration {
	after := w.rules.ForgetLeft
	if p.state == telemetry.HostDown && !p.ephemeral {
		after = w.rules.ForgetDown
	}
	if after <= 0 || p.alive() {
		return never
	}
	return p.track.Heard + after
}

// expire ends what has its time: maintenance, flapping, aliases, rivals.
func (w *Watch) expire(p *peer, now Instant) {
	if p.quietUntil != 0 && now.Mono >= p.quietUntil {
		w.endMaintenance(p, now)
	}
	w.calms(p, now)
	if len(p.aliases) > 0 && now.Mono >= p.renamed+aliasFor {
		p.aliases = nil
	}
	if len(p.rivals) > 0 || p.told.conflict {
		_, down := w.rules.Limits(p.interval)
		p.part(now.Mono, 2*down)
	}
}

// next is when p is to be looked at again.
func (w *Watch) next(p *peer) time.Duration {
	overdue, down := w.rules.Limits(p.interval)
	at := w.forgetAt(p)
	switch {
	case p.fresh || p.state == telemetry.HostOverdue && !p.warm:
		return 0
	case p.warm:
		at = w.warmUntil(p)
	case p.state == telemetry.HostUp:
		at = w.counted(p) + overdue
	case p.state == telemetry.HostLeft && p.reason == ReasonUpgrade:
		at = min(at, p.track.Heard+w.rules.Upgrade)
	}
	if p.quietUntil != 0 {
		at = min(at, p.quietUntil)
	}
	if p.flaps.damped {
		at = min(at, p.flaps.calmAt())
	}
	if len(p.aliases) > 0 {
		at = min(at, p.renamed+aliasFor)
	}
	if p.told.conflict {
		at = min(at, p.told.at+2*down)
	}
	for i := range p.rivals {
		at = min(at, p.rivals[i].at+2*down)
	}
	return at
}
