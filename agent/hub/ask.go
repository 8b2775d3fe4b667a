package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// Ask sends a verb to the agent of a host, and returns its reply. Errors: ErrNoHost, ErrNotConnected, and those of bus.Request.
func (h *Hub) Ask(ctx context.Context, host, verb string, args map[string]any) (telemetry.CtlReply, error) {
	id, err := h.resolve(host)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	return h.request(ctx, id, verb, telemetry.CtlRequest{Args: args})
}

// request sends one control request to the agent of a host.
func (h *Hub) request(ctx context.Context, id, verb string, r telemetry.CtlRequest) (telemetry.CtlReply, error) {
	r.ID = newID()
	body, err := telemetry.EncodeControl(r, telemetry.JSON) // that an agent in any language reads
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	answer, err := h.conn.Load().Request(ctx, bus.CtlSubject(id, bus.Agent, verb), body)
	if errors.Is(err, bus.ErrNoResponders) {
		return telemetry.CtlReply{}, fmt.Errorf("%w: %s", ErrNotConnected, id)
	}
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	reply, _, err := telemetry.DecodeCtlReply(answer)
	if err != nil {
		return reply, fmt.Errorf("answer of %s to %s: %w", id, verb, err)
	}
	return reply, nil
}

// resolve returns the id of a host that is named by its id, or by its name or an alias where that is clear.
func (h *Hub) resolve(name string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.watch.Peer(name); ok {
		h.at(name)
		return name, nil
	}
	var named, known []string
	h.watch.Hosts(func(p liveness.Peer) bool {
		switch {
		case p.Name == name:
			named = append(named, p.Host)
		case slices.Contains(p.Aliases, name):
			known = append(known, p.Host)
		}
		return true
	})
	if len(named) == 0 {
		named = known
	}
	switch len(named) {
	case 1:
		h.at(named[0])
		return named[0], nil
	case 0:
		return "", fmt.Errorf("%w: %.80q", ErrNoHost, name)
	}
	slices.Sort(named)
	return "", fmt.Errorf("%w that alone is called %.80q: there are %v, name one by its id", ErrNoHost, name, named[:min(len(named), 5)])
}

// resolveAll returns the ids of hosts, of all when none is named.
func (h *Hub) resolveAll(names []string) ([]string, error) {
	if !h.Speaks() {
		return nil, h.notSpeaker()
	}
	if len(names) == 0 {
		return h.ids(), nil
	}
	ids := make([]string, 0, len(names))
	var faults []error
	for _, name := range names {
		id, err := h.resolve(name)
		faults = append(faults, err)
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.Compact(ids), errors.Join(faults...)
}

func (h *Hub) ids() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := make([]string, 0, h.watch.Len())
	h.watch.Hosts(func(p liveness.Peer) bool {
		ids = append(ids, p.Host)
		return true
	})
	for _, id := range ids {
		h.at(id)
	}
	slices.Sort(ids)
	return ids
}

func (h *Hub) notSpeaker() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Errorf("%w: ask hub %q", ErrNotSpeaker, h.voice.speaker)
}

// Forget drops a host and its inventory. Its next beat makes it a new one. Errors: ErrNoHost, ErrNotSpeaker.
func (h *Hub) Forget(_ context.Context, host string) error {
	return h.change(host, func(id string, now liveness.Instant) []liveness.Change { return h.watch.Forget(id, now) })
}

// Silence begins maintenance of a host until a time; the zero time ends it. Errors: ErrNoHost, ErrNotSpeaker.
func (h *Hub) Silence(_ context.Context, host string, until time.Time) error {
	return h.change(host, func(id string, now liveness.Instant) []liveness.Change {
		changes := h.watch.Silence(id, until, now)
		h.save(h.at(id))
		return changes
	})
}

func (h *Hub) change(host string, do func(id string, now liveness.Instant) []liveness.Change) error {
	if !h.Speaks() {
		return h.notSpeaker()
	}
	id, err := h.resolve(host)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(do(id, h.now()))
	return nil
}
