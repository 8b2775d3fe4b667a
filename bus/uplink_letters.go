package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// SendLetter stores what an uplink has set aside where it was before, with the id it had, and removes the letter: the uplink of this bus
// sends it on once more. On the bus of the fleet it is there then. Errors: ErrNoContent; ErrElsewhere for a copy that
// claims to be of another host than the one it is from; ErrRefused while the stream remembers the id, for two minutes; ErrKept as
// RetryLetters.
func (c *Conn) SendLetter(ctx context.Context, l Letter) error {
	if err := l.Retryable(); err != nil {
		return err
	}
	s, err := ParseSubject(l.Subject)
	if err != nil || s.Area != AreaMetrics && s.Area != AreaEvents {
		return fmt.Errorf("%w that was a batch: %d was on %.80q", ErrNoLetter, l.Seq, l.Subject)
	}
	if l.Home != "" && l.Home != s.Host { // else a machine could have us store what it has no right to
		return fmt.Errorf("%w: %d is a copy from host %s, and was on %s, on which that host may not publish here: give its user the right, and retry there",
			ErrElsewhere, l.Seq, l.Home, l.Subject)
	}
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	m := nats.NewMsg(l.Subject)
	m.Data = l.Body
	for key, value := range map[string]string{headerID: l.SourceID, headerType: l.ContentType, headerEncoding: l.ContentEncoding} {
		if value != "" {
			m.Header.Set(key, value)
		}
	}
	heeding, done := c.heed(ctx, m.Subject)
	defer done()
	ack, err := js.PublishMsg(heeding, m)
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		err = fmt.Errorf("%w that takes %s: %w", ErrNoStream, m.Subject, err)
	case err == nil && ack.Duplicate:
		err = fmt.Errorf("%w: the batch was stored less than two minutes ago, and its id is remembered for so long: try again then", ErrRefused)
	}
	if err != nil {
		return fmt.Errorf("send dead letter %d: %w", l.Seq, translate(whyEnded(heeding, err)))
	}
	return c.removeDead(ctx, l.Seq)
}
