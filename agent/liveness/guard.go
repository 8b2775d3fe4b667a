package liveness

import (
	"fmt"
	"time"
)

// Why a Watch is blind.
const (
	blindStalled      = "stalled"      // it did not look for too long
	blindBehind       = "behind"       // beats wait to be taken
	blindDisconnected = "disconnected" // from the bus
	blindBus          = "bus"          // which does not answer
	blindClock        = "clock"        // wall and monotonic clock disagree: the machine slept, or the clock was set
)

// guard blames the watcher before the watched.
type guard struct {
	last    Instant       // sweep
	clear   time.Duration // until when it could not see; silence counts from here at the earliest
	reason  string        // of the last time
	cut     bool          // from the bus, at the last sweep
	stepped time.Duration // when its own clock was set; 0: never
}

// lookAtSelf looks at the watcher itself. While it cannot see, every silence begins anew: so each of the watched has one whole DOWN
// limit, with the watcher well, before it is judged.
func (w *Watch) lookAtSelf(self Self, now Instant) {
	g := &w.guard
	gap := now.Mono - g.last.Mono
	set := now.Wall.Round(0).Sub(g.last.Wall.Round(0)) - gap // Round: else Sub compares monotonic readings as well
	g.last = now
	reason := ""
	switch {
	case !self.Connected:
		reason = blindDisconnected
	case !self.Bus:
		reason = blindBus
	case gap > w.rules.Stall:
		reason = blindStalled
	case self.Behind:
		reason = blindBehind
	case set.Abs() > stepLeast:
		reason = blindClock
	}
	if set.Abs() > stepLeast {
		g.stepped = now.Mono
		w.tellAll(Change{Type: TypeClockStep, Reason: ReasonSelf, Message: fmt.Sprintf("the clock here was set by %v, or the machine slept", round(set))}, now)
	}
	g.cut = reason == blindDisconnected || reason == blindBus
	if reason == "" {
		return
	}
	w.counts["blind_"+reason]++
	g.reason, g.clear = reason, now.Mono
}

// Blind reports why no verdict is given at now: "" when they are given.
func (w *Watch) Blind(now Instant) string {
	g := &w.guard
	if now.Mono-g.last.Mono > w.rules.Stall {
		return blindStalled
	}
	if _, least := w.rules.Limits(0); g.reason != "" && now.Mono-g.clear < least {
		return g.reason
	}
	return ""
}

// counted returns from when the silence of p counts.
func (w *Watch) counted(p *peer) time.Duration { return max(p.from, w.guard.clear) }
