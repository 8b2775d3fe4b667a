package liveness

import (
	"math"
	"time"
)

// penaltyNow is the penalty of flapping, which halves each quarter of an hour.
func (p *peer) penaltyNow(now time.Duration) float64 {
	if p.penalty == 0 {
		return 0
	}
	return p.penalty * math.Exp2(-float64(max(0, now-p.penaltyAt))/float64(halfLife))
}

// flapped adds a DOWN to the penalty, and ends notifications when there were too many.
func (w *Watch) flapped(p *peer, now Instant) {
	p.penalty, p.penaltyAt = min(p.penaltyNow(now.Mono)+perDown, ceiling), now.Mono
	if p.penalty < suppressAt || p.damped {
		return
	}
	w.tell(p, Change{Type: TypeFlapping, Reason: ReasonBegun, Message: p.label() + " goes down again and again: nobody is told until it keeps quiet"}, now)
	p.damped = true
}

// calms ends flapping when the penalty has sunk, and says what p is by then.
func (w *Watch) calms(p *peer, now Instant) {
	if !p.damped || now.Mono < p.calmAt() {
		return
	}
	p.damped = false
	w.tell(p, Change{Type: TypeFlapping, Reason: ReasonEnded, Message: p.label() + " has kept quiet, and is " + p.state}, now)
}

// calmAt is when the penalty will be low enough.
func (p *peer) calmAt() time.Duration {
	halves := math.Log2(p.penalty / reuseAt)
	return p.penaltyAt + time.Duration(max(0, halves)*float64(halfLife))
}
