package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// request sends one control request to the agent of a host, and returns its reply.
func (h *Hub) request(ctx context.Context, id, verb string, r telemetry.CtlRequest) (telemetry.CtlReply, error) {
	answer, err := h.send(ctx, id, verb, r)
	if err != nil {
		return telemetry.CtlReply{}, err
	}
	reply, _, err := telemetry.DecodeCtlReply(answer)
	if err != nil {
		return reply, fmt.Errorf("answer of %s to %s: %w", id, verb, err)
	}
	return reply, nil
}

// send is request for whom any answer will do.
func (h *Hub) send(ctx context.Context, id, verb string, r telemetry.CtlRequest) ([]byte, error) {
	r.ID = newID()
	h.one(id, func(_ *host, p liveness.Peer) bool { r.Args = meant(r.Args, p.Inst); return true })
	body, err := telemetry.EncodeControl(r, telemetry.JSON) // that an agent in any language reads
	if err != nil {
		return nil, err
	}
	answer, err := h.conn.Load().Request(ctx, bus.CtlSubject(id, bus.Agent, verb), body)
	if errors.Is(err, bus.ErrNoResponders) {
		err = fmt.Errorf("%w: %s", ErrNotConnected, id)
	}
	return answer, err
}

// resolve returns the id of a host that is named by its id, or by its name or an alias where that is clear.
func (h *Hub) resolve(name string) (string, error) {
	found := false
	h.one(name, func(*host, liveness.Peer) bool { found = true; return true })
	if found {
		return name, nil
	}
	var named, known []string
	h.walk("", func(_ *host, p liveness.Peer) bool {
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
		return named[0], nil
	case 0:
		return "", fmt.Errorf("%w: %.80q", ErrNoHost, name)
	}
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

func (h *Hub) ids() (ids []string) {
	h.walk("", func(x *host, p liveness.Peer) bool {
		if p.State != telemetry.HostLeft { // who has said goodbye is not expected to answer
			ids = append(ids, x.id)
		}
		return true
	})
	return ids
}

func (h *Hub) notSpeaker() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.voice.speaker == "" {
		return fmt.Errorf("%w, or none does: try again in %v", ErrNotSpeaker, h.ttl())
	}
	return fmt.Errorf("%w: it is %s, at %s", ErrNotSpeaker, h.voice.speaker, h.voice.at)
}

// meant adds to arguments which instance they are for: another one that beats under the same id must not answer in its place.
func meant(args map[string]any, inst string) map[string]any {
	if inst == "" {
		return args
	}
	all := maps.Clone(args)
	if all == nil {
		all = map[string]any{}
	}
	all["inst"] = inst
	return all
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
