package plugin

import (
	"bytes"
	"context"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/failpoint"
	"github.com/pacewire/pacewire/telemetry"
)

// A link is where a session's batches go to and come from: the bus, or the standard streams.
type link interface {
	// send puts a message under way; done is called once, when it is stored or refused for good. It blocks while too much
	// is under way.
	send(ctx context.Context, m message, done func(error)) error
	// flush waits until nothing is under way.
	flush(ctx context.Context) error
	// read opens an input.
	read(ctx context.Context, in telemetry.Input) (source, error)
	// data sends inventory to the agent.
	data(d telemetry.PluginData) error
}

// A message is one encoded batch on its way out.
type message struct {
	host  string // the host its points are about
	event string // the kind of an event, "" for points
	id    string // "" for the link's own next one
	body  []byte
}

// A source gives the deliveries of one input.
type source interface {
	next(ctx context.Context) (*delivery, error) // io.EOF at the end of one that ends
	ready() int                                  // how many wait
	close(ctx context.Context) error             // gives back what was not settled, waits for what was
}

// A delivery is one batch that has to be settled.
type delivery struct {
	host, plugin    string // who it is about and who made it
	id              string
	contentType     string
	contentEncoding string
	body            []byte
	stored          time.Time
	stream          string
	seq             uint64 // place in it
	deliveries      int
	fault           error // why it cannot be told who it is about
	settler
}

// settler ends a delivery, once.
type settler interface {
	ack()
	again(after time.Duration)
	// bury puts body, the delivery or a part of it, into the dead letters. It does not settle.
	bury(ctx context.Context, body []byte, part int, code string, reason error) error
}

// A busLink is a plugin's data connection.
type busLink struct {
	host, plugin string
	process      string // what this process of the plugin is called
	conn         *bus.Conn
	control      *bus.Conn
	out          *bus.Publisher
	unread       func(n uint64) // is told of batches that the stream dropped before they were read
}

func (l *busLink) send(ctx context.Context, m message, done func(error)) error {
	subject := bus.MetricsSubject(m.host, l.plugin)
	if m.event != "" {
		subject = bus.EventSubject(m.host, l.plugin, m.event)
	}
	out := bus.Message{Subject: subject, ID: m.id, ContentType: string(telemetry.ContentMsgPack), Body: m.body}
	if failpoint.Active(failpoint.AckFirst) {
		out.Body = bytes.Clone(m.body)
		time.AfterFunc(time.Second, func() { _ = l.out.Send(ctx, out, func(error) {}) })
		done(nil)
		return nil
	}
	return l.out.Send(ctx, out, done)
}

func (l *busLink) flush(ctx context.Context) error { return l.out.Flush(ctx) }

func (l *busLink) data(d telemetry.PluginData) error {
	body, err := telemetry.EncodeControl(d, telemetry.MsgPack)
	if err != nil {
		return err
	}
	return l.control.Tell(bus.HeartbeatSubject(l.host, l.process, bus.PLG), body)
}

func (l *busLink) read(ctx context.Context, in telemetry.Input) (source, error) {
	return l.consume(ctx, in, bus.ConsumeOptions{})
}

func (l *busLink) consume(ctx context.Context, in telemetry.Input, o bus.ConsumeOptions) (source, error) {
	c, err := l.conn.Consume(ctx, in.Stream, in.Durable, o)
	if err != nil {
		return nil, err
	}
	return &busSource{link: l, consumer: c, stream: in.Stream, durable: in.Durable, end: in.End}, nil
}

type busSource struct {
	link     *busLink
	consumer *bus.Consumer
	stream   string
	durable  string
	end      uint64 // what comes behind it is not for this plugin; 0: nothing
	lost     uint64
}

func (s *busSource) ready() int { return s.consumer.Ready() }

func (s *busSource) next(ctx context.Context) (*delivery, error) {
	d, err := s.upToEnd(ctx)
	if err != nil {
		return nil, err
	}
	if lost := s.consumer.Stats().LostUnread; lost > s.lost {
		s.link.unread(lost - s.lost)
		s.lost = lost
	}
	subject, fault := bus.ParseSubject(d.Subject)
	return &delivery{
		host: subject.Host, plugin: subject.Plugin, id: d.ID, contentType: d.ContentType, contentEncoding: d.Header("Content-Encoding"), body: d.Body,
		stored: d.Stored, stream: s.stream, seq: d.StreamSeq, deliveries: d.Deliveries, fault: fault, settler: busSettler{s, d},
	}, nil
}

// beyond is how long an input rests that gives what is behind its end. Its agent takes it back soon, once all before is settled:
// until then what was given back before the end may come once more.
const beyond = time.Second

// upToEnd returns the next delivery of those that are meant for the plugin.
func (s *busSource) upToEnd(ctx context.Context) (*bus.Delivery, error) {
	for {
		d, err := s.consumer.Next(ctx)
		if err != nil || s.end == 0 || d.StreamSeq <= s.end {
			return d, err
		}
		_ = d.Ack() // an error: the consumer has stopped
		if s.consumer.Ready() == 0 {
			sleep(ctx, beyond)
		}
	}
}

func (s *busSource) close(ctx context.Context) error {
	s.consumer.Stop()
	return s.consumer.Flush(ctx)
}

type busSettler struct {
	source *busSource
	d      *bus.Delivery
}

func (b busSettler) ack() { _ = b.d.Ack() } // an error: settled before, or the consumer has stopped

func (b busSettler) again(after time.Duration) { _ = b.d.Nak(after) }

func (b busSettler) bury(ctx context.Context, body []byte, part int, code string, reason error) error {
	l, d := b.source.link, *b.d
	if part > 0 {
		d.ContentType = string(telemetry.ContentMsgPack) // however the whole was written
	}
	return l.out.DeadPart(ctx, &d, body, part, l.plugin, b.source.durable, oneLine(reason.Error()), code)
}
