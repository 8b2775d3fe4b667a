package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// What the consumers of a plugin give out is kept beside the plans of its processes, which share them. A consumer that is narrowed moves past what it leaves out,
// and does not come back: so while a plugin changes its consumers give out what it reads before and after, and only when it is
// certain which of the two it is they are narrowed to that.

// ensure makes the consumers that a plugin reads.
func (h *Host) ensure(ctx context.Context, plugin string, inputs []bus.Input) error {
	for _, in := range inputs {
		if err := h.conn.EnsureConsumer(ctx, in); err != nil {
			return fmt.Errorf("consumer of %s: %w", plugin, err)
		}
	}
	if len(inputs) > 0 {
		h.sync()
	}
	return nil
}

// read returns what the consumers of the plugin give out.
func (e *entry) read() []bus.Input {
	e.crew.mu.Lock()
	defer e.crew.mu.Unlock()
	return e.crew.reads
}

// give makes the consumers give out what change makes of what they do. One at a time: a process that starts must not bring back
// what a change has just left.
func (e *entry) give(ctx context.Context, change func(now []bus.Input) []bus.Input) error {
	select {
	case e.crew.giving <- struct{}{}:
		defer func() { <-e.crew.giving }()
	case <-ctx.Done():
		return fmt.Errorf("consumers of %s: another change of them takes long: %w", e.plugin, ctx.Err())
	}
	return e.giveNow(ctx, change)
}

// giveNow is give for who has the turn of it.
func (e *entry) giveNow(ctx context.Context, change func(now []bus.Input) []bus.Input) error {
	is := e.read()
	inputs := change(is)
	e.crew.said = e.crew.said && slices.EqualFunc(is, inputs, sameWish)
	e.setRead(union(is, inputs)) // until it is done: a process that starts after an error must not narrow them
	if err := e.host.ensure(ctx, e.plugin, e.crew.places(inputs)); err != nil {
		return err
	}
	e.setRead(inputs)
	e.crew.said = true
	e.crew.writes(time.Now())
	e.compareWishes(ctx)
	return nil
}

// same is the change of nothing: the consumers are looked after, and made anew if need be.
func same(now []bus.Input) []bus.Input { return now }

func (e *entry) setRead(inputs []bus.Input) {
	e.crew.mu.Lock()
	defer e.crew.mu.Unlock()
	e.crew.reads = inputs
}

// widen lets the consumers give out what p reads as well. What was to be narrowed is part of this change by now. The caller has
// the host's turn, as have those of narrow.
func (e *entry) widen(ctx context.Context, p plan) error {
	e.setUntil(nil)
	return e.give(ctx, func(now []bus.Input) []bus.Input { return union(now, p.inputs) })
}

// narrow lets the consumers give out what the plugin reads under the plan in force, and removes those that it has no use for,
// once they have given out what was there for it until now. What takes longer than a moment is left to inspect: see catchesUp.
func (e *entry) narrow(ctx context.Context) error {
	return e.narrowOnce(ctx, e.host.caughtUp)
}

// narrowEarly is narrow before there is a process that could catch up.
func (e *entry) narrowEarly(ctx context.Context) error {
	return e.narrowOnce(ctx, func(ctx context.Context, inputs []bus.Input) bool { return !e.host.behind(ctx, inputs) })
}

// narrowOnce narrows the consumers now if they have given out all, else later. On a bus of others one answer does not tell: see lull.
func (e *entry) narrowOnce(ctx context.Context, all func(context.Context, []bus.Input) bool) error {
	if !e.wide() {
		return nil
	}
	var err error
	if e.host.o.InProcess != nil && all(ctx, e.read()) {
		if err = e.narrowNow(ctx); err == nil {
			return nil
		}
	}
	e.narrowLater(ctx)
	return err
}

// narrowLater notes up to where the plugin is to read what it has read before.
func (e *entry) narrowLater(ctx context.Context) {
	e.setUntil(e.host.ends(ctx, e.read(), nil))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.say(slog.LevelInfo, "plugin has another input by now, and reads the one before to its end first")
}

func (e *entry) setUntil(until map[string]uint64) {
	e.crew.mu.Lock()
	defer e.crew.mu.Unlock()
	e.crew.until = until
	if until == nil {
		e.crew.past = lull{}
	}
}

// upTo returns up to where the consumers are to give out what was read before, nil when they are not.
func (e *entry) upTo() map[string]uint64 {
	e.crew.mu.Lock()
	defer e.crew.mu.Unlock()
	return e.crew.until
}

// wide reports whether the consumers give out more than the plugin is to read.
func (e *entry) wide() bool { return !slices.EqualFunc(e.read(), e.inputs(), sameInput) }

// narrowNow narrows the consumers.
func (e *entry) narrowNow(ctx context.Context) error {
	was, want := e.read(), e.inputs()
	if err := e.give(ctx, func([]bus.Input) []bus.Input { return want }); err != nil {
		return err
	}
	gone := slices.DeleteFunc(slices.Clone(was), func(in bus.Input) bool { return find(want, in) >= 0 })
	_, err := e.host.forget(ctx, gone)
	e.crew.forget(gone)
	return err
}

