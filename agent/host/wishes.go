package host

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// wishesEvery is how often is looked at what other hosts want of the consumers that they share with this one.
const wishesEvery = 30 * time.Second

// lookAtWishes looks at the consumers of all plugins: what this host wants of them is said again where another agent has
// overwritten it, and once a day, by which others know that it still does.
func (h *Host) lookAtWishes(ctx context.Context) {
	if !h.wishing.CompareAndSwap(false, true) { // the bus is slow: the round before is still under way
		return
	}
	defer h.wishing.Store(false)
	for _, e := range h.entries() {
		if e.name != e.plugin || ctx.Err() != nil {
			continue
		}
		if e.compareWishes(ctx) {
			continue
		}
		if err := e.give(ctx, same); err != nil {
			h.log.Warn("consumer not looked after", "plugin", e.plugin, "error", err)
		}
	}
}

// compareWishes tells when another host wants something else of the consumers than this one: the plugin has the same name on both,
// so they share its work, and each gets what either wants. It reports whether what this host wants is noted there.
func (e *entry) compareWishes(ctx context.Context) bool {
	h := e.host
	if h.o.InProcess != nil { // nobody else reads there
		return true
	}
	text, noted := "", true
	for _, in := range e.inputs() {
		state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		if err != nil {
			return true // what was known holds still
		}
		said, ok := state.Readers[bus.Token(in.Host)]
		same := said.Ordered == in.Ordered && slices.Equal(slices.Sorted(slices.Values(said.Filters)), slices.Sorted(slices.Values(in.Filters)))
		noted = noted && ok && same && said.Day+1 >= bus.Today() // each day once
		if text == "" {
			text = difference(in, state.Readers)
		}
	}
	if !e.crew.setOther(text) || text == "" {
		return noted
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.say(slog.LevelWarn, "plugin shares its consumer with another host that wants something else", "difference", text)
	return noted
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
