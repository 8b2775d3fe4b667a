package uplink

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/bus"
)

// A passage carries one span, for as long as the bus of the fleet is there.
type passage struct {
	*carrier
	span   span
	reader *bus.Consumer
	out    *bus.Publisher
	known  map[uint64]bool // hashes of ids over there, of what was on the way before
	until  uint64          // what was on the way before ends here
	before uint64          // and is behind this sequence over there; 0: nobody knows
	after  uint64          // a lower bound for all that is sent from now on

	mu    sync.Mutex
	queue []*parcel     // read and not settled, oldest first
	bytes int           // of these
	pace  pace          // how many these may be
	last  bool          // nothing more will be read
	kick  chan struct{} // 1: settle should look
	room  chan struct{} // 1: something was settled
	marks marks         // of what is settled and not confirmed

	settled uint64 // the last one
	outrun  uint64 // all that was given out up to it the limits have taken since: it arrives, or is lost; guarded by the carrier's mu
}

// A parcel is a message on its way.
type parcel struct {
	*bus.Delivery
	after uint64 // the last sequence known over there before it was sent
	taken time.Time
	heard time.Time // when there was a verdict
	other string    // id instead of its own, which somebody else has used
	known bool      // it is over there already
	done  bool
	err   error
}

var errStuck = errors.New("the bus of the fleet does not answer to a message")

// carry carries a span to its end, or until ctx ends.
func (c *carrier) carry(ctx context.Context, s span, conn *bus.Conn, window int) error {
	p, err := c.depart(ctx, s, conn, window)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.read(ctx) })
	g.Go(func() error { return p.settle(ctx) })
	err = g.Wait()
	p.leave()
	return err
}

// depart begins where everything before is settled. What was on the way is read again first.
func (c *carrier) depart(ctx context.Context, s span, conn *bus.Conn, window int) (*passage, error) {
	was := c.begins(s)
	if err := c.places.save(); err != nil {
		c.log.Warn("place of the uplink not kept", "error", err)
	}
	p := &passage{carrier: c, span: s, until: was.Sent, before: was.After, after: was.After, pace: newPace(window),
		kick: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	if err := c.local.ResetConsumer(ctx, c.stream, s.durable); err != nil {
		return nil, err
	}
	var err error
	p.reader, err = c.local.Consume(ctx, c.stream, s.durable, bus.ConsumeOptions{Messages: mostMessages / 4, Bytes: window / 4, Log: c.log})
	if err != nil {
		return nil, err
	}
	p.out, err = bus.NewPublisher(conn, bus.PublisherOptions{Host: c.o.Host, Plugin: bus.Uplink, MaxMessages: mostMessages, MaxBytes: window,
		Doubts: true, Log: c.log, OnState: c.told})
	if err != nil {
		p.reader.Stop()
		return nil, err
	}
	c.told(p.out.State())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.carried[c.key(s)], c.waits = p, ""
	return p, nil
}

// begins brings the place of a span to what its consumer says, which is never older than the file, but after a power cut: then what was
// noted with a later place says nothing of it.
func (c *carrier) begins(s span) place {
	key := c.key(s)
	c.mu.Lock()
	floor := c.floor(s)
	c.mu.Unlock()
	c.places.change(key, func(p *place) {
		if s.state.AckFloor < p.Settled {
			p.After = 0
		}
		p.Settled = max(p.Settled, floor)
		p.Sent = max(p.Sent, s.state.Delivered, c.before)
	})
	was, _ := c.places.of(key)
	return was
}

// told notes how the publisher gets on.
func (c *carrier) told(s bus.PublisherState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.trouble = s, nil
}

// leave gives back what is not settled: it is read again in the next passage, in its order.
func (p *passage) leave() {
	p.out.Close()
	p.reader.Stop()
	p.mu.Lock()
	rest, settled := p.queue, p.settled
	p.queue = nil
	p.mu.Unlock()
	for _, it := range rest {
		_ = it.Nak(0)
	}
	ctx, cancel := context.WithTimeout(context.Background(), requests)
	defer cancel()
	if err := p.reader.Flush(ctx); err != nil { // then some are sent again, by ids that are known over there
		p.log.Debug("what was settled is not confirmed", "stream", p.stream, "error", err)
	} else {
		p.confirmed(math.MaxUint64)
	}
	p.carrier.mu.Lock()
	defer p.carrier.mu.Unlock()
	if settled = max(settled, p.floor(p.span)); p.outrun > settled {
		p.counts.lost += p.outrun - settled
	}
	key := p.key(p.span)
	p.carrier.settled[key] = max(p.carrier.settled[key], settled)
	delete(p.carried, key)
}

// confirmed notes that the bus here has everything up to a sequence as settled.
func (p *passage) confirmed(floor uint64) {
	p.mu.Lock()
	m, ok := p.marks.upTo(floor)
	p.mu.Unlock()
	if ok {
		p.places.change(p.key(p.span), func(at *place) { at.Settled, at.After = max(at.Settled, m.seq), m.after })
	}
}

// read puts on the way what the consumer gives, as far as the window lets it.
func (p *passage) read(ctx context.Context) error {
	defer p.end()
	was, _ := p.places.of(p.key(p.span))
	at := max(was.Settled, p.span.from-min(p.span.from, 1)) // in hand, or settled
	for asked := false; ; {
		d, err := p.next(ctx)
		if err != nil {
			return err
		}
		if p.span.end > 0 && d.StreamSeq > p.span.end {
			return d.Nak(0) // it is of the next span
		}
		p.gap(at, d.StreamSeq)
		if at = max(at, d.StreamSeq); !asked && d.StreamSeq <= p.until {
			if p.known, err = p.arrivedSince(ctx, p.key(p.span), p.before, d.Stored); err != nil {
				_ = d.Nak(0)
				return err
			}
		}
		asked = true // by the oldest, or there is nothing to ask
		if err := p.send(ctx, d); err != nil {
			return err
		}
		if d.StreamSeq == p.span.end {
			return nil
		}
	}
}

// next reads a message, as soon as there is room for it: one that is refused for the moment holds up those behind it here, though they
// may have arrived over there.
func (p *passage) next(ctx context.Context) (*bus.Delivery, error) {
	for p.full() {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-p.room:
		}
	}
	return p.reader.Next(ctx)
}

