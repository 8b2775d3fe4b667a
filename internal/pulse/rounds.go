package pulse

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// keptRounds is of how many round trips the quickest counts: it was least delayed on the way, so its figures are the truest.
const keptRounds = 8

// A round is one beat there, and its ACK back.
type round struct {
	trip   time.Duration
	offset time.Duration // of the watcher's clock against ours
	timed  bool          // the watcher has told its times, else there is no offset
}

// rounds are the last ones.
type rounds struct {
	kept [keptRounds]round
	n    int // that came at all
}

func (r *rounds) add(one round) {
	r.kept[r.n%keptRounds] = one
	r.n++
}

// best returns the quickest round.
func (r *rounds) best() (best round) {
	for i, one := range r.kept[:min(r.n, keptRounds)] {
		if i == 0 || one.trip < best.trip {
			best = one
		}
	}
	return best
}

// roundOf makes a round of an ACK that came so long after its beat, which left when our wall clock was at t1. The wall clock is
// read once and the rest counted, so that a step of it meanwhile does no harm.
func roundOf(a telemetry.Ack, t1 int64, took time.Duration) round {
	held := time.Duration(a.T3 - a.T2) // by the watcher
	if t1 <= 0 || a.T2 <= 0 || a.T3 < a.T2 || held > took {
		return round{trip: took} // clocks that say nothing: none, one that was set meanwhile, or made up
	}
	t4 := t1 + int64(took)
	if t4 < t1 {
		return round{trip: took}
	}
	there, back := a.T2-t1, a.T3-t4 // all are positive, so neither overflows, but the sum may
	return round{trip: took - held, offset: time.Duration(there/2 + back/2), timed: true}
}
