package liveness

import (
	"slices"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A rival is another instance that beats under the id of a peer.
type rival struct {
	Rival
	at        time.Duration // of its last beat
	seq       uint64        // highest
	beats     int           // that went on from one another
	byHand    bool          // without a start counter: refused, and no sign of a cloned machine
	contested bool          // it and the known one both live: a conflict
}

// order says what a beat is against those before it, and lets another instance take over where that is right.
func (w *Watch) order(p *peer, b *telemetry.Heartbeat, now Instant) (Order, string) {
	if b.Inst != p.inst {
		if slices.Contains(p.retired, b.Inst) {
			if reason := p.meet(b, now); !p.returns(b) {
				return Retired, reason
			}
		} else if reason := p.admits(b, now.Mono); reason != "" {
			p.meet(b, now)
			return Refused, reason
		}
		p.follow(b.Inst)
	}
	p.gen = max(p.gen, b.Gen) // the sender goes on above the highest known
	silent := p.track.Silent(now.Mono)
	lost := p.track.Lost
	order := p.track.Take(b.Seq, now.Mono)
	if order == Fresh {
		w.measures.BeatsLost += p.track.Lost - lost
		p.gap = silent
		p.expose()
	}
	return order, ""
}

// returns reports whether an instance that was replaced may have its place again: it lives, and the one that took it, of a copied
// state folder, does not.
func (p *peer) returns(b *telemetry.Heartbeat) bool { return p.ended() && p.rivalOf(b).beats >= 2 }

// admits returns why a new instance may not take the place of the known one: "" when it may.
func (p *peer) admits(b *telemetry.Heartbeat, now time.Duration) string {
	switch {
	case p.inst == "" || p.ended() || b.Gen > p.gen:
		return ""
	case b.Gen == 0 && p.silent(now) >= p.interval+p.interval/10: // a beat may be late by its jitter of 5 % on both ends
		return ""
	case b.Gen == 0:
		return ReasonNameTaken
	}
	return ReasonConflict
}

// follow makes inst the instance whose beats count.
func (p *peer) follow(inst string) {
	if p.inst != "" {
		p.retire(p.inst)
	}
	p.inst = inst
	p.retired = slices.DeleteFunc(p.retired, func(old string) bool { return old == inst })
	p.rivals = slices.DeleteFunc(p.rivals, func(r rival) bool { return r.Inst == inst })
	p.track.Restart()
	p.clock.restart()
	p.least, p.missesAcks = 0, false
}

func (p *peer) retire(inst string) {
	if len(p.retired) >= mostRetired {
		p.retired = slices.Delete(p.retired, 0, 1)
	}
	p.retired = append(p.retired, inst)
}

// meet notes a beat of an instance that does not count, and returns ReasonConflict when it lives beside the one that does. One
// that was replaced may have had a beat on its way; two that go on from one another are no stragglers.
func (p *peer) meet(b *telemetry.Heartbeat, now Instant) string {
	r := p.rivalOf(b)
	r.Name, r.Seen, r.at = cut(b.Name, longestID), now.Wall, now.Mono
	if b.Seq > r.seq {
		r.seq = b.Seq
		r.beats = min(r.beats+1, 2)
	}
	if r.beats >= 2 && slices.Contains(p.retired, r.Inst) {
		r.contested = true
	}
	if r.contested {
		p.told.at = now.Mono
		return ReasonConflict
	}
	return ""
}

// rivalOf returns the rival of a beat, in place of the one not heard for longest when there are too many.
func (p *peer) rivalOf(b *telemetry.Heartbeat) *rival {
	oldest := 0
	for i := range p.rivals {
		if p.rivals[i].Inst == b.Inst {
			return &p.rivals[i]
		}
		if p.rivals[i].at < p.rivals[oldest].at {
			oldest = i
		}
	}
	fresh := rival{Rival: Rival{Inst: b.Inst}, byHand: b.Gen == 0}
	if len(p.rivals) < mostRivals {
		p.rivals = append(p.rivals, fresh)
		return &p.rivals[len(p.rivals)-1]
	}
	p.rivals[oldest] = fresh
	return &p.rivals[oldest]
}

// expose marks as contested the rivals that beat before a fresh beat of the known instance: so both live. A single one whose
// state folder was restored while the known one is dead is no conflict, it only has to wait.
func (p *peer) expose() {
	for i := range p.rivals {
		r := &p.rivals[i]
		if !r.byHand && !slices.Contains(p.retired, r.Inst) {
			r.contested = true
		}
	}
}

// contested reports whether p is in conflict.
func (p *peer) contested() bool {
	for i := range p.rivals {
		if p.rivals[i].contested {
			return true
		}
	}
	return false
}

// part drops the rivals that are gone for good, and ends the conflict with the last of them.
func (p *peer) part(now, limit time.Duration) {
	p.rivals = slices.DeleteFunc(p.rivals, func(r rival) bool { return now-r.at >= limit })
	if p.told.conflict && !p.contested() && now-p.told.at >= limit {
		p.told.conflict = false
	}
}

// silent returns for how long p's instance has not been heard.
func (p *peer) silent(now time.Duration) time.Duration { return max(0, now-p.from) }
