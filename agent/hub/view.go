package hub

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/telemetry"
)

// A Filter selects hosts or plugins; its zero value all.
type Filter struct {
	Host  string // only this one
	State string
	Owner string
	Site  string
	Label map[string]string
}

// fits reports whether a host is selected, whatever its state.
func (f Filter) fits(x *host) bool {
	if f.Owner != "" && f.Owner != x.owner || f.Site != "" && f.Site != x.site() {
		return false
	}
	for key, value := range f.Label {
		if x.labels[key] != value {
			return false
		}
	}
	return true
}

// Hosts returns a page of the hosts that f selects, by id, each followed by its rivals, and whether there are more.
func (h *Hub) Hosts(f Filter, page Page) (list []telemetry.HostStatus, more bool) {
	if f.Host != "" {
		s, err := h.Host(f.Host)
		if err != nil || page.After >= s.Host {
			return nil, false
		}
		return []telemetry.HostStatus{s}, false
	}
	connected, now, last := h.connected(), h.now(), h.afterHost(page.After)
	add := func(x *host, p liveness.Peer) bool {
		if !f.fits(x) || f.State != "" && f.State != stateOf(p, connected) {
			return true
		}
		some := append([]telemetry.HostStatus{x.view(p, connected, now)}, rivals(p, now)...)
		if x.id == last { // whose rivals the page before may not have had room for
			i := slices.IndexFunc(some, func(s telemetry.HostStatus) bool { return s.Host == page.After })
			if i < 0 {
				return true // after a rival that is no more
			}
			some = some[i+1:]
		}
		if len(some) > 0 && page.full(len(list)) {
			more = true
			return false
		}
		list = append(list, some...)
		return true
	}
	h.one(last, add)
	if !more {
		h.walk(last, add)
	}
	return list, more
}

// Host returns one host by its id, or by its name or an alias where that is clear. Errors: ErrNoHost.
func (h *Hub) Host(name string) (telemetry.HostStatus, error) {
	id, err := h.resolve(name)
	if err != nil {
		return h.rival(name, err)
	}
	connected := h.connected()
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.watch.Peer(id)
	if !ok {
		return telemetry.HostStatus{}, fmt.Errorf("%w: %.80q", ErrNoHost, name)
	}
	return h.at(id).view(p, connected, h.now()), nil
}

// rivals are the others that beat under the id of a host, each as <id>~<inst>.
func rivals(p liveness.Peer, now liveness.Instant) []telemetry.HostStatus {
	var list []telemetry.HostStatus
	byInst := func(a, b liveness.Rival) int { return cmp.Compare(a.Inst, b.Inst) }
	for _, r := range slices.SortedFunc(slices.Values(p.Rivals), byInst) {
		list = append(list, telemetry.HostStatus{
			Host: p.Host + "~" + r.Inst, Name: r.Name, State: telemetry.HostUnknown, Reason: "it beats under the id of another: give it one of its own",
			Flags: []string{liveness.FlagConflict}, Inst: r.Inst, Beat: r.Seen.UnixNano(), AgeMS: max(0, now.Wall.Sub(r.Seen).Milliseconds()),
		})
	}
	return list
}

// rival returns the rival of this name, or else err.
func (h *Hub) rival(name string, err error) (telemetry.HostStatus, error) {
	id, _, _ := strings.Cut(name, "~")
	h.mu.Lock()
	defer h.mu.Unlock()
	p, _ := h.watch.Peer(id)
	for _, s := range rivals(p, h.now()) {
		if s.Host == name {
			return s, nil
		}
	}
	return telemetry.HostStatus{}, err
}

// stateOf returns the state that is shown: a hub that is cut off knows nothing.
func stateOf(p liveness.Peer, connected bool) string {
	if !connected {
		return telemetry.HostUnknown
	}
	return p.State
}

