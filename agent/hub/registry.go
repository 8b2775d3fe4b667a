package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// buckets are where hubs keep what must outlive them. They are opened anew when somebody has removed them.
type buckets struct {
	hosts, inventory, state, hub atomic.Pointer[bus.Bucket]
}

const (
	hostsBytes     = 128 << 20 // 100,000 hosts
	inventoryBytes = 512 << 20
	stateBytes     = 1 << 20
)

// open makes the buckets that are missing.
func (b *buckets) open(ctx context.Context, c *bus.Conn, streams bus.StreamSettings, ttl time.Duration) error {
	for _, one := range []struct {
		at *atomic.Pointer[bus.Bucket]
		s  bus.BucketSettings
	}{
		{&b.hosts, bus.BucketSettings{Name: bus.BucketHosts, MaxBytes: hostsBytes}},
		{&b.inventory, bus.BucketSettings{Name: bus.BucketInventory, MaxBytes: inventoryBytes}},
		{&b.state, bus.BucketSettings{Name: bus.BucketState, MaxBytes: stateBytes}},
		{&b.hub, bus.BucketSettings{Name: bus.BucketHub, TTL: ttl, Memory: true}},
	} {
		one.s.Replicas, one.s.Store = streams.Replicas, streams.Store
		opened, err := c.EnsureBucket(ctx, one.s)
		if err != nil {
			return fmt.Errorf("bucket %s: %w", one.s.Name, err)
		}
		one.at.Store(opened)
	}
	return nil
}

// follow keeps up with the records of HOSTS, which is how a hub that does not speak knows what the speaker says; loaded is
// called when those of before are there.
func (h *Hub) follow(ctx context.Context, loaded func()) error {
	var first []telemetry.HostRecord
	restored := false
	for ctx.Err() == nil {
		known := h.revisions()
		err := h.kv.hosts.Load().Watch(ctx, ">", func(v bus.KV) error {
			delete(known, v.Key)
			r, ok := h.recordOf(v)
			switch {
			case !ok:
				h.spoilt(v)
			case !restored && v.Deleted:
				first = slices.DeleteFunc(first, func(r telemetry.HostRecord) bool { return bus.Key(r.Host) == v.Key })
				h.forgotten(v.Key)
			case !restored:
				first = append(first, r)
				h.mu.Lock()
				h.remember(r, v)
				h.mu.Unlock()
			case v.Deleted:
				h.forgotten(v.Key)
			default:
				h.adopt(r, v)
			}
			return nil
		}, func() {
			if !restored {
				h.restore(ctx, first)
				first, restored = nil, true
				loaded()
			}
			h.unlisted(known)
			known = nil
		})
		if ctx.Err() != nil {
			return nil
		}
		h.log.Warn("registry cannot be followed", "error", err)
		if errors.Is(err, bus.ErrNoStream) {
			h.rebuild(ctx)
		}
		sleep(ctx, retryEvery)
	}
	return nil
}

// revisions returns those of all records that are known, by key, before the registry is read anew.
func (h *Hub) revisions() map[string]uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := map[string]uint64{}
	for _, x := range h.fleet {
		if x.revision > 0 {
			known[x.key()] = x.revision
		}
	}
	return known
}

// unlisted follows deletions that a watch could not tell of, as it was away for too long: known are the records that the registry does
// not list any more. What the speaker knows is written again.
func (h *Hub) unlisted(known map[string]uint64) {
	for key, revision := range known {
		h.forgotten(key)
		h.mu.Lock()
		if x := h.fleet[h.idOf(key)]; x != nil && x.revision == revision {
			x.revision = 0
			h.save(x)
		}
		h.mu.Unlock()
	}
}

// spoilt has a record written again over what is none. Whoever may publish to a stream can have the bus send its acknowledgement, a text
// of its own, to any subject, and so into a bucket: no right keeps anybody from that. A host that is not known here, as the hub has
// just begun, is written at its next beat.
func (h *Hub) spoilt(v bus.KV) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x := h.fleet[h.idOf(v.Key)]; x != nil && v.Revision > x.revision {
		x.revision = v.Revision
		h.save(x)
	}
}