// catchesUp narrows the consumers that have given out what was there when the plugin got another input. Who changes the config
// does that himself.
func (e *entry) catchesUp(ctx context.Context) {
	if e.upTo() == nil {
		return
	}
	select {
	case e.host.changing <- struct{}{}:
		defer func() { <-e.host.changing }()
	default:
		return
	}
	until := e.upTo() // it may be another one since
	if until == nil || !e.passes(ctx, until) {
		return
	}
	if err := e.narrowNow(ctx); err != nil {
		e.host.log.Warn("consumer not narrowed", "plugin", e.name, "error", err)
		return
	}
	e.setUntil(nil)
}

// passes reports whether the consumers are past until, which is completed by what the bus has not told before.
func (e *entry) passes(ctx context.Context, until map[string]uint64) bool {
	h := e.host
	ctx, cancel := context.WithTimeout(ctx, pingTime)
	defer cancel()
	until = h.ends(ctx, e.read(), until)
	e.setUntil(until)
	past := e.past(ctx, until)
	e.crew.mu.Lock()
	defer e.crew.mu.Unlock()
	return e.crew.past.lasts(past, time.Now()) || past && h.o.InProcess != nil
}

// ends completes known by the last sequence of each stream that inputs read. What the bus does not tell, or a server that has just
// begun tells as 0, is asked for another time.
func (h *Host) ends(ctx context.Context, inputs []bus.Input, known map[string]uint64) map[string]uint64 {
	ends := map[string]uint64{}
	maps.Copy(ends, known)
	for _, in := range inputs {
		if ends[in.Stream] > 0 {
			continue
		}
		if state, err := h.conn.StreamInfo(ctx, in.Stream); err == nil {
			ends[in.Stream] = state.LastSeq
		}
	}
	return ends
}

// past reports whether the consumers are past a sequence of each stream, as far as is known, or have nothing left at all.
func (e *entry) past(ctx context.Context, until map[string]uint64) bool {
	return !slices.ContainsFunc(e.read(), func(in bus.Input) bool {
		c, err := e.host.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		end := until[in.Stream]
		return err != nil || e.crew.knowsMore(consumerOf(in), c) || !c.Quiet() && (end == 0 || c.AckFloor < end)
	})
}

// found widens what the plugin reads by what its consumers give out already: its config may have changed while no agent, or no
// process of it, was here.
func (e *entry) found(ctx context.Context) error {
	var gone []bus.Input
	for _, in := range e.read() {
		c, err := e.host.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		if errors.Is(err, bus.ErrNoConsumer) {
			gone = append(gone, in)
			continue
		}
		if err != nil { // taken for none it would be narrowed at once
			return fmt.Errorf("consumer of %s: %w", e.plugin, err)
		}
		in.Filters = c.Readers[bus.Token(e.host.o.Host)].Filters
		if len(c.Readers) == 0 { // it is older than they are
			in.Filters = c.Filters
		}
		if len(in.Filters) > 0 {
			e.setRead(union(e.read(), []bus.Input{in}))
		}
	}
	return e.foundGone(ctx, gone)
}

// union returns both inputs, with the filters of both where they are of one consumer.
func union(a, b []bus.Input) []bus.Input {
	all := slices.Clone(a)
	for _, in := range b {
		i := find(all, in)
		if i < 0 {
			all = append(all, in)
			continue
		}
		filters := slices.Concat(all[i].Filters, in.Filters)
		slices.Sort(filters)
		all[i].Filters, all[i].Ordered = slices.Compact(filters), all[i].Ordered || in.Ordered
	}
	return all
}

// find returns where the consumer of in stands in list, -1 for nowhere.
func find(list []bus.Input, in bus.Input) int {
	return slices.IndexFunc(list, func(o bus.Input) bool { return o.Stream == in.Stream && o.Durable == in.Durable })
}

func sameInput(a, b bus.Input) bool {
	return a.Stream == b.Stream && a.Durable == b.Durable && slices.Equal(slices.Sorted(slices.Values(a.Filters)), slices.Sorted(slices.Values(b.Filters)))
}

func sameWish(a, b bus.Input) bool { return a.Ordered == b.Ordered && sameInput(a, b) }

// caughtUp waits, but not for long, until consumers have nothing more to give out, and reports whether it came to that.
func (h *Host) caughtUp(ctx context.Context, inputs []bus.Input) bool {
	if !h.conn.Connected() {
		return false // nobody will tell
	}
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	for h.behind(ctx, inputs) {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(lookOver):
		}
	}
	return ctx.Err() == nil // else there was no answer in time
}

// behind reports whether a consumer has something to give out, or given out and not settled. So may one have that nobody tells of.
func (h *Host) behind(ctx context.Context, inputs []bus.Input) bool {
	return slices.ContainsFunc(inputs, func(in bus.Input) bool {
		state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		return err != nil || !state.Quiet()
	})
}

// unread returns how many batches consumers have still to give out.
func (h *Host) unread(ctx context.Context, inputs []bus.Input) (n uint64) {
	for _, in := range inputs {
		if state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable); err == nil {
			n += state.Pending
		}
	}
	return n
}
