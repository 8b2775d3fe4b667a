package hub

import (
	"maps"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/agent/liveness"
)

// A Page selects a part of a list; its zero value all of it.
type Page struct {
	After string // the last one that is known already: a host, or "host/plugin"
	Most  int    // 0: as many as there are
}

// stretch is how many hosts are looked at before beats are let through again.
const stretch = 256

// walk calls f with the lock held for each host after one, in the order of their ids, until f returns false. Between stretches
// it lets go of the lock: who looks at the whole fleet holds up nobody's beat.
func (h *Hub) walk(after string, f func(x *host, p liveness.Peer) bool) {
	for more := true; more; {
		after, more = h.walkOn(after, f)
	}
}

func (h *Hub) walkOn(after string, f func(x *host, p liveness.Peer) bool) (last string, more bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ids := h.order()
	i, found := slices.BinarySearch(ids, after)
	if found {
		i++
	}
	end := min(i+stretch, len(ids))
	for _, id := range ids[min(i, end):end] {
		if p, known := h.watch.Peer(id); known && !f(h.fleet[id], p) {
			return id, false
		}
		after = id
	}
	return after, end < len(ids)
}

// order returns the ids in order, for as long as none comes or goes. The caller has the lock.
func (h *Hub) order() []string {
	if h.sorted == nil {
		h.sorted = slices.Sorted(maps.Keys(h.fleet))
	}
	return h.sorted
}

// unlist takes a host out of the fleet. The caller has the lock.
func (h *Hub) unlist(id string) {
	if x := h.fleet[id]; x != nil {
		h.parts -= x.inParts()
	}
	delete(h.fleet, id)
	h.sorted = nil
}

// afterHost returns the host after which a list of hosts goes on: a rival was listed with the host whose id it has.
func (h *Hub) afterHost(after string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fleet[after] == nil {
		if id, _, rival := strings.Cut(after, "~"); rival && h.fleet[id] != nil {
			return id
		}
	}
	return after
}

// full reports whether a page has no room for another one.
func (p Page) full(n int) bool { return p.Most > 0 && n >= p.Most }