// view returns what there is to tell of a host.
func (x *host) view(p liveness.Peer, connected bool, now liveness.Instant) telemetry.HostStatus {
	b := p.Last
	s := telemetry.HostStatus{
		Host: p.Host, Name: p.Name, State: stateOf(p, connected), Reason: p.Reason, Since: p.Since.UnixNano(), Stable: p.Stable, Flags: p.Flags,
		Owner: x.owner, Site: x.site(), Labels: x.labels, Version: x.version, OS: x.os, Arch: x.arch,
		IntervalMS: b.IntervalMS, Boot: b.Boot, Inst: b.Inst, Gen: p.Gen, HostUpMS: b.HostUpMS,
		Received: p.Received, Lost: p.Lost, AckLost: p.AckLost, Late: p.Late, Duplicate: p.Duplicate, Saved: p.Saved,
		RTTUS: b.RTTUS, OffsetUS: b.OffsetUS, ConfigRev: b.ConfigRev, Plugins: b.Plugins, Load: b.Load,
		Items: b.Items, Held: uint64(len(x.held)), Aliases: p.Aliases, Incident: p.Incident,
	}
	if !connected {
		s.Reason = "the hub is cut off from the bus"
	}
	if !p.Until.IsZero() {
		s.Until = p.Until.UnixNano()
	}
	if !p.Seen.IsZero() {
		s.Beat, s.AgeMS = p.Seen.UnixNano(), max(0, now.Wall.Sub(p.Seen).Milliseconds())
	}
	if p.State == telemetry.HostUp && b.Items > 0 && len(x.held) == 0 {
		s.Flags = append(slices.Clone(s.Flags), flagNoInventory)
		slices.Sort(s.Flags)
	}
	if b.Seq > 0 {
		s.AgeMS = (now.Mono - p.Arrived.Mono).Milliseconds()
	}
	return s
}

// stale is the state of the plugins of a host that does not beat: nothing is known of them, and nothing is raised.
const stale = "stale"

// Plugins returns a page of the plugins of the hosts that f selects (State is the plugin's), by host and name, as their agents
// have last told: stale while the host is not UP.
func (h *Hub) Plugins(f Filter, page Page) (list []telemetry.PluginStatus, more bool) {
	only := f.Host
	if only != "" {
		var err error
		if only, err = h.resolve(only); err != nil {
			return nil, false
		}
	}
	last, plugin := "", page.After // "host/plugin"
	if i := strings.LastIndexByte(plugin, '/'); i >= 0 {
		last, plugin = plugin[:i], plugin[i+1:]
	}
	add := func(x *host, p liveness.Peer) bool {
		if only != "" && only != x.id || !f.fits(x) {
			return true
		}
		for _, s := range h.plugins(x, p) {
			switch {
			case f.State != "" && f.State != s.State, x.id == last && s.Name <= plugin:
			case page.full(len(list)):
				more = true
				return false
			default:
				list = append(list, s)
			}
		}
		return true
	}
	h.one(cmp.Or(only, last), add)
	if only == "" && !more {
		h.walk(last, add)
	}
	return list, more
}

// one calls f for one host, if there is such a one.
func (h *Hub) one(id string, f func(x *host, p liveness.Peer) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p, known := h.watch.Peer(id); known {
		f(h.at(id), p)
	}
}

// plugins returns those of the host, by name. The caller has the lock of the hub.
func (h *Hub) plugins(x *host, p liveness.Peer) []telemetry.PluginStatus {
	list := h.status.of(x)
	for i := range list {
		s := &list[i]
		if p.State != telemetry.HostUp {
			s.State, s.Reason = stale, "its host is "+cmp.Or(p.State, telemetry.HostUnknown)
		}
	}
	return list
}

// where says where the hosts that are overdue stand, and whose they are: the first question of whoever is woken. The caller has
// the lock.
func (h *Hub) where() string {
	sites, owners := map[string]int{}, map[string]int{}
	h.watch.Hosts(func(p liveness.Peer) bool {
		if x := h.fleet[p.Host]; x != nil && p.State == telemetry.HostOverdue {
			sites[cmp.Or(x.site(), "no site")]++
			owners[cmp.Or(x.owner, "nobody")]++
		}
		return true
	})
	return fmt.Sprintf("; sites: %s; owners: %s", most(sites), most(owners))
}

// most returns the largest counts, as "lab 12, plant 3".
func most(counts map[string]int) string {
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	var parts []string
	for _, name := range names[:min(len(names), 5)] {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}

func compareItems(a, b telemetry.InventoryItem) int {
	return cmp.Or(cmp.Compare(a.Plugin, b.Plugin), cmp.Compare(a.Type, b.Type))
}

// before reports whether an item comes after e in a list.
func (e entry) before(it telemetry.InventoryItem) bool {
	return compareItems(telemetry.InventoryItem{Plugin: e.plugin, Type: e.typ}, it) < 0
}

// entryOf reads "plugin/type".
func entryOf(text string) entry {
	plugin, typ, _ := strings.Cut(text, "/")
	return entry{plugin, typ}
}

// since returns the time of so many milliseconds from now on; the zero time for none.
func since(ms int64, now time.Time) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return now.Add(time.Duration(min(ms, maxSilenceMS)) * time.Millisecond)
}

const maxSilenceMS = 366 * 24 * 3_600_000 // a year: longer than that, forget the host
