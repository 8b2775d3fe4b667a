package liveness

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Measures are what all fresh beats have said since a Watch began. They judge nobody: they show whether the limits fit.
type Measures struct {
	Intervals Histogram // between two beats of an instance, by the interval it had told
	RTTs      Histogram // s; as the watched measure it, the best of their last eight
	Offsets   Histogram // s; of the clock of the watched, whichever way, as they measure it

	// BeatsLost had not come when a newer one did: those that came late after all are counted as late, too. AcksLost are answers
	// that the watched have missed.
	BeatsLost, AcksLost uint64
}

// A Histogram counts values by their size.
type Histogram struct {
	Bounds []float64                    // ascending; not to be changed
	Counts [len(ratioBounds) + 1]uint64 // of the values up to each bound that are above the one before; then of those above all
	Sum    float64
}

// The bounds of all histograms are equally many, so that none is made for each beat.
var (
	ratioBounds  = [...]float64{0.5, 0.9, 0.95, 1.05, 1.1, 1.5, 2, 2.5, 3, 4, 6, 8} // a beat has a jitter of 5 %; OVERDUE and DOWN are 2.5 and 4
	rttBounds    = [len(ratioBounds)]float64{0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1}
	offsetBounds = [len(ratioBounds)]float64{0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 10, 60, 3600} // 1 s is clock_skew
)

// mostValue is what a value counts as at most in a sum: one lie must not hide all that is true.
const mostValue = 24 * 3600

func newMeasures() Measures {
	return Measures{Intervals: Histogram{Bounds: ratioBounds[:]}, RTTs: Histogram{Bounds: rttBounds[:]}, Offsets: Histogram{Bounds: offsetBounds[:]}}
}

// add counts a value.
func (h *Histogram) add(v float64) {
	i := 0
	for i < len(h.Bounds) && v > h.Bounds[i] {
		i++
	}
	h.Counts[i]++
	h.Sum += min(v, mostValue)
}

// Count returns how many values there are.
func (h *Histogram) Count() uint64 {
	n := uint64(0)
	for _, c := range h.Counts {
		n += c
	}
	return n
}

// measure takes what a fresh beat says against the one before, which is still the last of p.
func (m *Measures) measure(p *peer, b *telemetry.Heartbeat) {
	if p.beaten && p.last.Inst == b.Inst {
		m.Intervals.add(float64(p.gap) / float64(p.interval))
		if b.AckLost > p.last.AckLost {
			m.AcksLost += min(b.AckLost-p.last.AckLost, mostLost)
		}
	}
	if b.RTTUS > 0 {
		m.RTTs.add(micros(time.Duration(b.RTTUS)).Seconds())
	}
	if b.RTTUS > 0 || b.OffsetUS != 0 {
		m.Offsets.add(micros(apart(b.OffsetUS, 0)).Seconds())
	}
}

// Measures returns what has been measured so far.
func (w *Watch) Measures() Measures { return w.measures }
