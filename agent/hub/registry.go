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
		err := h.kv.hosts.Load().Watch(ctx, ">", func(v bus.KV) error {
			r, ok := h.recordOf(v)
			switch {
			case !ok:
			case !restored && v.Deleted:
				first = slices.DeleteFunc(first, func(r telemetry.HostRecord) bool { return bus.Key(r.Host) == v.Key })
				h.forgotten(v.Key)
			case !restored:
				first = append(first, r)
				h.mu.Lock()
				h.remember(r, v.Revision)
				h.mu.Unlock()
			case v.Deleted:
				h.forgotten(v.Key)
			default:
				h.adopt(r, v.Revision)
			}
			return nil
		}, func() {
			if !restored {
				h.restore(ctx, first)
				first, restored = nil, true
				loaded()
			}
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

// recordOf decodes a value; one that is not ours is counted and left alone.
func (h *Hub) recordOf(v bus.KV) (telemetry.HostRecord, bool) {
	_, err := bus.SplitKey(v.Key)
	if err == nil && v.Deleted {
		return telemetry.HostRecord{}, true
	}
	r, _, decode := telemetry.DecodeHostRecord(v.Value)
	if err = errors.Join(err, decode); err != nil || bus.Key(r.Host) != v.Key {
		h.counts.add("records_unreadable", 1)
		h.log.Warn("registry holds a record that cannot be read", "key", v.Key, "error", err)
		return r, false
	}
	return r, true
}

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
func (h *Hub) remember(r telemetry.HostRecord, revision uint64) {
	x := h.at(r.Host)
	x.revision, x.change, x.event = revision, r.Change, r.Event
	x.owner, x.labels, x.version, x.os, x.arch = r.Owner, r.Labels, r.Agent, r.OS, r.Arch
	x.interval = time.Duration(r.IntervalMS) * time.Millisecond
	x.hold(r.Items)
}

// adopt takes over what another hub has recorded.
func (h *Hub) adopt(r telemetry.HostRecord, revision uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.at(r.Host)
	if revision <= x.revision || h.voice.mine && r.Term == h.voice.term { // our own
		return
	}
	if h.voice.mine && r.Term < h.voice.term { // of one who spoke before us, and did not know yet
		x.revision = revision
		return
	}
	x.unsure, x.kept, x.pending = false, false, nil
	h.remember(r, revision)
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
		x.revision = 0
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
