package uplink

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// An inquiry asks the stream over there which ids of this host it has. One at a time does: they share a consumer over there.
type inquiry struct {
	mu   sync.Mutex
	mute bool   // it may not ask, and that is logged
	part answer // to a question that was cut short
}

// An answer is what has been heard to a question.
type answer struct {
	key   string // of the span that it is for
	after uint64
	since time.Time
	next  uint64          // the sequence to go on with; 0: nothing was heard
	known map[uint64]bool // hashes of ids
}

// skew is how far the clocks here and over there may differ, and what is asked more for that. It is the time for which the stream
// remembers ids by itself.
const skew = 2 * time.Minute

// arrivedSince returns hashes of the ids of this host that the stream over there has behind a sequence, or when that is not known, since
// a message was stored here. What was heard of a question that was cut short is not asked again. Who may not ask relies on the stream
// itself, which remembers ids for two minutes.
func (c *carrier) arrivedSince(ctx context.Context, key string, after uint64, stored time.Time) (map[uint64]bool, error) {
	if c.own == "" {
		return nil, nil
	}
	q := &c.inquiry
	q.mu.Lock()
	defer q.mu.Unlock()
	if p := &q.part; p.key != key || p.after != after || !p.since.Equal(stored) {
		q.part = answer{key: key, after: after, since: stored, known: map[uint64]bool{}}
	}
	r := bus.Range{Stream: c.stream, Filter: c.own, From: q.part.next, Name: bus.UplinkOf(c.o.Host)}
	switch {
	case r.From > 0:
	case after > 0:
		r.From = after + 1
	default:
		r.Since = stored.Add(-skew)
	}
	err := c.central.IDs(ctx, r, func(seq uint64, id string) {
		if len(q.part.known) >= mostKnown {
			clear(q.part.known)
		}
		q.part.next = seq + 1
		q.part.known[c.hash(id)] = true
	})
	switch {
	case errors.Is(err, bus.ErrDenied):
		if !q.mute {
			c.log.Warn("uplink may not ask the bus of the fleet what has arrived: after two minutes without it, what was on the way may be there twice",
				"stream", c.stream, "error", err)
		}
		q.mute = true
		return nil, nil
	case errors.Is(err, bus.ErrNoStream):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ask for what has arrived: %w", err)
	}
	known := q.part.known
	q.mute, q.part = false, answer{}
	return known, nil
}

// mostKnown bounds how many ids are held. There are more than a window of them only when the file with our place is gone; of these the
// last are those that matter.
const mostKnown = 1 << 18

// hash is of an id, by a seed of this process: nobody can make two ids meet.
func (u *Uplink) hash(id string) uint64 { return maphash.String(u.seed, id) }