func (p *passage) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes >= p.pace.now
}

// gap counts what the limits took between two messages.
func (p *passage) gap(before, seq uint64) {
	if p.filters != nil || seq <= before+1 {
		return
	}
	p.carrier.mu.Lock()
	defer p.carrier.mu.Unlock()
	p.places.change(p.key(p.span), func(at *place) {
		if before = max(before, at.Counted); seq > before+1 {
			p.counts.lost += seq - before - 1
			at.Counted = seq - 1
		}
	})
}

// send puts one message on the way.
func (p *passage) send(ctx context.Context, d *bus.Delivery) error {
	if last := p.out.Stats().LastSeq; last > 0 {
		p.after = p.behind(d.StreamSeq, last)
	}
	it := &parcel{Delivery: d, after: p.after, taken: time.Now()}
	m := p.message(it)
	it.known = d.StreamSeq <= p.until && p.known[p.hash(m.Subject, m.ID)]
	p.mu.Lock()
	p.queue = append(p.queue, it)
	p.bytes += len(d.Body)
	p.mu.Unlock()
	if it.known {
		p.verdict(it, nil)
		return nil
	}
	p.places.change(p.key(p.span), func(at *place) { at.Sent = max(at.Sent, d.StreamSeq) })
	return p.post(ctx, it, m)
}

// behind returns a sequence over there behind which everything is from the message of sequence seq here on, when an answer has named
// last. Of what was on the way before, some that comes later may be there already, in front of what is sent anew: for that the place
// stays what it was, or becomes lower where the stream over there was made anew.
func (p *passage) behind(seq, last uint64) uint64 {
	if seq > p.until {
		return last
	}
	return min(p.before, last)
}

// post gives a message to the publisher.
func (p *passage) post(ctx context.Context, it *parcel, m bus.Message) error {
	err := p.out.Send(ctx, m, func(err error) { p.verdict(it, err) })
	if errors.Is(err, bus.ErrTooLarge) {
		p.verdict(it, err)
		return nil
	}
	return err
}

