package bus

import (
	"context"
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
	To     uint64    // the last sequence; 0: to the end
	Name   string    // of whoever asks: rights can be given for the consumer of this name
}

// over reports whether all is behind who has read up to From.
func (r *Range) over() bool { return r.To > 0 && r.From > r.To }

const (
	idsFetch = 512
	idsLeast = 16 // asked for at a time on a link that is slow
	idsWait  = 5 * time.Second
	idsIdle  = 30 * time.Second // after which the server removes the consumer of one that is gone
)

// IDs gives f the ids of the messages that a part of a stream has now, with their sequences and subjects, in order. Bodies do not travel.
// It takes as long as something comes; after an error it can go on behind the last sequence. ErrNoStream: there is no such stream;
// ErrDenied: the user may not ask.
func (c *Conn) IDs(ctx context.Context, r Range, f func(seq uint64, subject, id string)) error {
	empty := 0 // fetches that gave nothing, in a row
	for most := uint64(idsFetch); ; {
		n, left, err := c.idsOnce(ctx, &r, most, f)
		switch {
		case err != nil:
			return fmt.Errorf("ids of %s: %w", r.Stream, err)
		case left == 0, r.over():
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
func (c *Conn) idsOnce(ctx context.Context, r *Range, most uint64, f func(seq uint64, subject, id string)) (n, left uint64, err error) {
	k, err := c.idsConsumer(ctx, *r)
	if err != nil {
		return 0, 0, err
	}
	defer c.dropTap(ctx, r.Stream, k)
	for left = k.CachedInfo().NumPending; left > 0 && !r.over(); {
		got, want := uint64(0), min(left, most)
		if r.To > 0 {
			want = min(want, r.To-min(r.From, r.To)+1)
		}
		err := fetchIDs(ctx, k, want, func(seq, pending uint64, subject, id string) {
			got++
			left = min(left-min(left, 1), pending) // fewer when the limits take some meanwhile
			r.From = seq + 1
			if r.To == 0 || seq <= r.To {
				f(seq, subject, id)
			}
		})
		n += got
		switch {
		case err != nil:
			return n, left, translate(err)
		case got < want:
			return n, left, nil
		}
	}
	return n, left, nil
}

// fetchIDs asks once, and waits as long as something comes.
func fetchIDs(ctx context.Context, k jetstream.Consumer, most uint64, f func(seq, pending uint64, subject, id string)) error {
	fetching, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(idsWait, cancel)
	defer silence.Stop()
	batch, err := k.Fetch(int(most), jetstream.FetchContext(fetching))
	if err != nil {
		return err
	}
	for m := range batch.Messages() {
		silence.Reset(idsWait)
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		f(meta.Sequence.Stream, meta.NumPending, m.Subject(), m.Headers().Get(headerID))
	}
	if err := batch.Error(); fetching.Err() == nil || ctx.Err() != nil {
		return err
	}
	return nil // of the silence
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
