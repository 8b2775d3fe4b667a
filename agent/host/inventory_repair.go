package host

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A repair is what is known of a plugin whose inventory is not held as it lists it.
type repair struct {
	digest   telemetry.Digest          // of the last heartbeat
	items    []telemetry.InventoryItem // as it listed them with it; nil: it did not
	under    bool                      // somebody asks
	asked    telemetry.Digest          // what was to be got last
	tries    int                       // that have not helped
	earliest time.Time                 // of the next
}

const (
	settleTime = 200 * time.Millisecond // for what a plugin sends after the heartbeat that tells of it
	repairGap  = time.Second            // between two tries for different inventories
	againFirst = 10 * time.Second       // after a try that has not helped; twice as long after the next
	againMost  = 10 * time.Minute
)

// compare sees whether what is held of a plugin is what it says in b that it has, and has the rest asked for.
func (h *Host) compare(e *entry, b telemetry.Heartbeat, now time.Time) {
	e.mu.Lock()
	i := e.front()
	present := b.Inst == i.last.Inst && b.Seq == i.last.Seq && i.refused == "" // else it is late, or of another process
	e.mu.Unlock()
	if !present || b.Bye != "" || b.Digest.IsZero() { // without a digest it has nothing to tell
		return
	}
	if h.inventory.differs(e.name, b, now) {
		h.children.Go(func() { h.repair(h.life, e) })
	}
}

// differs notes what a heartbeat tells of the plugin's inventory, and reports whether somebody is to ask for it now.
func (v *inventory) differs(plugin string, b telemetry.Heartbeat, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if telemetry.InventoryDigest(v.owned(plugin)) == b.Digest {
		delete(v.repairs, plugin)
		v.complete(plugin)
		return false
	}
	r := v.repairs[plugin]
	if r == nil {
		r = &repair{}
		v.repairs[plugin] = r
	}
	if b.Digest != r.digest || len(b.Inventory) > 0 {
		r.digest, r.items = b.Digest, b.Inventory
	}
	if r.asked != b.Digest { // it is about something else than the tries before
		r.tries, r.earliest = 0, minTime(r.earliest, now.Add(repairGap))
	}
	if r.under || now.Before(r.earliest) {
		return false
	}
	r.under, r.asked = true, b.Digest
	return true
}

