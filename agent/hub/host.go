package hub

import (
	"maps"
	"slices"
	"sync"
	"time"
	"unique"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A host is what the hub knows of one host besides its life, which the watch keeps. The lock of the hub guards it.
type host struct {
	id string

	revision uint64           // of its record; 0: there is none
	written  time.Time        // when that was written, by the clock of the bus
	unclear  bool             // whether a write has come to pass: its answer was lost
	rival    *verdict         // of a hub that spoke before us and did not know that we do
	change   uint64           // counts its events
	event    *telemetry.Event // the last one, which may not be told yet
	pending  []pending        // changes that are to be written, in their order
	dirty    bool             // the record says too little
	repeat   *telemetry.Event // is to be published again
	queued   bool             // a writer has it, or will
	unsure   bool             // changes were not written when the voice was lost: the record says what was told
	kept     bool             // they are still true, and wait for the voice

	interval                 time.Duration // in its record
	owner, version, os, arch string
	labels                   map[string]string

	held    []telemetry.InventoryItem // in the bucket INVENTORY, in order
	sum     telemetry.Digest          // of held
	metas   map[entry]meta            // of what is held and somebody has asked for
	parts   map[entry][]part          // that have come of entries in several
	asking  *asking                   // a refresh under way
	patient patience
	listed  time.Time      // when a list of it was looked at last
	shelf   sync.Mutex     // held while its entries in the bucket change; before the lock of the hub
	gone    map[entry]bool // to be removed from the bucket
}

// An entry names one entry of an inventory.
type entry struct{ plugin, typ string }

func (e entry) String() string { return e.plugin + "/" + e.typ }

// A meta is what there is to tell of an entry besides its facts.
type meta struct {
	digest telemetry.Digest // of which it is
	size   int64
	time   int64
	fault  *telemetry.Fault
}

// at returns the host of this id, and makes it. The caller has the lock.
func (h *Hub) at(id string) *host {
	x := h.fleet[id]
	if x == nil {
		x = &host{id: id}
		x.count()
		h.fleet[id] = x
		h.sorted = nil
	}
	return x
}

// introduce takes what a beat says of its host, and reports whether it is news.
func (x *host) introduce(b telemetry.Heartbeat) (news bool) {
	news = x.owner != b.Owner
	x.owner = b.Owner
	return b.Manifest != nil && x.describe(b.Manifest) || news
}

// paced notes the interval by which the host is judged, and reports whether its record says another one: a hub that starts goes by
// the record.
func (x *host) paced(interval time.Duration) bool {
	before := x.interval
	if before != 0 && interval < before*5/4 && interval > before*3/4 {
		return false
	}
	x.interval = interval
	return before != 0 // the first record of a host is written anyway
}

// describe takes what an agent is, as its hello or its entry of inventory says, and reports whether it is news.
func (x *host) describe(m *telemetry.Manifest) bool {
	same := x.version == m.Version && x.os == m.OS && x.arch == m.Arch && maps.Equal(x.labels, m.Labels)
	x.version, x.os, x.arch, x.labels = m.Version, m.OS, m.Arch, m.Labels
	return !same
}

// hold makes items, which it takes, the inventory that is held.
func (x *host) hold(items []telemetry.InventoryItem) {
	for i, it := range items {
		items[i] = shared(it)
	}
	slices.SortFunc(items, compareItems)
	x.held = slices.CompactFunc(items, func(a, b telemetry.InventoryItem) bool { return compareItems(a, b) == 0 })
	x.metas = nil
	x.count()
}

// shared returns an item whose texts are one with those of other hosts: a fleet has few programs, and many of each.
func shared(it telemetry.InventoryItem) telemetry.InventoryItem {
	it.Plugin, it.Type, it.Version = unique.Make(it.Plugin).Value(), unique.Make(it.Type).Value(), unique.Make(it.Version).Value()
	return it
}

// find returns where an entry is in what is held, or would be, and whether it is there.
func (x *host) find(e entry) (int, bool) {
	return slices.BinarySearchFunc(x.held, telemetry.InventoryItem{Plugin: e.plugin, Type: e.typ}, compareItems)
}

// keep holds items more, or anew.
func (x *host) keep(items ...telemetry.InventoryItem) {
	for _, it := range items {
		e, it := entry{it.Plugin, it.Type}, shared(it)
		if i, found := x.find(e); found {
			x.held[i] = it
		} else {
			x.held = slices.Insert(x.held, i, it)
		}
		delete(x.metas, e) // they are of the one before
	}
	x.count()
}

// release holds one item less, and reports whether it was held.
func (x *host) release(e entry) bool {
	i, held := x.find(e)
	if held {
		x.held = slices.Delete(x.held, i, i+1)
		delete(x.metas, e)
		x.count()
	}
	return held
}

// discard has all entries but some removed, from what is held at once and from the bucket by a writer, and reports whether there
// were any.
func (x *host) discard(but map[entry]bool) bool {
	before := len(x.held)
	x.held = slices.DeleteFunc(x.held, func(it telemetry.InventoryItem) bool {
		e := entry{it.Plugin, it.Type}
		if but[e] {
			return false
		}
		delete(x.metas, e)
		x.sweepAway(e)
		return true
	})
	if len(x.held) == before {
		return false
	}
	x.count()
	return true
}

// sweepAway has a writer remove an entry from the bucket, unless it comes again before.
func (x *host) sweepAway(e entry) {
	if x.gone == nil {
		x.gone = map[entry]bool{}
	}
	x.gone[e] = true
}

// forget makes x what it was before its first beat. What is pending stays.
func (x *host) forget() {
	x.discard(nil)
	x.owner, x.version, x.os, x.arch, x.labels = "", "", "", "", nil
	x.patient = patience{}
}

// count brings the digest up to date.
func (x *host) count() { x.sum = telemetry.InventoryDigest(x.held) }

// recordRoom is how many bytes of a record its items may have. The rest of it comes from a beat, which is smaller than what is left.
const recordRoom = 700 << 10

// items returns what is held, as much of it as a record has room for. The rest is asked for again after a restart.
func (x *host) items() []telemetry.InventoryItem {
	room := recordRoom
	for i, it := range x.held {
		if room -= len(it.Plugin) + len(it.Type) + len(it.Version) + 2*len(it.Digest) + 16; room < 0 { // 16: the heads of its values
			return slices.Clone(x.held[:i])
		}
	}
	return slices.Clone(x.held)
}

// key is that of the host's record.
func (x *host) key() string { return bus.Key(x.id) }

func (x *host) site() string { return x.labels["site"] }
