package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Replay gives a plugin again what was stored from since on, up to until or, when that is zero, up to now.
func (h *Host) Replay(ctx context.Context, plugin string, since, until time.Time) (telemetry.ChangeList, error) {
	return h.errand(ctx, plugin, telemetry.ChangeReplay, func(ctx context.Context, p plan) (errandOrder, error) {
		var o errandOrder
		for _, in := range bus.Errands(plugin, p.inputs) {
			if in.Stream == bus.StreamDead {
				continue
			}
			_, found, err := h.underWay(ctx, in)
			if err != nil {
				return o, err
			}
			if found {
				return o, refuse(telemetry.FaultTimeout, "a replay of %s is under way: wait for it, or end it with pacewire replay %s --stop", plugin, plugin)
			}
			in, warning, err := h.stretch(ctx, in, since, until)
			if err != nil {
				return o, err
			}
			if warning != "" {
				o.warnings = append(o.warnings, warning)
			}
			if in.From <= in.End {
				o.inputs = append(o.inputs, in)
			}
		}
		return o, nil
	})
}

// stretch sets where in begins and ends, and warns when the stream has not all of that time any more.
func (h *Host) stretch(ctx context.Context, in bus.Input, since, until time.Time) (_ bus.Input, warning string, err error) {
	state, err := h.conn.StreamInfo(ctx, in.Stream)
	if err != nil {
		return in, "", err
	}
	if in.From, err = h.conn.SeqAt(ctx, in.Stream, since); err != nil {
		return in, "", err
	}
	in.End = state.LastSeq
	if !until.IsZero() {
		next, err := h.conn.SeqAt(ctx, in.Stream, until)
		if err != nil {
			return in, "", err
		}
		in.End = min(in.End, next-1)
	}
	if gone := state.FirstSeq > 1 && state.FirstTime.After(since); gone {
		warning = fmt.Sprintf("%s begins at %s: what is older is gone (bus: max_age, max_store)", in.Stream, state.FirstTime.UTC().Format(time.RFC3339))
	}
	return in, warning, nil
}

// StopReplay ends a replay before it is through.
func (h *Host) StopReplay(ctx context.Context, plugin string) (telemetry.ChangeList, error) {
	release, group, err := h.groupOf(ctx, plugin)
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	defer release()
	var running []bus.Input
	for _, in := range bus.Errands(plugin, group[0].plan().inputs) {
		_, found, err := h.underWay(ctx, in)
		if err != nil {
			return telemetry.ChangeList{}, err
		}
		if found && in.Stream != bus.StreamDead {
			running = append(running, in)
		}
	}
	c := telemetry.Change{Plugin: plugin, Action: telemetry.ChangeReplay, Reason: "it was ended before its end"}
	if len(running) == 0 {
		c.Action, c.Reason = telemetry.ChangeNone, "no replay is under way"
	} else if err := h.takeBack(ctx, group, plugin, running); err != nil {
		c.Error = err.Error()
	}
	return telemetry.ChangeList{Changes: []telemetry.Change{c}}, nil
}

// Again gives a plugin the copies of dead letters that lie from one place in DEAD to another: see bus.GiveAgain.
func (h *Host) Again(ctx context.Context, plugin string, from, to uint64) (telemetry.ChangeList, error) {
	if from == 0 || to < from {
		return telemetry.ChangeList{}, refuse(telemetry.FaultInvalid, "again from %d to %d: want the places of the first and the last copy in DEAD", from, to)
	}
	return h.errand(ctx, plugin, telemetry.ChangeAgain, func(ctx context.Context, _ plan) (errandOrder, error) {
		if err := h.hasCopy(ctx, plugin, to); err != nil {
			return errandOrder{}, err
		}
		in := bus.Errands(plugin, nil)[0]
		in.From, in.End = from, to
		now, found, err := h.underWay(ctx, in)
		switch {
		case err != nil:
			return errandOrder{}, err
		case found && from < now.From: // others were first, whose consumer has begun behind
			return errandOrder{}, refuse(telemetry.FaultTimeout, "%s is being given other letters again: try again when it has them", plugin)
		case found: // it goes on a little longer
			in.From, in.End = now.From, max(now.End, to)
		}
		return errandOrder{inputs: []bus.Input{in}}, nil
	})
}

// hasCopy returns why a plugin has no copy at a place in DEAD.
func (h *Host) hasCopy(ctx context.Context, plugin string, seq uint64) error {
	err := h.conn.HasAgain(ctx, plugin, seq)
	switch {
	case errors.Is(err, bus.ErrNoLetter):
		return refuse(telemetry.FaultNotFound, "the bus that %s reads has no copies of dead letters for it: "+
			"retry them on that bus (--bus names it), or they have been given again already", plugin)
	case errors.Is(err, bus.ErrDenied):
		return nil // nobody may look
	}
	return err
}

// replay answers the verb of this name: since and until are times by RFC 3339.
func (h *Host) replay(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	if r.Args["stop"] == true {
		return h.StopReplay(ctx, r.Text("plugin"))
	}
	since, err := moment(r, "since")
	if err != nil {
		return nil, err
	}
	if since.IsZero() {
		return nil, refuse(telemetry.FaultInvalid, "since: want a time like 2026-01-02T15:04:05Z")
	}
	until, err := moment(r, "until")
	if err != nil {
		return nil, err
	}
	return h.Replay(ctx, r.Text("plugin"), since, until)
}

// again answers the verb of this name.
func (h *Host) again(ctx context.Context, r telemetry.CtlRequest) (any, error) {
	from, _ := r.Number("from")
	to, _ := r.Number("to")
	return h.Again(ctx, r.Text("plugin"), uint64(max(0, from)), uint64(max(0, to)))
}

// moment returns an argument that is a time, the zero time when it is not there.
func moment(r telemetry.CtlRequest, key string) (time.Time, error) {
	text := r.Text(key)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, refuse(telemetry.FaultInvalid, "%s %q: want a time like 2026-01-02T15:04:05Z", key, text)
	}
	return t, nil
}
