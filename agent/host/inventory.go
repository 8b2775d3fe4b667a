package host

import (
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Bounds of an inventory. A plugin has three entries at most: manifest, info and status.
const (
	mostInventory = 64 << 20 // bytes of all entries
	mostJoining   = 32 << 20 // bytes of parts that wait for the others
	joinTime      = 10 * time.Second
)

// A slot is where one entry of the inventory stands: what plugin, and which of its types.
type slot struct{ plugin, typ string }

func (s slot) String() string { return s.plugin + "/" + s.typ }

// slotOf reads plugin/type.
func slotOf(text string) slot {
	i := strings.LastIndexByte(text, '/')
	return slot{text[:max(i, 0)], text[i+1:]}
}

// A record is one entry of the inventory.
type record struct {
	item      telemetry.InventoryItem // as the agent lists it: its digest is of data
	told      bool                    // the plugin itself lists it
	own       telemetry.Digest        // by which the plugin lists it: of the data in the form that it sent
	data      []byte                  // facts in their canonical form; nil: there are none
	at        time.Time               // when they were collected
	took      time.Duration
	heard     time.Time // when they came
	fault     *telemetry.Fault
	missed    bool // the fault is that it did not come when it was asked for
	truncated bool
}

// same reports whether r says nothing else than o.
func (r *record) same(o *record) bool {
	if (r.fault == nil) != (o.fault == nil) || r.fault != nil && (r.fault.Code != o.fault.Code || r.fault.Message != o.fault.Message) {
		return false
	}
	return r.item == o.item && r.truncated == o.truncated
}

// An inventory is what the plugins of a host have told of themselves and of the machine, and what the agent says of them. It keeps
// what it was told over restarts, so that nobody is asked again for what has not changed.
type inventory struct {
	dir   string // "": nothing outlives the process
	log   *slog.Logger
	wake  chan struct{} // 1: there is something to send or to write
	beats chan struct{} // 1: the list is another one than was told

	mu       sync.Mutex
	records  map[slot]*record
	bytes    int // of their data
	joins    map[slot]*joint
	joining  int // bytes of their parts
	allowed  map[string]*allowance
	refusals map[string]uint64 // by reason

	unreadable string    // whose message could not be read last, and why
	complained uint64    // refusals that the log knows of
	complaint  time.Time // when it was told

	unsent   map[slot]bool
	unsaved  map[slot]bool
	saveAt   time.Time     // of the next save, after one that did not succeed
	saveWait time.Duration // until then
	sent     map[slot]time.Time
	restless map[string]bool // plugins whose status may be another one
	repairs  map[string]*repair
	news     chan struct{} // closed when something arrives

	items   []telemetry.InventoryItem // sorted; nil: to be made anew
	digest  telemetry.Digest
	changes uint64 // of the list
	told    uint64 // changes that were told
}

func newInventory(dir string, log *slog.Logger) *inventory {
	return &inventory{
		dir: dir, log: log, wake: make(chan struct{}, 1), beats: make(chan struct{}, 1),
		records: map[slot]*record{}, joins: map[slot]*joint{}, allowed: map[string]*allowance{}, refusals: map[string]uint64{},
		unsent: map[slot]bool{}, unsaved: map[slot]bool{}, sent: map[slot]time.Time{}, restless: map[string]bool{},
		repairs: map[string]*repair{}, news: make(chan struct{}),
	}
}

// list returns what there is, as a heartbeat of the agent lists it, and the digest of all. The slice is not to be changed.
func (v *inventory) list() ([]telemetry.InventoryItem, telemetry.Digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.items == nil {
		v.items = make([]telemetry.InventoryItem, 0, len(v.records))
		for _, s := range v.slots() {
			v.items = append(v.items, v.records[s].item)
		}
		v.digest = telemetry.InventoryDigest(v.items)
	}
	return v.items, v.digest
}

// changed gets a value when the list has become another one, after what is new in it was published.
func (v *inventory) changed() <-chan struct{} { return v.beats }

// slots returns where there are entries, sorted. The caller has the lock.
func (v *inventory) slots() []slot {
	return slices.SortedFunc(maps.Keys(v.records), func(a, b slot) int { return strings.Compare(a.String(), b.String()) })
}

// refreshItems returns the list as a refresh tells it.
func (v *inventory) refreshItems(now time.Time) []telemetry.RefreshItem {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := make([]telemetry.RefreshItem, 0, len(v.records))
	for _, s := range v.slots() {
		r := v.records[s]
		list = append(list, telemetry.RefreshItem{InventoryItem: r.item, Size: int64(len(r.data)), AgeMS: max(0, now.Sub(r.at).Milliseconds()), Error: r.fault})
	}
	return list
}

// put makes r the entry at s. What the inventory has no room for becomes an entry that says so.
func (v *inventory) put(s slot, r *record) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.set(s, r)
}

