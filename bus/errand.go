package bus

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// An errand is an input that a plugin has for a while, beside those of its config: a part of the past, or dead letters to
// be given again. Its durable consumer says by itself what it is: where it began, and with End where it is done.

// ReplayDurable names the consumer by which plugin is given a part of a stream again.
func ReplayDurable(plugin string) string { return plugin + "~replay" }

// AgainDurable names the consumer by which plugin is given dead letters again.
func AgainDurable(plugin string) string { return plugin + "~again" }

// Errands are the inputs that errands of plugin may have, which reads inputs otherwise: without where they begin and end.
func Errands(plugin string, inputs []Input) []Input {
	var all []Input
	for _, in := range inputs {
		all = append(all, Input{Stream: in.Stream, Durable: ReplayDurable(plugin), Filters: in.Filters})
	}
	return append(all, Input{Stream: StreamDead, Durable: AgainDurable(plugin), Filters: []string{AgainSubject(plugin)}})
}

// Done reports whether the consumer of an errand has settled all up to its end. Where nothing for it lies at the end it may be Quiet
// before, and stay so.
func (s ConsumerState) Done() bool { return s.AckFloor >= s.End }

// Quiet reports whether the consumer has settled all there is for it, as far as its server knows: one that has just begun to lead
// may not have heard of all yet.
func (s ConsumerState) Quiet() bool { return s.Pending == 0 && s.AckPending == 0 }

// seqTime is how long the consumer that finds a moment in a stream is kept, should nobody remove it.
const seqTime = 10 * time.Second

// SeqAt returns the sequence of the first message of a stream that was stored at t or later; without one, that of the next
// message to come.
func (c *Conn) SeqAt(ctx context.Context, stream string, t time.Time) (uint64, error) {
	js, err := c.jetStream()
	if err != nil {
		return 0, err
	}
	name := rand.Text()
	heeding, done := c.heed(ctx, "$JS.API.CONSUMER.CREATE."+stream+"."+name)
	defer done()
	k, err := js.CreateConsumer(heeding, stream, jetstream.ConsumerConfig{
		Name: name, AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &t,
		InactiveThreshold: seqTime, MemoryStorage: true, HeadersOnly: true,
	})
	if err != nil {
		return 0, fmt.Errorf("place of %s in %s: %w", t.Format(time.RFC3339), stream, missing(whyEnded(heeding, err)))
	}
	c.dropTap(ctx, stream, k)
	return k.CachedInfo().Delivered.Stream + 1, nil
}
