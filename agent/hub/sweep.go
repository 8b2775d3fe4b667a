package hub

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	probes    = 1024 // under way at a time: as many black-holed hosts are asked in a second
	probeTime = time.Second
)

// sweep looks at everybody each second, and asks those that are overdue.
func (h *Hub) sweep(ctx context.Context) error {
	var g errgroup.Group
	g.SetLimit(probes)
	defer func() { _ = g.Wait() }()
	t := time.NewTicker(h.o.Times.Sweep)
	defer t.Stop()
	for suspects := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		ask := h.judge(h.self(suspects))
		suspects = len(ask) > 0
		for _, id := range ask {
			if !g.TryGo(func() error { h.probe(ctx, id); return nil }) {
				h.probed(id, liveness.Unclear) // asked again at the next sweep
			}
		}
	}
}

// self is how the hub itself is. The bus is asked when somebody seems to be silent: it may be the bus.
func (h *Hub) self(suspects bool) liveness.Self {
	s := liveness.Self{Connected: h.connected() && !h.cut.Swap(false), Bus: true}
	waiting, _ := h.beats.Load().Pending()
	h.mu.Lock()
	s.Behind = waiting > len(h.fleet)+64
	h.mu.Unlock()
	if suspects && s.Connected {
		s.Bus = h.busAnswers()
	}
	return s
}

// busAnswers asks the bus for a sign of life.
func (h *Hub) busAnswers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	return h.conn.Load().Flush(ctx) == nil
}

// judge sweeps once, and returns whom to ask.
func (h *Hub) judge(self liveness.Self) (ask []string) {
	h.lapse(time.Now())
	h.mu.Lock()
	defer h.mu.Unlock()
	changes, ask := h.watch.Sweep(self, h.now())
	h.note(changes)
	return ask
}

// probe asks a host directly whether it lives.
func (h *Hub) probe(ctx context.Context, id string) {
	err := h.ping(ctx, id)
	switch {
	case ctx.Err() != nil:
	case err == nil:
		h.probed(id, liveness.Alive)
	case errors.Is(err, ErrNotConnected):
		h.probed(id, liveness.Disconnected)
	case errors.Is(err, bus.ErrTimeout) && h.connected():
		h.probed(id, liveness.Silent)
	default:
		h.probed(id, liveness.Unclear)
	}
}

// ping returns nil when the agent of a host answers at once, whatever it says.
func (h *Hub) ping(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_, err := h.send(ctx, id, "ping", telemetry.CtlRequest{})
	return err
}

func (h *Hub) probed(id string, o liveness.Outcome) {
	h.lapse(time.Now())
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(h.watch.Probed(id, o, h.now()))
}

// note logs changes, and has them written and told. The caller has the lock.
func (h *Hub) note(changes []liveness.Change) {
	if !h.voice.mine {
		return
	}
	for _, c := range changes {
		x := h.fleet[c.Host]
		if x == nil {
			x = &host{id: c.Host} // the fleet as a whole
		}
		x.change++
		e := h.eventOf(c, x)
		h.log.Log(context.Background(), levelOf(c), "host", "event", c.Type, "host", c.Host, "message", c.Message)
		x.event = e
		x.add(pending{event: e, forget: c.Type == liveness.TypeForgotten, record: h.record(x)}, &h.counts)
		if c.Type == liveness.TypeForgotten {
			x.forget() // it stays until that is written: its next beat must not overtake it
		}
		h.todo.put(x)
	}
}

// levelOf says how much an operator wants to know of a change.
func levelOf(c liveness.Change) slog.Level {
	switch {
	case c.Silenced:
		return slog.LevelDebug
	case c.To == telemetry.HostDown, c.Type == liveness.TypeMass, c.Type == liveness.TypeConflict, c.Type == liveness.TypeUnknown:
		return slog.LevelWarn
	case c.Type == liveness.TypeOverdue:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
