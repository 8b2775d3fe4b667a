package uplink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/bus"
)

// A carrier sends on one stream.
type carrier struct {
	*Uplink
	stream  string
	filters []string // what of it; nil: all
	share   float64  // of the window
	own     string   // the subjects over there on which nobody but this host stores; "": there are none

	begun   sync.Once
	before  uint64 // the last sequence here when the first trip began: an earlier process may have sent what is up to it
	inquiry inquiry
	oldest  map[string]*bus.Oldest // of what waits, by the keys of the spans; of the watch alone

	mu       sync.Mutex
	counts   counts
	refused  map[string]time.Time // subjects that are refused, since when
	passed   time.Time            // when the last message was sent that the bus of the fleet has stored
	waits    string               // for which subject that takes it again, and why; "": for none
	unlogged int                  // messages that were set aside since that was logged
	logged   time.Time
	stolenAt time.Time           // when it was logged that ids were used by somebody else
	state    bus.PublisherState  // of the publisher that told last
	trouble  error               // of the last trip
	carried  map[string]*passage // by the keys of their spans
	settled  map[string]uint64   // up to where we know that all is settled or counted as lost, by the keys of spans: see floor
}

// counts are of messages, since the start.
type counts struct {
	sent, bytes uint64 // that the bus of the fleet has stored
	known       uint64 // that it had already
	aside       uint64 // that it refused for good
	lost        uint64 // that the limits here took before
	stolen      uint64 // whose ids somebody else had used: sent by others
}

func newCarrier(u *Uplink, stream string, filters []string, own string) *carrier {
	share := 1.0
	if stream != bus.StreamMetrics {
		share = 1.0 / 8 // they are few
	}
	return &carrier{Uplink: u, stream: stream, filters: filters, share: share, own: own,
		refused: map[string]time.Time{}, carried: map[string]*passage{}, settled: map[string]uint64{}, oldest: map[string]*bus.Oldest{}}
}

// A span is a part of a stream that a consumer of ours carries. Each ends where the next begins; the last one goes on. There is more
// than one only where what is new has overtaken what waits.
type span struct {
	durable   string
	from, end uint64 // end 0: it goes on
	state     bus.ConsumerState
}

// past reports whether nothing of the span is left in a stream that begins with first.
func (s span) past(first uint64) bool {
	return s.end > 0 && (s.state.AckFloor >= s.end || first > s.end)
}

const (
	mostSpans  = 8  // as many outages while one is caught up with; then what is new waits
	liveBehind = 64 // messages that may wait without being overtaken
	againBase  = 500 * time.Millisecond
	againLimit = 15 * time.Second
	requests   = 5 * time.Second // for an answer of the bus here
)

// run carries until ctx ends.
func (c *carrier) run(ctx context.Context) {
	c.prepare(ctx)
	failed := 0
	for {
		during, end, err := c.link.await(ctx)
		if err != nil {
			return
		}
		before := c.progress()
		err = c.trip(during)
		end()
		if c.progress() != before {
			failed = 0
		}
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(context.Cause(during), errAway):
			c.note(nil) // the gate tells
			failed = 0
			continue
		}
		c.note(err)
		if !errors.Is(err, bus.ErrNoStream) { // else the agent is about to make it
			c.log.Warn("uplink begins anew", "stream", c.stream, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(again(failed)):
			failed++
		}
	}
}

// prepare makes the first consumer while the bus of the fleet is away, so that what the limits here take is known from the first message
// on, also before that bus was ever reached.
func (c *carrier) prepare(ctx context.Context) {
	for failed := 0; !c.link.isUp(); failed++ {
		_, err := c.spans(ctx)
		if err == nil {
			return
		}
		c.log.Debug("uplink not prepared", "stream", c.stream, "error", err) // the agent may be about to make it
		select {
		case <-ctx.Done():
			return
		case <-time.After(again(failed)):
		}
	}
}

// again is how long to wait after so many failures in a row.
func again(failed int) time.Duration {
	return time.Duration((0.5 + rand.Float64()/2) * float64(min(againBase<<min(failed, 8), againLimit)))
}

func (c *carrier) progress() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts.sent + c.counts.known + c.counts.aside
}

func (c *carrier) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.trouble = err; err != nil {
		c.state = ""
	}
}

// trip carries until ctx ends or something fails.
func (c *carrier) trip(ctx context.Context) error {
	spans, err := c.spans(ctx)
	if err != nil {
		return err
	}
	if c.o.Live && c.stream == bus.StreamMetrics {
		if spans, err = c.overtake(ctx, spans); err != nil {
			return err
		}
	}
	newest := len(spans) - 1
	if !c.o.Live || newest == 0 {
		return c.carryAll(ctx, spans, c.central, 1)
	}
	g, ctx := errgroup.WithContext(ctx)
	// On a slow link what is new must not wait behind the rest: that has a connection of its own, and the smaller share.
	g.Go(func() error { return c.carryAll(ctx, spans[:newest], c.backlog, 0.25) })
	g.Go(func() error { return c.carryAll(ctx, spans[newest:], c.central, 0.75) })
	return g.Wait()
}

