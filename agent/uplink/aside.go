package uplink

import (
	"context"
	"errors"
	"fmt"
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
	default:
		return false, it.err
	}
	if code != "too_large" && !p.refusedForLong(it) {
		return false, errNotYet
	}
	if p.stream == bus.StreamDead { // where it is already
		err = it.Term(code)
	} else if err = p.roomForLetters(ctx, it, code); err == nil {
		err = p.letters.Dead(ctx, it.Delivery, bus.Uplink, p.span.durable, it.err.Error(), code)
	}
	if errors.Is(err, errNotYet) {
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("set aside: %w", err)
	}
	p.logAside(it, code)
	return true, nil
}

// errNotYet says of a parcel that it is refused, which somebody may be about to mend.
var errNotYet = errors.New("refused for the moment")

// refusedForLong reports whether the subject of a parcel is refused for so long that nobody is about to mend it, though others are taken.
// Where nothing is, this machine may do nothing at all for the moment: the spool is the better place to wait in, as long as its limits let
// it, and there it is counted what they take.
func (p *passage) refusedForLong(it *parcel) bool {
	p.carrier.mu.Lock()
	defer p.carrier.mu.Unlock()
	since, known := p.refused[it.Subject]
	if !known {
		if len(p.refused) >= mostRefused {
			clear(p.refused) // they begin anew
		}
		since = it.taken // what was sent behind it may be taken before it is refused, and nothing more be sent then: the window is full
		p.refused[it.Subject] = since
	}
	if time.Since(since) >= p.o.Times.Deny && p.passed.After(since) {
		p.waits = ""
		return true
	}
	p.waits = it.Subject + ": " + it.err.Error()
	return false
}

// roomForLetters is errNotYet while letters fill half of their stream here. That is far smaller than the spool, and what it has no room
// for goes without a word of whose it was: what else is refused waits in the spool, until somebody has looked at the letters or mended why.
// What is too large does not wait: nothing mends that, and all that is behind it would be lost instead.
func (p *passage) roomForLetters(ctx context.Context, it *parcel, code string) error {
	if code == "too_large" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, requests)
	defer cancel()
	s, err := p.local.StreamInfo(ctx, bus.StreamDead)
	if err != nil {
		return err
	}
	if s.MaxBytes <= 0 || 2*s.Bytes < uint64(s.MaxBytes) {
		return nil
	}
	p.carrier.mu.Lock()
	defer p.carrier.mu.Unlock()
	p.waits = fmt.Sprintf("%s: %v; it waits in the spool, and what is behind it too, as dead letters fill half of their stream: mend it, or see pacewire dead list", it.Subject, it.err)
	return errNotYet
}

// mostRefused bounds how many subjects are remembered as refused.
const mostRefused = 1024

// logAside tells of what is set aside, now and then.
func (c *carrier) logAside(it *parcel, code string) {
	c.mu.Lock()
	c.unlogged++
	n, due := c.unlogged, time.Since(c.logged) >= tellEvery
	if due {
		c.unlogged, c.logged = 0, time.Now()
	}
	c.mu.Unlock()
	if due {
		c.log.Warn("messages set aside: the bus of the fleet does not take them", "count", n, "subject", it.Subject, "id", it.ID, "bytes", len(it.Body),
			"code", code, "error", it.err)
	}
}
