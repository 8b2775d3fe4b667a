package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Tapped is a message that somebody looks at on its way: nothing of it has to be settled.
type Tapped struct {
	Subject     Subject
	Body        []byte
	ID          string
	ContentType string
	Stored      time.Time
	Pending     uint64 // more that are there already
}

// TapOptions say what to look at.
type TapOptions struct {
	Stream  string
	Filters []string
	Last    bool // begin with the last message of each subject instead of with what is new
}

// Tap gives f each message of a stream until ctx ends, f returns an error, or the stream is gone. It reads by a consumer of
// its own that acknowledges nothing, so it slows no one down; a connection of its own keeps it off the plugin's data.
func (c *Conn) Tap(ctx context.Context, o TapOptions, f func(Tapped) error) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: o.Filters, DeliverPolicy: jetstream.DeliverNewPolicy}
	if o.Last {
		cfg.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	}
	k, err := js.OrderedConsumer(ctx, o.Stream, cfg)
	if err != nil {
		return fmt.Errorf("tap %s: %w", o.Stream, missing(err))
	}
	messages, err := k.Messages(jetstream.PullMaxMessages(tapAhead))
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
		if err != nil {
			continue // a subject that none of our builders made
		}
		if err := f(t); err != nil {
			return err
		}
	}
}

// tapAhead bounds what a tap fetches before it is looked at.
const tapAhead = 16

func tapped(m jetstream.Msg) (Tapped, error) {
	s, err := ParseSubject(m.Subject())
	if err != nil {
		return Tapped{}, err
	}
	t := Tapped{Subject: s, Body: m.Data(), ID: m.Headers().Get(jetstream.MsgIDHeader), ContentType: m.Headers().Get("Content-Type")}
	if meta, err := m.Metadata(); err == nil {
		t.Stored, t.Pending = meta.Timestamp, meta.NumPending
	}
	return t, nil
}
