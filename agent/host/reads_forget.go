package host

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/pacewire/pacewire/bus"
)

// forget removes consumers that nobody reads by any more, and returns how many batches they had still to give out. On a bus
// of others somebody may, and they stay.
func (h *Host) forget(ctx context.Context, inputs []bus.Input) (unread uint64, err error) {
	if h.o.InProcess == nil {
		return 0, h.leave(ctx, inputs)
	}
	for _, in := range inputs {
		unread += h.unread(ctx, []bus.Input{in})
		if err := h.conn.DeleteConsumer(ctx, in.Stream, in.Durable); err != nil {
			return unread, err
		}
	}
	return unread, nil
}

// forgetPlugin removes all that the bus keeps for the readers of a plugin that is no more, and returns how many batches were not read.
func (h *Host) forgetPlugin(ctx context.Context, plugin string, inputs []bus.Input) (unread uint64, err error) {
	unread, err = h.forget(ctx, inputs)
	if h.o.InProcess == nil {
		return unread, err
	}
	return unread, errors.Join(err, h.conn.ForgetLease(ctx, plugin))
}

// leave takes back what this host wants of consumers that others may read.
func (h *Host) leave(ctx context.Context, inputs []bus.Input) error {
	var all []error
	for _, in := range inputs {
		err := h.conn.LeaveConsumer(ctx, in.Stream, in.Durable, h.o.Host)
		if !errors.Is(err, bus.ErrNoConsumer) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// forgetGone removes the consumers and leases of plugins that the config does not name any more, not even as disabled. Until the agent
// is started again they stay: a file of the config may be away for a moment, and what was not read would be gone with them.
func (h *Host) forgetGone(ctx context.Context) error {
	if h.o.InProcess == nil {
		return nil
	}
	known := map[string]bool{}
	for _, p := range h.inForce().Plugins {
		for _, durable := range []string{p.Name, bus.ReplayDurable(p.Name), bus.AgainDurable(p.Name)} {
			known[bus.Token(durable)] = true
		}
	}
	for _, stream := range []string{bus.StreamMetrics, bus.StreamEvents, bus.StreamDead} {
		names, err := h.conn.Consumers(ctx, stream)
		if err != nil {
			return err
		}
		for _, token := range names {
			name, hashed, err := bus.Untoken(token)
			if known[token] || hashed || err != nil || strings.HasPrefix(name, bus.Uplink) {
				continue
			}
			if err := h.forgetConsumer(ctx, bus.Input{Stream: stream, Durable: name}); err != nil {
				return err
			}
		}
	}
	return h.forgetLeases(ctx)
}

// forgetConsumer removes the consumer of a plugin that is gone. Where it still has to say what is settled it stays.
func (h *Host) forgetConsumer(ctx context.Context, in bus.Input) error {
	err := h.forgetSettled(ctx, in)
	if errors.Is(err, bus.ErrKept) {
		h.log.Warn("consumer of a plugin that is gone stays", "plugin", in.Durable, "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	unread, err := h.forget(ctx, []bus.Input{in})
	if err != nil {
		return err
	}
	h.log.LogAttrs(ctx, slog.LevelInfo, "consumer of a plugin that is gone is removed", slog.String("plugin", in.Durable), slog.Uint64("unread", unread))
	return nil
}

// forgetSettled removes what a plugin was given again of its dead letters, and has settled: without the consumer nobody knows that any
// more, and they would be letters once more.
func (h *Host) forgetSettled(ctx context.Context, in bus.Input) error {
	plugin, again := strings.CutSuffix(in.Durable, bus.AgainDurable(""))
	if !again || in.Stream != bus.StreamDead {
		return nil
	}
	state, err := h.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
	if errors.Is(err, bus.ErrNoConsumer) {
		return nil
	}
	if err != nil {
		return err
	}
	return h.conn.ForgetAgain(ctx, plugin, state.From, state.AckFloor)
}

// forgetLeases removes the leases of plugins that are gone, or that keep no order any more.
func (h *Host) forgetLeases(ctx context.Context) error {
	ordered := map[string]bool{}
	for _, p := range h.inForce().Plugins {
		ordered[bus.Token(p.Name)] = p.Order != ""
	}
	tokens, err := h.conn.Leases(ctx)
	if err != nil {
		return err
	}
	for _, token := range tokens {
		name, hashed, err := bus.Untoken(token)
		if ordered[token] || hashed || err != nil {
			continue
		}
		if err := h.conn.ForgetLease(ctx, name); err != nil {
			return err
		}
		h.log.LogAttrs(ctx, slog.LevelInfo, "lease that no plugin takes any more is removed", slog.String("plugin", name))
	}
	return nil
}
