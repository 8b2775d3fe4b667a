package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Range is a part of a stream that somebody wants to know the ids of.
type Range struct {
	Stream string
	Filter string    // of subjects
	From   uint64    // the first sequence; 0: see Since
	Since  time.Time // of what is stored at that moment or later; without both, all
	Name   string    // of whoever asks: rights can be given for the consumer of this name
}

const (
	idsFetch = 512
	idsLeast = 16 // asked for at a time on a link that is slow
	idsWait  = 5 * time.Second
	idsIdle  = 30 * time.Second // after which the server removes the consumer of one that is gone
)

// IDs gives f the ids of the messages that a part of a stream has now, with their sequences, in order. Bodies do not travel. It takes as
// long as something comes; after an error it can go on behind the last sequence. ErrNoStream: there is no such stream; ErrDenied: the
// user may not ask.
func (c *Conn) IDs(ctx context.Context, r Range, f func(seq uint64, id string)) error {
	empty := 0 // fetches that gave nothing, in a row
	for most := uint64(idsFetch); ; {
		n, left, err := c.idsOnce(ctx, &r, most, f)
		switch {
		case err != nil:
			return fmt.Errorf("ids of %s: %w", r.Stream, err)
		case left == 0:
			return nil
		case n > 0:
			empty = 0
		default:
			if empty++; empty == 2 {
				return fmt.Errorf("ids of %s: %d are left: %w", r.Stream, left, ErrTimeout)
			}
		}
		most = max(most/4, idsLeast)
	}
}

// idsOnce reads by a consumer of its own until nothing is left, or less has come than was asked for: what is still on its way to us then
// is lost, and its consumer would not give it again. r.From is behind the last one then.
func (c *Conn) idsOnce(ctx context.Context, r *Range, most uint64, f func(seq uint64, id string)) (n, left uint64, err error) {
	k, err := c.idsConsumer(ctx, *r)
	if err != nil {
		return 0, 0, err
	}
	defer c.dropTap(ctx, r.Stream, k)
	for left = k.CachedInfo().NumPending; left > 0; {
		want := min(left, most)
		batch, err := k.Fetch(int(want), jetstream.FetchMaxWait(idsWait))
		if err != nil {
			return n, left, translate(err)
		}
		got := uint64(0)
		for m := range batch.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return n, left, translate(err)
			}
			got++
			left = min(left-min(left, 1), meta.NumPending) // fewer when the limits take some meanwhile
			r.From = meta.Sequence.Stream + 1
			f(meta.Sequence.Stream, m.Headers().Get(headerID))
		}
		n += got
		if err := errors.Join(batch.Error(), ctx.Err()); err != nil {
			return n, left, translate(err)
		}
		if got < want {
			break
		}
	}
	return n, left, nil
}

func (c *Conn) idsConsumer(ctx context.Context, r Range) (jetstream.Consumer, error) {
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	config := jetstream.ConsumerConfig{
		Name: Token(r.Name), AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(r.From, 1),
		FilterSubject: r.Filter, HeadersOnly: true, InactiveThreshold: idsIdle, MemoryStorage: true,
	}
	if r.From == 0 && !r.Since.IsZero() {
		config.DeliverPolicy, config.OptStartSeq, config.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &r.Since
	}
	ctx, cancel := context.WithTimeout(ctx, idsWait)
	defer cancel()
	heeding, done := c.heedEach(ctx, func(refused string) bool {
		return strings.HasPrefix(refused, "$JS.API.CONSUMER.") && strings.Contains(refused, "."+r.Stream+"."+config.Name)
	})
	defer done()
	_ = c.DeleteConsumer(heeding, r.Stream, r.Name) // of a time before, which began elsewhere; a refusal ends what follows
	k, err := js.CreateConsumer(heeding, r.Stream, config)
	if err != nil {
		return nil, missing(whyEnded(heeding, err))
	}
	return k, nil
}
