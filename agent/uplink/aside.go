package uplink

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// setAside looks at the verdict on a parcel. One that never can go on becomes a dead letter of this machine, so that it does not hold
// up what is behind it; set says so. An error means: later.
func (p *passage) setAside(ctx context.Context, it *parcel) (set bool, err error) {
	code := ""
	switch {
	case it.err == nil:
		return false, nil
	case errors.Is(it.err, bus.ErrTooLarge):
		code = "too_large"
	case errors.Is(it.err, bus.ErrDenied):
		code = "denied"
	case errors.Is(it.err, bus.ErrRefused):
		code = "refused"
	}
	switch {
	case code == "":
		return false, it.err
	case code == "denied" && !p.deniedForLong(it):
		return false, errNotYet
	}
	p.log.Warn("message set aside: the bus of the fleet does not take it", "subject", it.Subject, "id", it.ID, "bytes", len(it.Body), "code", code, "error", it.err)
	if p.stream == bus.StreamDead { // where it is already
		return true, it.Term(code)
	}
	if err := p.letters.Dead(ctx, it.Delivery, bus.Uplink, p.span.durable, it.err.Error(), code); err != nil {
		return false, fmt.Errorf("set aside: %w", err)
	}
	return true, nil
}

// errNotYet says of a parcel that it is denied, which somebody may be about to mend.
var errNotYet = errors.New("denied for the moment")

// deniedForLong reports whether the subject of a parcel is denied for so long that nobody is about to mend it, while others pass. Where nothing passes
// at all the spool is the better place to wait in, for long.
func (p *passage) deniedForLong(it *parcel) bool {
	p.carrier.mu.Lock()
	defer p.carrier.mu.Unlock()
	since, known := p.denied[it.Subject]
	if !known {
		if len(p.denied) >= mostDenied {
			clear(p.denied) // they begin anew
		}
		since = it.taken
		p.denied[it.Subject] = since
	}
	limit := p.o.Times.Deny
	if p.passed.Before(since) {
		limit *= allDenied
	}
	return time.Since(since) >= limit
}

// mostDenied bounds how many subjects are remembered as denied.
const mostDenied = 1024

// allDenied is how much longer than Times.Deny a message waits when all are denied.
const allDenied = 60

// arrivedBefore returns hashes of the ids of this host that the stream over there has from a sequence on. Who may not ask relies on
// the stream itself, which remembers ids for two minutes.
func (c *carrier) arrivedBefore(ctx context.Context, from uint64) (map[uint64]bool, error) {
	if c.own == "" || c.mute.Load() {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	known := map[uint64]bool{}
	r := bus.Range{Stream: c.stream, Filter: c.own, From: from, Name: bus.UplinkOf(c.o.Host)}
	err := c.central.IDs(ctx, r, func(id string) {
		if len(known) >= mostKnown {
			clear(known)
		}
		known[c.hash(id)] = true
	})
	switch {
	case errors.Is(err, bus.ErrDenied):
		c.mute.Store(true)
		c.log.Warn("uplink may not ask the bus of the fleet what has arrived: after two minutes without it, what was on the way may be there twice", "error", err)
		return nil, nil
	case errors.Is(err, bus.ErrNoStream):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("ask for what has arrived: %w", err)
	}
	return known, nil
}

const askTime = 30 * time.Second

// mostKnown bounds how many ids are held. There are more than a window of them only when the file with our place is gone; of these the
// last are those that matter.
const mostKnown = 1 << 18

// hash is of an id, by a seed of this process: nobody can make two ids meet.
func (u *Uplink) hash(id string) uint64 { return maphash.String(u.seed, id) }
