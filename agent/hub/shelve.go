package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	storers     = 32               // hosts whose entries are stored at a time
	mostAtOnce  = 64               // entries of one of them, before it is another one's turn
	mostWaiting = mostInParts      // bytes of one host that wait for that: its largest entry fits
	mostWaitAll = 10 * mostInParts // of all hosts

	fullPause = time.Minute // without asking for more, after the bucket had no room
	fullTold  = time.Hour   // between two log lines of that
)

// A parcel is an entry on its way to the bucket.
type parcel struct {
	telemetry.InventoryItem
	manifest *telemetry.Manifest // of the agent, if that is what it is
	bodies   [][]byte
	size     int
}

func parcelOf(parts []part) parcel {
	d := parts[0]
	p := parcel{manifest: manifestOf(d.PluginData), InventoryItem: telemetry.InventoryItem{
		Plugin: d.Plugin, Type: d.Type, Version: d.ProgramVersion, Config: d.Config, Digest: d.Digest,
	}}
	for _, one := range parts {
		p.bodies, p.size = append(p.bodies, one.body), p.size+len(one.body)
	}
	return p
}

func (p parcel) entry() entry { return entry{p.Plugin, p.Type} }

// shelves are the entries that wait to be kept in the bucket, by host: one whose writes are slow holds up no other, and one that
// sends more than is stored loses of its own.
type shelves struct {
	mu    sync.Mutex
	more  *sync.Cond
	hosts map[*host]*waiting
	ready []*host // whose entries wait and are not being stored; the longest first
	bytes int
	end   bool
	work  sync.WaitGroup
}

// waiting are the entries of one host, in the order in which they came.
type waiting struct {
	parcels []parcel
	bytes   int // of them and of those that are being stored
}

func (s *shelves) init() { s.more, s.hosts = sync.NewCond(&s.mu), map[*host]*waiting{} }

// put has an entry wait, unless too much does. It never blocks: that would hold up the data of all.
func (s *shelves) put(x *host, p parcel) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.hosts[x]
	if s.bytes+p.size > mostWaitAll || w != nil && (w.bytes+p.size > mostWaiting || len(w.parcels) >= mostEntries) {
		return false
	}
	if w == nil {
		w = &waiting{}
		s.hosts[x] = w
		s.ready = append(s.ready, x)
		s.more.Signal()
	}
	w.parcels = append(w.parcels, p)
	w.bytes += p.size
	s.bytes += p.size
	return true
}

// next waits for entries of a host; nil says that there will be none.
func (s *shelves) next() (*host, []parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.ready) == 0 && !s.end {
		s.more.Wait()
	}
	if s.end {
		return nil, nil
	}
	x := s.ready[0]
	s.ready[0] = nil
	s.ready = s.ready[1:]
	w := s.hosts[x]
	n := min(len(w.parcels), mostAtOnce)
	some := w.parcels[:n:n]
	w.parcels = w.parcels[n:]
	return x, some
}

// done takes what was stored off the books, and has the host wait for its next turn.
func (s *shelves) done(x *host, some []parcel) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.hosts[x]
	for _, p := range some {
		w.bytes -= p.size
		s.bytes -= p.size
	}
	if len(w.parcels) == 0 {
		delete(s.hosts, x)
		return
	}
	s.ready = append(s.ready, x)
	s.more.Signal()
}

// start stores what comes until close.
func (s *shelves) start(do func(*host, []parcel)) {
	for range storers {
		s.work.Go(func() {
			for x, some := s.next(); x != nil; x, some = s.next() {
				do(x, some)
				s.done(x, some)
			}
		})
	}
}

// close ends it, with what is being stored.
func (s *shelves) close() {
	s.mu.Lock()
	s.end = true
	s.more.Broadcast()
	s.mu.Unlock()
	s.work.Wait()
}

// shelve keeps entries of a host in the bucket; only then they are held. An asking that waits for one that is not kept ends.
func (h *Hub) shelve(x *host, some []parcel) {
	x.shelf.Lock()
	defer x.shelf.Unlock()
	h.mu.Lock()
	_, known := h.watch.Peer(x.id)
	h.mu.Unlock()
	if !known {
		return // it was forgotten meanwhile
	}
	var kept []parcel
	var err error
	for _, p := range some {
		if err == nil || !away(err) { // one has waited for a bus that is away, and that is enough
			err = h.putParcel(x.id, p)
		}
		if err == nil {
			kept = append(kept, p)
			continue
		}
		h.notKept(x, p.entry(), err)
	}
	h.keep(x, kept)
}

func (h *Hub) putParcel(id string, p parcel) error {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	for i, body := range p.bodies {
		if _, err := h.kv.inventory.Load().Put(ctx, partKey(id, p.entry(), i), body); err != nil {
			return err
		}
	}
	return nil
}

// keep notes what is in the bucket now.
func (h *Hub) keep(x *host, kept []parcel) {
	if len(kept) == 0 {
		return
	}
	h.counts.add("inventory_stored", uint64(len(kept)))
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, known := h.watch.Peer(x.id); !known { // forgotten while they were stored
		for _, p := range kept {
			x.sweepAway(p.entry())
		}
		h.todo.put(x)
		return
	}
	items := make([]telemetry.InventoryItem, len(kept))
	for i, p := range kept {
		items[i] = p.InventoryItem
		if p.manifest != nil {
			x.describe(p.manifest) // of a config that was read since its hello
		}
	}
	x.keep(items...)
	h.save(x)
	for _, p := range kept {
		x.came(p.entry(), p.size)
	}
}

// notKept notes that an entry is not in the bucket: the digest of a later beat asks for it again.
func (h *Hub) notKept(x *host, e entry, err error) {
	h.counts.add("inventory_errors", 1)
	if errors.Is(err, bus.ErrFull) {
		h.counts.add("inventory_full", 1)
	} else {
		h.log.Warn("inventory not kept", "host", x.id, "entry", e.String(), "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	x.lost(e, fmt.Errorf("%s is not kept: %w", e, err))
	if now := time.Now(); errors.Is(err, bus.ErrFull) && h.full.is(now) {
		h.log.Error("bucket INVENTORY is full, what hosts tell is not kept: give the bus more store, or forget hosts that are no more", "host", x.id, "entry", e.String(), "error", err)
	}
}

// fullness is whether the bucket has room, as far as is known. The lock of the hub guards it.
type fullness struct {
	until time.Time // no host is asked for what would not be kept
	told  time.Time
}

// is notes that there is no room, and reports whether it is time to say so.
func (f *fullness) is(now time.Time) (tell bool) {
	f.until = now.Add(fullPause)
	if tell = f.told.IsZero() || now.Sub(f.told) >= fullTold; tell {
		f.told = now
	}
	return tell
}

// errDropped ends an asking whose answers came faster than they could be stored.
var errDropped = errors.New("more data came than can be stored: the rest is asked for again after a while")