// complete forgets why entries of a plugin could not be got that are there now. The caller has the lock.
func (v *inventory) complete(plugin string) {
	for _, typ := range pluginTypes {
		s := slot{plugin, typ}
		r := v.records[s]
		if r == nil || !r.missed {
			continue
		}
		if !r.told { // it does not exist
			v.dropped(func(o slot) bool { return o == s })
			continue
		}
		whole := *r
		whole.fault, whole.missed = nil, false
		v.set(s, &whole)
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// repair asks a plugin for what is not held of it, once.
func (h *Host) repair(ctx context.Context, e *entry) {
	v := h.inventory
	defer func() { v.tried(e.name, time.Now()) }()
	select {
	case <-ctx.Done():
		return
	case <-time.After(settleTime):
	}
	want, listed := v.lacks(e.name)
	if !listed {
		list, err := e.resend(ctx, nil)
		if err != nil {
			return // it is asked again
		}
		want = v.reconcile(e.name, list)
	}
	if len(want) == 0 {
		return
	}
	_, err := e.resend(ctx, want)
	if _, refused := errors.AsType[*refusal](err); refused {
		h.repairEach(ctx, e)
		return
	}
	v.failed(want, err)
}

// repairEach asks for one entry after the other: one that cannot be sent is not to keep the others, and the list tells which is
// too large.
func (h *Host) repairEach(ctx context.Context, e *entry) {
	list, err := e.resend(ctx, nil)
	if err != nil {
		return
	}
	for _, name := range h.inventory.reconcile(e.name, list) {
		_, err := e.resend(ctx, []string{name})
		h.inventory.failed([]string{name}, err)
	}
}

// tried ends a try. The next heartbeat tells whether it has helped.
func (v *inventory) tried(plugin string, now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.repairs[plugin]
	if r == nil {
		return
	}
	r.under = false
	r.earliest = now.Add(min(againFirst<<min(r.tries, 10), againMost))
	r.tries++
}

// lacks returns what is to be asked for, as plugin/type each; listed is false when the plugin has to be asked for its list.
func (v *inventory) lacks(plugin string) (want []string, listed bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.repairs[plugin]
	if r == nil { // it has come meanwhile, and a heartbeat has said so
		return nil, true
	}
	if telemetry.InventoryDigest(v.owned(plugin)) == r.digest {
		return nil, true
	}
	if r.items == nil {
		return nil, false
	}
	return v.settle(plugin, r.items), true
}

// reconcile is settle by the answer to a refresh. Facts that are too large to be sent are an entry that says so.
func (v *inventory) reconcile(plugin string, list []telemetry.RefreshItem) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	items := make([]telemetry.InventoryItem, 0, len(list))
	for _, it := range list {
		items = append(items, it.InventoryItem)
		s := slot{it.Plugin, it.Type}
		if it.Plugin == plugin && slices.Contains(pluginTypes, it.Type) && it.Size > telemetry.MaxPluginData {
			v.refusals["too_large"]++
			now := time.Now()
			v.set(s, lacking(s, &record{item: it.InventoryItem, own: it.Digest, at: now, heard: now}, true, "%v", errTooLarge(it.Size)))
		}
	}
	return v.settle(plugin, items)
}

// settle removes the entries that a plugin does not list any more, and returns those of its list that are not held, each as
// plugin/type. What it lists of others is not its to say. The caller has the lock.
func (v *inventory) settle(plugin string, items []telemetry.InventoryItem) []string {
	owned := v.owned(plugin)
	listed := map[slot]bool{{plugin, telemetry.DataStatus}: true}
	var want []string
	for _, it := range items {
		s := slot{it.Plugin, it.Type}
		if it.Plugin != plugin || !slices.Contains(pluginTypes, it.Type) || listed[s] {
			v.refusals["foreign"]++
			continue
		}
		listed[s] = true
		if !slices.Contains(owned, it) {
			want = append(want, s.String())
		}
	}
	v.dropped(func(s slot) bool { return s.plugin == plugin && !listed[s] })
	return want
}

// failed notes that entries could not be got, if err says so.
func (v *inventory) failed(want []string, err error) {
	if err == nil {
		return
	}
	for _, name := range want {
		v.fail(slotOf(name), faultOfAsking(err), true)
	}
}

// faultOfAsking is why a plugin has not given what it was asked for.
func faultOfAsking(err error) *telemetry.Fault {
	f := faultOf(err)
	switch {
	case errors.Is(err, bus.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		f.Code, f.Message = telemetry.FaultTimeout, "the plugin does not answer"
	case errors.Is(err, bus.ErrNoResponders):
		f.Message = "the plugin is not connected to the bus"
	}
	f.Message = shorten(f.Message, shortReason)
	return f
}

// resend asks the plugin for the data that want names, and returns the list of what it has.
func (e *entry) resend(ctx context.Context, want []string) ([]telemetry.RefreshItem, error) {
	return e.askRefresh(ctx, telemetry.CtlRequest{Want: want, Mode: telemetry.ModeCached}, askTime)
}

// askRefresh asks the process that others see for a refresh.
func (e *entry) askRefresh(ctx context.Context, r telemetry.CtlRequest, limit time.Duration) ([]telemetry.RefreshItem, error) {
	e.mu.Lock()
	i := e.front()
	e.mu.Unlock()
	reply, err := i.request(ctx, "refresh", r, limit)
	if err != nil {
		return nil, err
	}
	if !reply.OK {
		return nil, refuse(codeOf(reply.Error), "%s", message(reply.Error))
	}
	list, _, err := telemetry.DecodeRefreshManifest(reply.Payload)
	return list.Items, err
}

func codeOf(f *telemetry.Fault) string {
	if f == nil {
		return telemetry.FaultInternal
	}
	return f.Code
}
