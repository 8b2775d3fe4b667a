package host

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// A consumer that is gone, which somebody has removed or the bus has lost, is made anew where it was seen last, so that its plugin
// reads on by itself: some batches twice.

// losesPlace is the type of the event of that.
const losesPlace = "lost_place"

// places returns inputs with where a consumer of each is to begin that has to be made anew.
func (c *crew) places(inputs []bus.Input) []bus.Input {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]bus.Input, len(inputs))
	for i, in := range inputs {
		if l, known := c.unread.looks[consumerOf(in)]; known {
			in.From, in.Made = l.settled()+1, l.stream.Made
		}
		all[i] = in
	}
	return all
}

// forget forgets where the consumers of inputs are: one that comes later has another place.
func (c *crew) forget(inputs []bus.Input) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, in := range inputs {
		delete(c.unread.looks, consumerOf(in))
	}
}

// remake makes the consumer of in anew. Who changes the config may have removed it, and goes first.
func (e *entry) remake(ctx context.Context, in bus.Input) {
	h := e.host
	select {
	case h.changing <- struct{}{}:
		defer func() { <-h.changing }()
	default:
		return
	}
	if h.find(e.name) != e || find(e.read(), in) < 0 {
		return
	}
	if err := e.remakeNow(ctx, in); err != nil {
		h.log.Warn("consumer that is gone is not made anew", "plugin", e.plugin, "consumer", in.Durable, "stream", in.Stream, "error", err)
	}
}

func (e *entry) remakeNow(ctx context.Context, in bus.Input) error {
	if err := e.give(ctx, same); err != nil {
		return err
	}
	is, err := e.host.look(ctx, in, map[string]bus.StreamState{})
	if err != nil {
		return err
	}
	e.tellRemade(in, e.crew.remade(consumerOf(in), is))
	return nil
}

// remade notes that a consumer was made anew, and returns how many messages its readers have lost by that: at most so many.
func (c *crew) remade(consumer string, is look) (lost uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, known := c.unread.looks[consumer]
	lost = is.lostAnew(was, known)
	c.unread.note(consumer, is.after(was))
	if lost > 0 {
		c.unread.tell(lost, time.Now())
	}
	return lost
}

// lostAnew returns how many messages lie between the place of a consumer, where that is known, and that of the one made anew, of which
// l is the first look.
func (l look) lostAnew(was look, known bool) uint64 {
	from, to := was.settled(), l.gone()
	switch {
	case !known: // it begins as a new one does
		from, to = l.gone(), max(l.reader.From, 1)-1
	case !was.stream.Made.Equal(l.stream.Made): // nobody has what the stream before had
		to = was.stream.LastSeq
	}
	return to - min(to, from)
}

// tellRemade tells that a consumer was made anew.
func (e *entry) tellRemade(in bus.Input, lost uint64) {
	now := time.Now()
	text := fmt.Sprintf("its consumer %s of %s was gone, and is made anew where it was: some batches may come twice", in.Durable, in.Stream)
	if lost > 0 {
		text = fmt.Sprintf("its consumer %s of %s was gone, and is made anew: at most %s", in.Durable, in.Stream,
			amount.Of(lost, "batch was not read", "batches were not read"))
		e.tellLost(now, text)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if lost == 0 {
		e.say(slog.LevelWarn, "plugin has lost its place", "reason", text)
	}
	e.announce(telemetry.Event{Time: now.UnixNano(), Type: losesPlace, From: e.shown.state, To: e.shown.state, Reason: text,
		Message: e.now.plan.conf.Kind + " " + e.name + ": " + text})
}
