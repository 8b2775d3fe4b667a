package fleet

import (
	"math/bits"
	"time"
)

// Stats count what a fleet has sent and heard.
type Stats struct {
	Beats     uint64            // sent
	Acks      uint64            // that accepted a beat
	Refused   map[string]uint64 // beats, by reason
	Stray     uint64            // ACKs of another beat, a second one, or one of a term that is over
	Bad       uint64            // messages that could not be read
	Unsent    uint64            // messages while the bus was away
	Pings     uint64            // answered
	Asked     uint64            // beats that a hub has asked for
	Refreshes uint64            // answered
	Entries   uint64            // of inventory, published
	BytesOut  uint64            // of all messages, without subjects
	BytesIn   uint64
	Dropped   uint64 // times that messages came faster than they were heard

	P50, P99, Max time.Duration // from a beat to its ACK

	latency histogram
}

func newStats() Stats { return Stats{Refused: map[string]uint64{}} }

func (s *Stats) add(o *Stats) {
	s.Beats += o.Beats
	s.Acks += o.Acks
	for reason, n := range o.Refused {
		s.Refused[reason] += n
	}
	s.Stray += o.Stray
	s.Bad += o.Bad
	s.Unsent += o.Unsent
	s.Pings += o.Pings
	s.Asked += o.Asked
	s.Refreshes += o.Refreshes
	s.Entries += o.Entries
	s.BytesOut += o.BytesOut
	s.BytesIn += o.BytesIn
	s.latency.merge(&o.latency)
}

func (s Stats) finish() Stats {
	s.P50, s.P99, s.Max = s.latency.quantile(0.5), s.latency.quantile(0.99), s.latency.max
	return s
}

// A histogram counts durations to a sixteenth of their size.
type histogram struct {
	counts [32 * 16]uint64 // by the microseconds' length in bits, and the four bits after the first
	n      uint64
	max    time.Duration
}

func (h *histogram) add(d time.Duration) {
	us := uint64(max(d, 0)/time.Microsecond) + 16 // so that there are four bits
	length := bits.Len64(us)
	slot := min((length-5)*16+int(us>>(length-5))-16, len(h.counts)-1)
	h.counts[slot]++
	h.n++
	h.max = max(h.max, d)
}

func (h *histogram) merge(o *histogram) {
	for i, n := range o.counts {
		h.counts[i] += n
	}
	h.n += o.n
	h.max = max(h.max, o.max)
}

// quantile returns the upper end of the slot in which share q of all ends.
func (h *histogram) quantile(q float64) time.Duration {
	left := int64(q*float64(h.n)) + 1
	for i, n := range h.counts {
		if left -= int64(n); left <= 0 {
			us := (uint64(i%16) + 17) << (i / 16)
			return min(time.Duration(us-16)*time.Microsecond, h.max)
		}
	}
	return h.max
}