// recordOf decodes a value; one that is not ours is counted, and told of now and then.
func (h *Hub) recordOf(v bus.KV) (telemetry.HostRecord, bool) {
	_, err := bus.SplitKey(v.Key)
	if err == nil && v.Deleted {
		return telemetry.HostRecord{}, true
	}
	r, _, decode := telemetry.DecodeHostRecord(v.Value)
	if err = errors.Join(err, decode); err != nil || bus.Key(r.Host) != v.Key {
		h.counts.add("records_unreadable", 1)
		if now := time.Now().UnixNano(); now >= h.spoiltAt.Load()+int64(spoiltTell) {
			h.spoiltAt.Store(now)
			h.log.Warn("registry holds a record that cannot be read: it is written again", "key", v.Key, "bytes", len(v.Value), "error", err)
		}
		return r, false
	}
	return r, true
}

const spoiltTell = time.Minute // between two lines of the log

// restore takes the registry of before into the watch.
func (h *Hub) restore(ctx context.Context, records []telemetry.HostRecord) {
	down := time.Duration(0)
	if last, ok := h.lastAlive(ctx); ok {
		down = max(0, time.Since(last))
	}
	marked := h.marked(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	if !marked {
		h.emptyHanded()
	}
	h.watch.Restore(records, down, h.now())
	if len(records) > 0 {
		h.log.Info("registry loaded", "hosts", len(records), "away", down.Round(time.Second))
	}
}

// remember keeps what a record says besides the states. The caller has the lock.
func (h *Hub) remember(r telemetry.HostRecord, v bus.KV) {
	x := h.at(r.Host)
	x.revision, x.written, x.unclear, x.change, x.event = v.Revision, v.Written, false, r.Change, r.Event
	x.owner, x.labels, x.version, x.os, x.arch = r.Owner, r.Labels, r.Agent, r.OS, r.Arch
	x.interval = time.Duration(r.IntervalMS) * time.Millisecond
	x.hold(r.Items)
}

// adopt takes over what another hub has recorded.
func (h *Hub) adopt(r telemetry.HostRecord, v bus.KV) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fleet[r.Host] == nil && h.voice.mine && r.Term == h.voice.term { // forgotten since
		return
	}
	x := h.at(r.Host)
	if v.Revision < x.revision {
		return
	}
	known := v.Revision == x.revision
	if known || h.voice.mine && r.Term <= h.voice.term {
		x.revision, x.written, x.unclear = v.Revision, v.Written, false
		if !known {
			h.meet(x, r)
		}
		return
	}
	x.unsure, x.kept, x.pending, x.rival, x.dirty = false, false, nil, nil, false
	h.remember(r, v)
	for e := range x.gone {
		if _, held := x.find(e); held {
			delete(x.gone, e) // stored by who spoke meanwhile
		}
	}
	h.watch.Adopt(r, h.now())
}

// forgotten follows the speaker, who has dropped the host with this key.
func (h *Hub) forgotten(key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.idOf(key)
	if h.voice.mine || id == "" {
		return
	}
	h.watch.Forget(id, h.now())
	h.unlist(id)
}

// idOf returns the host whose token is key: a token that is hashed does not say. The caller has the lock.
func (h *Hub) idOf(key string) string {
	id, hashed, err := bus.Untoken(key)
	if err == nil && !hashed {
		return id
	}
	for id := range h.fleet {
		if bus.Key(id) == key {
			return id
		}
	}
	return ""
}

// rebuild makes the bucket anew after somebody has removed it, and writes all that is known again.
func (h *Hub) rebuild(ctx context.Context) {
	if err := h.provideAgain(ctx); err != nil {
		h.log.Error("registry cannot be made", "error", err)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log.Warn("registry was removed and is written again", "hosts", len(h.fleet))
	for _, x := range h.fleet {
		x.revision, x.unclear = 0, false
		h.save(x)
	}
}

const (
	keyAlive = "alive" // when a hub last watched: 8 bytes would do, but people read it
	keyTerm  = "term"
)

// lastAlive returns when a hub last watched.
func (h *Hub) lastAlive(ctx context.Context) (time.Time, bool) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	v, err := h.kv.state.Load().Get(ctx, keyAlive)
	if err != nil {
		return time.Time{}, false
	}
	t, err := time.Parse(time.RFC3339Nano, string(v.Value))
	return t, err == nil
}