// carryAll carries spans one after the other to the bus that conn leads to, with a share of the window.
func (c *carrier) carryAll(ctx context.Context, spans []span, conn *bus.Conn, share float64) error {
	for _, s := range spans {
		if err := c.carry(ctx, s, conn, int(share*c.share*float64(c.o.Window))); err != nil {
			return err
		}
		if err := c.finish(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// input is the consumer of a span.
func (c *carrier) input(durable string, from uint64) bus.Input {
	return bus.Input{Stream: c.stream, Durable: durable, Filters: c.filters, Start: "all", From: from, MaxAckPending: 2 * mostMessages}
}

// spans returns the spans there are, the oldest first, without those that are done with. The first time it makes one of all there is.
func (c *carrier) spans(ctx context.Context) ([]span, error) {
	ctx, cancel := context.WithTimeout(ctx, requests)
	defer cancel()
	stream, err := c.local.StreamInfo(ctx, c.stream)
	if err != nil {
		return nil, err
	}
	all, err := c.consumers(ctx)
	if err != nil {
		return nil, err
	}
	c.begun.Do(func() { c.before = stream.LastSeq })
	if len(all) == 0 {
		return c.begin(ctx, stream)
	}
	var rest []span
	for _, s := range all {
		c.account(s, stream)
		if !s.past(stream.FirstSeq) {
			rest = append(rest, s)
			continue
		}
		if err := c.finish(ctx, s); err != nil {
			return nil, err
		}
	}
	return rest, nil
}

// begin makes the first consumer, of all that there is.
func (c *carrier) begin(ctx context.Context, stream bus.StreamState) ([]span, error) {
	c.forget(span{durable: bus.Uplink}) // a consumer that was removed
	if err := c.local.EnsureConsumer(ctx, c.input(bus.Uplink, 0)); err != nil {
		return nil, err
	}
	all, err := c.consumers(ctx)
	for _, s := range all {
		c.account(s, stream)
	}
	return all, err
}

// account notes how far a span has come, and counts what the limits of the stream have taken out of it. What is given out to a passage
// may arrive yet: see leave.
func (c *carrier) account(s span, stream bus.StreamState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.carried[c.key(s)]
	if p != nil {
		p.confirmed(s.state.AckFloor)
	}
	if c.filters != nil {
		return // what was filtered out is no loss
	}
	gone := max(stream.FirstSeq, 1) - 1
	if s.end > 0 {
		gone = min(gone, s.end)
	}
	was, known := c.places.of(c.key(s))
	if p != nil {
		if at := max(was.Settled, was.Counted, s.state.Delivered, s.from-min(s.from, 1)); gone > at {
			c.counts.lost += gone - at
			p.outrun = s.state.Delivered
			c.places.change(c.key(s), func(p *place) { p.Counted = gone })
		}
		return
	}
	at := max(was.Settled, was.Counted, c.floor(s), s.from-min(s.from, 1)) // the file may be old
	if gone > at && (known || at > 0) {                                    // else nobody knows what there was
		c.counts.lost += gone - at
	}
	c.places.change(c.key(s), func(p *place) { p.Settled = max(at, gone) })
	c.settled[c.key(s)] = at
}

// floor is up to where a consumer has everything as settled on our word. Its own floor also passes what the limits have taken, so it is
// asked only about what an earlier process has done. The carrier is locked.
func (c *carrier) floor(s span) uint64 {
	if own, met := c.settled[c.key(s)]; met && c.filters == nil {
		return own
	}
	return s.state.AckFloor
}

// forget drops what is known of a span whose consumer is gone.
func (c *carrier) forget(s span) {
	c.places.drop(c.key(s))
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.settled, c.key(s))
}

// consumers returns the spans of the consumers that are there.
func (c *carrier) consumers(ctx context.Context) ([]span, error) {
	states, err := c.local.ConsumerStates(ctx, c.stream)
	if err != nil {
		return nil, err
	}
	var all []span
	for token, state := range states {
		if name, _, err := bus.Untoken(token); err == nil && (name == bus.Uplink || strings.HasPrefix(name, bus.Uplink+"-")) {
			all = append(all, span{durable: name, from: state.From, state: state})
		}
	}
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	for i := range all[:max(0, len(all)-1)] {
		all[i].end = all[i+1].from - 1
	}
	return all, nil
}

// overtake lets what is new from now on go beside what waits, if much does.
func (c *carrier) overtake(ctx context.Context, spans []span) ([]span, error) {
	last := &spans[len(spans)-1]
	if last.state.Pending+uint64(last.state.AckPending) <= liveBehind || len(spans) >= mostSpans {
		return spans, nil
	}
	ctx, cancel := context.WithTimeout(ctx, requests)
	defer cancel()
	stream, err := c.local.StreamInfo(ctx, c.stream)
	if err != nil {
		return nil, err
	}
	from := stream.LastSeq + 1
	if err := c.local.EnsureConsumer(ctx, c.input(fmt.Sprintf("%s-%d", bus.Uplink, from), from)); err != nil {
		return nil, err
	}
	c.log.Info("what is new overtakes what waits", "stream", c.stream, "waiting", last.state.Pending)
	return c.consumers(ctx)
}

// finish removes the consumer of a span that is done with.
func (c *carrier) finish(ctx context.Context, s span) error {
	if s.end == 0 {
		return nil
	}
	if err := c.local.DeleteConsumer(ctx, c.stream, s.durable); err != nil {
		return err
	}
	c.forget(s)
	return nil
}

func (c *carrier) key(s span) string { return c.stream + "/" + s.durable }
