package bus

import (
	"strconv"
	"strings"
)

// gapCounter counts batches that their sources sent and the stream dropped
// before this consumer had read them. Sources number their batches without holes
// (ids <host>/<plugin>/<boot>/<seq>), so a hole in what arrives is a loss, unless
// another process of the same consumer got it, which the consumer's own count of
// deliveries shows. The last batches of a source and the first ones of its next boot
// are between no two that arrive: nobody knows here whether they were sent, or read by
// somebody before, so they are left to the bound of the agent.
type gapCounter struct {
	sources map[string]source // by <host>/<plugin>/<boot>
	last    uint64            // consumer sequence of the last delivery
	epoch   uint64            // counts deliveries that went elsewhere
	lost    uint64
}

type source struct {
	last    uint64 // highest seq seen
	missing uint64 // below it, not seen
	epoch   uint64
}

const maxSources = 1 << 16 // then all are forgotten: no loss is seen for one round

// see takes a delivery into account and returns how many are lost so far.
func (g *gapCounter) see(d *Delivery) uint64 {
	if d.consumerSeq != g.last+1 {
		g.epoch++
	}
	g.last = d.consumerSeq
	stem, seq, ok := ownID(d.ID)
	if !ok || d.Deliveries > 1 {
		return g.lost
	}
	s, known := g.sources[stem]
	switch {
	case !known && len(g.sources) >= maxSources:
		clear(g.sources)
	case g.sources == nil:
		g.sources = make(map[string]source)
	}
	switch {
	case !known || s.epoch != g.epoch:
		s = source{last: max(s.last, seq), epoch: g.epoch}
	case seq > s.last:
		s.missing += seq - s.last - 1
		g.lost += seq - s.last - 1
		s.last = seq
	case s.missing > 0: // late, not lost
		s.missing--
		g.lost--
	}
	g.sources[stem] = s
	return g.lost
}

// lostAway returns how many messages the stream had dropped behind the consumer's
// place at the last EnsureConsumer, while nobody read. How many of them its filters
// would have selected nobody knows any more, so this is a bound, and the ids of the
// next ones cannot tell: how far their sources had been read is known to no one
// either.
func lostAway(place ConsumerState) uint64 {
	settled := place.Delivered
	if place.AckPending > 0 { // of what was given out, some may be gone before it was settled
		settled = place.AckFloor
	}
	if place.StreamFirst <= settled+1 {
		return 0
	}
	return place.StreamFirst - 1 - settled
}

// ownID splits <host>/<plugin>/<boot>/<seq>. Ids derived from others tell nothing:
// a processor may rightly keep a batch back, so a hole among its outputs proves no
// loss. What is lost before the processor is counted by the processor, what is
// lost behind it is not counted. The ids of events tell nothing either, since a
// consumer selects among them.
func ownID(id string) (stem string, seq uint64, ok bool) {
	id = FirstID(id)
	at := strings.LastIndexByte(id, '/')
	if at < 0 {
		return "", 0, false
	}
	seq, err := strconv.ParseUint(id[at+1:], 10, 64)
	return id[:at], seq, err == nil
}
