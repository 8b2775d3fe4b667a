package host

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
)

// wishesEvery is how often is looked at what other hosts want of the consumers that they share with this one.
const wishesEvery = 30 * time.Second

// wishesAgain is when is looked at what was said a moment ago: who has read what stood there before, and writes after, takes it back.
var wishesAgain = []time.Duration{time.Second, 5 * time.Second}

// lookAtWishes looks at the consumers of all plugins: what this host wants of them is said again where another agent has
// overwritten it, and once a day, by which others know that it still does.
func (h *Host) lookAtWishes(ctx context.Context) {
	h.lookAtWishesOf(ctx, func(*crew) bool { return true })
}

// lookAgain is lookAtWishes for the consumers of which this host has said something a moment ago.
func (h *Host) lookAgain(ctx context.Context) {
	now := time.Now()
	h.lookAtWishesOf(ctx, func(c *crew) bool { return c.isDue(now) })
}

func (h *Host) lookAtWishesOf(ctx context.Context, due func(*crew) bool) {
	if !h.wishing.CompareAndSwap(false, true) { // the bus is slow: the round before is still under way
		return
	}
	defer h.wishing.Store(false)
	for _, e := range h.entries() {
		if e.name != e.plugin || ctx.Err() != nil || !due(e.crew) {
			continue
		}
		if stands, today := e.compareWishes(ctx); stands && today {
			continue
		}
		if err := e.sayAgain(ctx); err != nil {
			h.log.Warn("consumer not looked after", "plugin", e.plugin, "error", err)
		}
	}
}

// sayAgain looks once more at the consumers, and says again what this host wants of them if that does not stand there. The look before
// may have seen a change of this host half done: who is about one says it himself, and what one that went wrong has left nobody has
// overwritten.
func (e *entry) sayAgain(ctx context.Context) error {
	select {
	case e.crew.giving <- struct{}{}:
		defer func() { <-e.crew.giving }()
	default:
		return nil
	}
	stands, today := e.compareWishes(ctx)
	if stands && today {
		return nil
	}
	was, robbed := e.crew.stood(), !stands && e.crew.said
	if err := e.giveNow(ctx, same); err != nil {
		return err
	}
	if robbed {
		e.tellRobbed(e.crew.skipped(was))
	}
	return nil
}

// tellRobbed tells that another host had overwritten what this one wants, and past how much of it, at most, its consumers have moved.
func (e *entry) tellRobbed(n uint64) {
	const text = "another host has overwritten what this one wants of a consumer that they share, in the same moment; it is said again"
	if n == 0 {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.say(slog.LevelWarn, text)
		return
	}
	e.tellLost(time.Now(), fmt.Sprintf("at most %s: %s", amount.Of(n, "batch was not read", "batches were not read"), text))
}

// stood returns how the consumers were when what this host wants stood there last.
func (c *crew) stood() map[string]bus.ConsumerState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.stands)
}

func (c *crew) setStands(consumer string, state bus.ConsumerState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stands == nil {
		c.stands = map[string]bus.ConsumerState{}
	}
	c.stands[consumer] = state
}

// skipped returns how many messages the consumers have moved past since then without giving them out, and notes them as told.
func (c *crew) skipped(since map[string]bus.ConsumerState) (n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for consumer, was := range since {
		n += skipped(was, c.stands[consumer])
	}
	if n > 0 {
		c.unread.tell(n, time.Now())
	}
	return n
}

// skipped returns how many messages a consumer has moved past and not given out: at most so many, as not all need have been for it.
func skipped(was, is bus.ConsumerState) uint64 {
	if is.Delivered < was.Delivered || is.Given < was.Given { // it was made anew
		return 0
	}
	passed, given := is.Delivered-was.Delivered, is.Given-was.Given
	if was.Redelivered > 0 || is.Redelivered > 0 { // given again it counts twice
		return passed
	}
	return passed - min(passed, given)
}

// writes notes that something was said of the consumers.
func (c *crew) writes(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.again = nil
	for _, after := range wishesAgain {
		c.again = append(c.again, now.Add(after))
	}
}

// isDue reports whether it is time to look at what was said, and that it is looked at.
func (c *crew) isDue(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.again)
	c.again = slices.DeleteFunc(c.again, func(at time.Time) bool { return !now.Before(at) })
	return len(c.again) < n
}

// compareWishes tells when another host wants something else of the consumers than this one: the plugin has the same name on both,
// so they share its work, and each gets what either wants. It reports whether what this host wants stands there, and whether it was
// said so not long ago.
func (e *entry) compareWishes(ctx context.Context) (stands, today bool) {
	h := e.host
	if h.o.InProcess != nil { // nobody else reads there
		return true, true
	}
	text, want := "", e.inputs()
	stands, today = true, true
	for _, in := range e.read() {
		state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		if err != nil {
			return true, true // what was known holds still; one that is gone is found by lookForLag
		}
		said, ok := state.Readers[bus.Token(in.Host)]
		same := said.Ordered == in.Ordered && slices.Equal(slices.Sorted(slices.Values(said.Filters)), slices.Sorted(slices.Values(in.Filters)))
		if ok && same {
			e.crew.setStands(consumerOf(in), state)
		}
		stands = stands && ok && same
		today = today && said.Day+1 >= bus.Today() // each day once
		if i := find(want, in); i >= 0 && text == "" {
			text = difference(want[i], state.Readers)
		}
	}
	if !e.crew.setOther(text) || text == "" {
		return stands, today
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.say(slog.LevelWarn, "plugin shares its consumer with another host that wants something else", "difference", text)
	return stands, today
}

// difference says what another reader wants that in does not, or the other way round; "" for nothing.
func difference(in bus.Input, readers map[string]bus.Reader) string {
	wish := func(of bus.Reader) string {
		text := fmt.Sprint(slices.Sorted(slices.Values(of.Filters)))
		if of.Ordered {
			text += " in order"
		}
		return text
	}
	ours := wish(bus.Reader{Filters: in.Filters, Ordered: in.Ordered})
	for _, host := range slices.Sorted(maps.Keys(readers)) {
		if theirs := wish(readers[host]); host != bus.Token(in.Host) && theirs != ours {
			return fmt.Sprintf("%s on host %s reads %s, here %s: each gets what either wants; give both the same from: and order:, or other names",
				in.Durable, host, theirs, ours)
		}
	}
	return ""
}

func (c *crew) differs() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.other
}

// setOther notes a difference, and reports whether it is another one than before.
func (c *crew) setOther(text string) (changed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed = c.other != text
	c.other = text
	return changed
}
