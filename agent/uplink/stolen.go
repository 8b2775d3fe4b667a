package uplink

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// doubted returns what the stream over there said to a parcel whose id it had already; nil: it did not.
func (it *parcel) doubted() *bus.DuplicateError {
	var had *bus.DuplicateError
	if !it.done || !errors.As(it.err, &had) {
		return nil
	}
	return had
}

// askWhose finds out what the stream over there has in the place of the parcels whose ids it had already: them, sent before, or what
// somebody has stored on a subject of his own by an id that he has read or guessed. Ids are visible to whoever reads, and the stream
// remembers them whatever the subject. Those are sent again, by ids that nobody knows. Who may not ask has to take its word, and
// so it is with what is sent for other hosts.
func (p *passage) askWhose(ctx context.Context) error {
	all, from, to := p.inDoubt()
	known, may, err := p.arrivedAt(ctx, from, to)
	if err != nil {
		return err
	}
	for _, it := range all {
		m := p.message(it)
		theirs := may && p.asksFor(m.Subject) && !known[p.hash(m.Subject, m.ID)]
		p.mu.Lock()
		it.err, it.known = nil, !theirs
		if theirs {
			it.done, it.taken, it.other = false, time.Now(), bus.OtherID(m.ID)
		}
		p.mu.Unlock()
		if !theirs {
			continue
		}
		p.logStolen(it, m.ID)
		if err := p.post(ctx, it, p.message(it)); err != nil {
			return err
		}
	}
	return nil
}

// asksFor reports whether it is asked for what is on a subject: what is sent from here for another host is not.
func (c *carrier) asksFor(subject string) bool {
	return strings.HasPrefix(subject, strings.TrimSuffix(c.own, ">"))
}

// inDoubt returns the parcels whose ids the stream over there had already, and between which places it has them.
func (p *passage) inDoubt() (all []*parcel, from, to uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range p.queue {
		had := it.doubted()
		if had == nil {
			continue
		}
		if len(all) == 0 {
			from = had.Seq
		}
		all, from, to = append(all, it), min(from, had.Seq), max(to, had.Seq)
	}
	return all, from, to
}

// logStolen counts a message whose id somebody else has used, and tells of it now and then.
func (c *carrier) logStolen(it *parcel, id string) {
	c.mu.Lock()
	c.counts.stolen++
	n, due := c.counts.stolen, time.Since(c.stolenAt) >= tellEvery
	if due {
		c.stolenAt = time.Now()
	}
	c.mu.Unlock()
	if due {
		c.log.Warn("ids were used by somebody else on the bus of the fleet: their messages are sent by other ids", "count", n, "subject", it.Subject, "id", id)
	}
}