// set is put for who has the lock.
func (v *inventory) set(s slot, r *record) {
	was := v.records[s]
	if was != nil {
		v.bytes -= len(was.data)
	}
	if v.bytes+len(r.data) > mostInventory {
		v.refusals["full"]++
		r = lacking(s, r, false, "the inventory of this host has no room for %d bytes more, at most %d are kept", len(r.data), mostInventory)
	}
	v.bytes += len(r.data)
	v.records[s] = r
	if was == nil || !was.same(r) {
		v.unsent[s] = true
		v.touched()
	}
	if was == nil || !was.same(r) || was.own != r.own || was.told != r.told {
		v.unsaved[s] = s.typ != telemetry.DataStatus
	}
	close(v.news)
	v.news = make(chan struct{})
	nudge(v.wake)
}

// fail notes why there are no newer facts at s; those that are there stay. With missed it holds until they are known to be the
// newest.
func (v *inventory) fail(s slot, f *telemetry.Fault, missed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := record{item: telemetry.InventoryItem{Plugin: s.plugin, Type: s.typ}, at: time.Now()}
	if was := v.records[s]; was != nil {
		r = *was
	}
	r.fault, r.missed = f, missed
	v.set(s, &r)
}

// forget takes away what there is of plugins that are gone.
func (v *inventory) forget(gone func(plugin string) bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dropped(func(s slot) bool { return gone(s.plugin) })
	for s := range v.joins {
		if gone(s.plugin) {
			v.unjoin(s)
		}
	}
	maps.DeleteFunc(v.allowed, func(plugin string, _ *allowance) bool { return gone(plugin) })
	maps.DeleteFunc(v.repairs, func(plugin string, _ *repair) bool { return gone(plugin) })
}

// dropped takes away the entries that which selects. The caller has the lock.
func (v *inventory) dropped(which func(slot) bool) {
	for s, r := range v.records {
		if !which(s) {
			continue
		}
		v.bytes -= len(r.data)
		delete(v.records, s)
		delete(v.unsent, s)
		delete(v.sent, s)
		v.unsaved[s] = s.typ != telemetry.DataStatus // which removes its file
		v.touched()
	}
}

// touched notes that the list is another one. The caller has the lock.
func (v *inventory) touched() {
	v.items = nil
	v.changes++
	nudge(v.wake)
}

// held returns the digest of what is held of a plugin, by the digests that it lists itself.
func (v *inventory) held(plugin string) telemetry.Digest {
	v.mu.Lock()
	defer v.mu.Unlock()
	return telemetry.InventoryDigest(v.owned(plugin))
}

// owned returns what is held of a plugin as the plugin lists it. The caller has the lock.
func (v *inventory) owned(plugin string) []telemetry.InventoryItem {
	var list []telemetry.InventoryItem
	for _, typ := range pluginTypes {
		if r := v.records[slot{plugin, typ}]; r != nil && r.told {
			it := r.item
			it.Digest = r.own
			list = append(list, it)
		}
	}
	return list
}

// pluginTypes are the types that plugins speak of; a status is the agent's word.
var pluginTypes = []string{telemetry.DataManifest, telemetry.DataInfo}

// counts returns what was refused, by reason.
func (v *inventory) counts() map[string]uint64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return maps.Clone(v.refusals)
}

// nudge lets somebody know who looks at everything when he looks.
func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
