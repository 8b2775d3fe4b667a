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
	Filter string // of subjects
	From   uint64 // the first sequence
	Name   string // of whoever asks: rights can be given for the consumer of this name
}

const (
	idsFetch = 512
	idsWait  = 5 * time.Second
	idsIdle  = 30 * time.Second // after which the server removes the consumer of one that is gone
)

// IDs gives f the ids of the messages that a part of a stream has now, in order. Bodies do not travel. ErrNoStream: there is no such
// stream; ErrDenied: the user may not ask.
func (c *Conn) IDs(ctx context.Context, r Range, f func(id string)) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	name := Token(r.Name)
	heeding, done := c.heedEach(ctx, func(refused string) bool {
		return strings.HasPrefix(refused, "$JS.API.CONSUMER.") && strings.Contains(refused, "."+r.Stream+"."+name)
	})
	defer done()
	_ = c.DeleteConsumer(heeding, r.Stream, r.Name) // of a time before, which began elsewhere; a refusal ends what follows
	k, err := js.CreateConsumer(heeding, r.Stream, jetstream.ConsumerConfig{
		Name: name, AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(r.From, 1),
		FilterSubject: r.Filter, HeadersOnly: true, InactiveThreshold: idsIdle, MemoryStorage: true,
	})
	if err != nil {
		return fmt.Errorf("ids of %s: %w", r.Stream, missing(whyEnded(heeding, err)))
	}
	defer c.dropTap(ctx, r.Stream, k)
	for left := k.CachedInfo().NumPending; left > 0; {
		n, err := fetchIDs(k, min(left, idsFetch), f)
		if err == nil && n == 0 {
			err = ErrTimeout
		}
		if err = errors.Join(err, ctx.Err()); err != nil {
			return fmt.Errorf("ids of %s: %d are left: %w", r.Stream, left, translate(err))
		}
		left -= min(left, n)
	}
	return nil
}

// fetchIDs asks once.
func fetchIDs(k jetstream.Consumer, most uint64, f func(id string)) (n uint64, err error) {
	batch, err := k.Fetch(int(most), jetstream.FetchMaxWait(idsWait))
	if err != nil {
		return 0, err
	}
	for m := range batch.Messages() {
		n++
		f(m.Headers().Get(headerID))
	}
	return n, batch.Error()
}