// postAgain tries the oldest parcel once more, after a while in which what is behind it goes on.
func (p *passage) postAgain(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(p.o.Times.Deny/4, denyPause)):
	}
	p.mu.Lock()
	it := p.queue[0]
	it.done, it.err, it.taken = false, nil, time.Now()
	p.mu.Unlock()
	return p.post(ctx, it, p.message(it))
}

const denyPause = 5 * time.Second

// message is a parcel as it goes on. Subjects and ids of dead letters say nothing of their host, and some messages have no id: those get one
// that is the same each time.
func (p *passage) message(it *parcel) bus.Message {
	d := it.Delivery
	m := d.Relay()
	if p.stream == bus.StreamDead {
		m.Subject = bus.CopySubject(p.o.Host, m.Subject)
	}
	switch {
	case it.other != "":
		m.ID = it.other
	case m.ID == "":
		m.ID = bus.Token(p.o.Host) + "/" + bus.Token(bus.Uplink) + "/" + p.stream + "/" + strconv.FormatUint(d.StreamSeq, 10) + "-" + strconv.FormatInt(d.Stored.UnixNano(), 36)
	case p.stream == bus.StreamDead:
		m.ID = bus.Token(p.o.Host) + "/" + m.ID
	}
	return m
}

// verdict notes what has become of a message.
func (p *passage) verdict(it *parcel, err error) {
	p.mu.Lock()
	it.done, it.err, it.heard = true, err, time.Now()
	if err == nil && !it.known {
		p.pace.answered(len(it.Body), it.taken, it.heard)
	}
	p.mu.Unlock()
	if err == nil && !it.known {
		p.carrier.mu.Lock()
		if it.taken.After(p.passed) {
			p.passed = it.taken
		}
		p.carrier.mu.Unlock()
	}
	p.nudge()
}

func (p *passage) nudge() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// end notes that nothing more will be read.
func (p *passage) end() {
	p.mu.Lock()
	p.last = true
	p.mu.Unlock()
	p.nudge()
}

// settle settles here what has arrived over there, in order, until there will be nothing more.
func (p *passage) settle(ctx context.Context) error {
	look := time.NewTicker(p.o.Times.Stuck / 4)
	defer look.Stop()
	for {
		it, over := p.first()
		switch {
		case over:
			return nil
		case it == nil || !it.done:
			if it != nil && time.Since(it.taken) > p.o.Times.Stuck {
				return fmt.Errorf("%w for %v", errStuck, p.o.Times.Stuck)
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-p.kick:
			case <-look.C:
			}
			continue
		}
		if err := p.settleOne(ctx, it); err != nil {
			return err
		}
	}
}

// first returns a copy of the oldest parcel, nil when there is none; over says that none will come.
func (p *passage) first() (it *parcel, over bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil, p.last
	}
	oldest := *p.queue[0]
	return &oldest, false
}

// settleOne settles the oldest parcel.
func (p *passage) settleOne(ctx context.Context, it *parcel) error {
	if it.doubted() != nil {
		return p.askWhose(ctx)
	}
	set, err := p.setAside(ctx, it)
	switch {
	case errors.Is(err, errNotYet):
		return p.postAgain(ctx)
	case err != nil:
		return err
	case !set:
		if err := it.Ack(); err != nil {
			return err
		}
	}
	p.mu.Lock()
	p.marks.add(mark{it.StreamSeq, it.after})
	p.settled = it.StreamSeq
	p.queue[0] = nil
	p.bytes -= len(it.Body)
	if p.queue = p.queue[1:]; len(p.queue) == 0 {
		p.queue = nil // else its array would only grow
	}
	p.mu.Unlock()
	select {
	case p.room <- struct{}{}:
	default:
	}
	p.count(it, set)
	return nil
}

func (p *passage) count(it *parcel, set bool) {
	p.carrier.mu.Lock()
	defer p.carrier.mu.Unlock()
	switch {
	case set:
		p.counts.aside++
	case it.known:
		p.counts.known++
	default:
		p.counts.sent++
		p.counts.bytes += uint64(len(it.Body))
		delete(p.refused, it.Subject)
		p.waits = ""
	}
}
