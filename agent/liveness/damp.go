package liveness

import (
	"math"
	"time"
)

// Flaps damp what is told of somebody who goes down again and again: each DOWN adds a penalty of 1,000, which halves each quarter
// of an hour. From 2,000 on nobody is told, until it has sunk to 750. The zero Flaps is of somebody who never did.
type Flaps struct {
	penalty float64
	at      time.Duration // when it was that much
	damped  bool
}

// now returns the penalty at a moment.
func (f *Flaps) now(now time.Duration) float64 {
	if f.penalty == 0 {
		return 0
	}
	return f.penalty * math.Exp2(-float64(max(0, now-f.at))/float64(halfLife))
}

// Damped reports whether nobody is to be told.
func (f *Flaps) Damped() bool { return f.damped }

// Down counts a DOWN, and reports whether the damping begins with it.
func (f *Flaps) Down(now time.Duration) (begins bool) {
	f.penalty, f.at = min(f.now(now)+perDown, ceiling), now
	begins = !f.damped && f.penalty >= suppressAt
	f.damped = f.damped || begins
	return begins
}

// Calms reports whether the damping ends at this moment.
func (f *Flaps) Calms(now time.Duration) (ends bool) {
	ends = f.damped && now >= f.calmAt()
	f.damped = f.damped && !ends
	return ends
}

// calmAt is when the penalty will be low enough.
func (f *Flaps) calmAt() time.Duration {
	halves := math.Log2(f.penalty / reuseAt)
	return f.at + time.Duration(max(0, halves)*float64(halfLife))
}

// flapped counts a DOWN of p, and tells when its notifications end. The DOWN itself is the first that nobody is told of.
func (w *Watch) flapped(p *peer, now Instant) {
	if !p.flaps.Down(now.Mono) {
		return
	}
	p.flaps.damped = false // this is told still
	w.tell(p, Change{Type: TypeFlapping, Reason: ReasonBegun, Message: p.label() + " goes down again and again: nobody is told until it keeps quiet"}, now)
	p.flaps.damped = true
}

// calms ends flapping when the penalty has sunk, and says what p is by then.
func (w *Watch) calms(p *peer, now Instant) {
	if p.flaps.Calms(now.Mono) {
		w.tell(p, Change{Type: TypeFlapping, Reason: ReasonEnded, Message: p.label() + " has kept quiet, and is " + p.state}, now)
	}
}
