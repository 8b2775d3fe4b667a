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
	r := bus.Range{From: q.part.next}
	switch {
	case r.From > 0:
	case after > 0:
		r.From = after + 1
	default:
		r.Since = stored.Add(-skew)
	}
	may, err := c.ask(ctx, r, func(seq uint64, ids ...uint64) {
		if len(q.part.known) >= mostKnown {
			clear(q.part.known)
		}
		q.part.next = seq + 1
		for _, id := range ids {
			q.part.known[id] = true
		}
	})
	switch {
	case errors.Is(err, bus.ErrNoStream), err == nil && !may:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ask for what has arrived: %w", err)
	}
	known := q.part.known
	q.part = answer{}
	return known, nil
}

// arrivedAt returns hashes of the ids of this host that the stream over there has in a part. Without ones it may not ask.
func (c *carrier) arrivedAt(ctx context.Context, from, to uint64) (known map[uint64]bool, may bool, err error) {
	if c.own == "" {
		return nil, false, nil
	}
	c.inquiry.mu.Lock()
	defer c.inquiry.mu.Unlock()
	known = map[uint64]bool{}
	may, err = c.ask(ctx, bus.Range{From: from, To: to}, func(_ uint64, ids ...uint64) {
		for _, id := range ids {
			known[id] = true
		}
	})
	if err != nil {
		return nil, may, fmt.Errorf("ask whose id it is: %w", err)
	}
	return known, may, nil
}

// ask asks for the ids of a part of the stream over there; the caller has the lock of the inquiry. One by which a message was sent whose
// own was used by somebody else stands for both.
func (c *carrier) ask(ctx context.Context, r bus.Range, heard func(seq uint64, ids ...uint64)) (may bool, err error) {
	q := &c.inquiry
	r.Stream, r.Filter, r.Name = c.stream, c.own, bus.UplinkOf(c.o.Host)
	err = c.central.IDs(ctx, r, func(seq uint64, subject, id string) {
		heard(seq, c.hash(subject, id), c.hash(subject, bus.FirstID(id)))
	})
	switch {
	case errors.Is(err, bus.ErrDenied):
		if !q.mute {
			c.log.Warn("uplink may not ask the bus of the fleet what has arrived: after two minutes without it, what was on the way may be there twice",
				"stream", c.stream, "error", err)
		}
		q.mute = true
		return false, nil
	case err == nil:
		q.mute = false
	}
	return true, err
}

// mostKnown bounds how many ids are held. There are more than a window of them only when the file with our place is gone; of these the
// last are those that matter.
const mostKnown = 1 << 18

// hash is of an id and the subject it is on, by a seed of this process: nobody can make two ids meet, nor pass one on a subject of his
// own off as ours.
func (u *Uplink) hash(subject, id string) uint64 {
	var h maphash.Hash
	h.SetSeed(u.seed)
	_, _ = h.WriteString(subject) // never fails
	_ = h.WriteByte(0)
	_, _ = h.WriteString(id)
	return h.Sum64()
}
