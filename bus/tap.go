package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pacewire/pacewire/telemetry"
)

// Tapped is a message that somebody looks at on its way: nothing of it has to be settled.
type Tapped struct {
	Subject     Subject
	Body        []byte
	ID          string
	ContentType string
	Stored      time.Time
	Seq         uint64 // in the stream
	Pending     uint64 // more that are there already

	header nats.Header
}

// Events decodes a message of EVENTS into b, and returns its events. Host, plugin and type of each are those of the subject,
// where the bus has checked who publishes; what the body says of them counts only for names that are too long for a subject.
func (t Tapped) Events(b *telemetry.Batch) ([]telemetry.Event, error) {
	if err := b.Decode(t.ContentType, "", t.Body, t.Stored); err != nil {
		return nil, fmt.Errorf("events on %.80q: %w", t.Subject.Raw, err)
	}
	b.SetHost(t.Subject.Host)
	list := telemetry.Events(b)
	tokens := strings.Split(t.Subject.Raw, ".")
	for i := range list {
		e := &list[i]
		e.Host = vouched(e.Host, tokens[2], t.Subject.Host)
		e.Plugin = vouched(e.Plugin, tokens[3], t.Subject.Plugin)
		e.Type = vouched(e.Type, tokens[4], t.Subject.Verb)
	}
	return list, nil
}

// vouched returns the name that is claimed where it is the one of the token, else the one that is known.
func vouched(claimed, token, known string) string {
	if Token(claimed) == token {
		return claimed
	}
	return known
}

// TapOptions say what to look at.
type TapOptions struct {
	Stream  string
	Filters []string
	Last    bool // begin with the last message of each subject instead of with what is new

	// From is the sequence to begin with, and Since a time: of what is stored at that moment or later. Of Last, From and
	// Since one at most is given.
	From  uint64
	Since time.Time

	// Once says that the tap ends when it has given all that was there.
	Once bool
}

// tapIdle is how long the server keeps the consumer of a tap whose end it was not told, as the connection was lost.
const tapIdle = 30 * time.Second

func (o TapOptions) consumer() jetstream.OrderedConsumerConfig {
	cfg := jetstream.OrderedConsumerConfig{
		FilterSubjects: o.Filters, DeliverPolicy: jetstream.DeliverNewPolicy, InactiveThreshold: tapIdle,
	}
	switch {
	case o.Last:
		cfg.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	case o.From > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, o.From
	case !o.Since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &o.Since
	}
	return cfg
}

// Tap gives f each message of a stream until ctx ends, f returns an error, or the stream is gone. It reads by a consumer of
// its own that acknowledges nothing, so it slows no one down; a connection of its own keeps it off the plugin's data.
func (c *Conn) Tap(ctx context.Context, o TapOptions, f func(Tapped) error) error {
	k, err := c.tapConsumer(ctx, o)
	if err != nil {
		return fmt.Errorf("tap %s: %w", o.Stream, err)
	}
	defer c.dropTap(ctx, o.Stream, k)
	if info := k.CachedInfo(); o.Once && info != nil && info.NumPending == 0 {
		return nil
	}
	messages, err := k.Messages(jetstream.PullMaxMessages(tapAhead), jetstream.PullExpiry(tapExpiry), jetstream.PullHeartbeat(tapHeartbeat))
	if err != nil {
		return fmt.Errorf("tap %s: %w", o.Stream, missing(err))
	}
	defer messages.Stop()
	defer context.AfterFunc(ctx, messages.Stop)()
	for {
		m, err := messages.Next()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, jetstream.ErrMsgIteratorClosed):
			return nil
		case err != nil:
			return fmt.Errorf("tap %s: %w", o.Stream, err)
		}
		t, err := tapped(m)
		if err == nil { // else a subject that none of our builders made
			if err := f(t); err != nil {
				return err
			}
		}
		if o.Once && t.Pending == 0 {
			return nil
		}
	}
}

// tapConsumer makes the consumer of a tap. Its name is one that nobody has, so that a refusal by the server is known as ours.
func (c *Conn) tapConsumer(ctx context.Context, o TapOptions) (jetstream.Consumer, error) {
	js, err := c.jetStream()
	if err != nil {
		return nil, err
	}
	cfg := o.consumer()
	cfg.NamePrefix = rand.Text()
	begins := "$JS.API.CONSUMER.CREATE." + o.Stream + "." + cfg.NamePrefix
	heeding, done := c.heedEach(ctx, func(refused string) bool { return strings.HasPrefix(refused, begins) })
	defer done()
	k, err := js.OrderedConsumer(heeding, o.Stream, cfg)
	if err != nil {
		return nil, missing(whyEnded(heeding, err))
	}
	return k, nil
}

// dropTap tells the server that the consumer of a tap is done with: who looks again and again leaves none behind. It would go
// by itself after tapIdle, so who may not, or cannot, need not.
func (c *Conn) dropTap(ctx context.Context, stream string, k jetstream.Consumer) {
	js, err := c.jetStream()
	info := k.CachedInfo()
	if err != nil || info == nil || !c.Connected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tapEnd)
	defer cancel()
	ctx, done := c.heed(ctx, "$JS.API.CONSUMER.DELETE."+stream+"."+info.Name)
	defer done()
	_ = js.DeleteConsumer(ctx, stream, info.Name)
}

// tapEnd is how long the end of a tap may take.
const tapEnd = time.Second

// tapAhead bounds what a tap fetches before it is looked at.
const tapAhead = 16

// Now and then, on a busy machine, nothing more comes in the midst of a stream (seen with nats-server 2.15 and nats.go 1.55; the
// cause is not known). Heartbeats that stay away for twice their interval show it, and the tap goes on from where it was: with
// the default of 5 s it stood still for 10 s.
const (
	tapExpiry    = 10 * time.Second
	tapHeartbeat = time.Second
)

func tapped(m jetstream.Msg) (Tapped, error) {
	s, err := ParseSubject(m.Subject())
	t := Tapped{Subject: s, Body: m.Data(), ID: m.Headers().Get(headerID), ContentType: m.Headers().Get(headerType), header: m.Headers()}
	if meta, err := m.Metadata(); err == nil {
		t.Stored, t.Seq, t.Pending = meta.Timestamp, meta.Sequence.Stream, meta.NumPending
	}
	return t, err
}
