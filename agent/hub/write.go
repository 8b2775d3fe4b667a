package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	writers     = 16  // records written at a time
	mostPending = 256 // changes of one host that wait to be written
)

// pending is one change on its way: its record, and then its event.
type pending struct {
	record telemetry.HostRecord
	event  *telemetry.Event
	forget bool
}

// add puts a change at the end; of too many the oldest is dropped and counted.
func (x *host) add(p pending, c *counts) {
	if len(x.pending) >= mostPending {
		x.pending = x.pending[1:]
		c.add("events_dropped", 1)
	}
	x.pending = append(x.pending, p)
}

// todo is the queue of the writers: each host is in it once, so it is no longer than the fleet.
type todo struct {
	mu   sync.Mutex
	more *sync.Cond
	list []*host
	end  bool
}

func (t *todo) init() { t.more = sync.NewCond(&t.mu) }

// put has x written. The caller has the lock of the hub.
func (t *todo) put(x *host) {
	if x.queued {
		return
	}
	x.queued = true
	t.again(x)
}

func (t *todo) again(x *host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.list = append(t.list, x)
	t.more.Signal()
}

// next waits for a host; nil says that there will be none.
func (t *todo) next() *host {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.list) == 0 && !t.end {
		t.more.Wait()
	}
	if t.end {
		return nil
	}
	x := t.list[0]
	t.list[0] = nil
	t.list = t.list[1:]
	return x
}

func (t *todo) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.end = true
	t.more.Broadcast()
}

// waits reports whether there is anything to write of x.
func (x *host) waits() bool {
	return len(x.pending) > 0 || x.dirty || x.repeat != nil || len(x.gone) > 0
}

// save has the record written again, because it says too little. The caller has the lock.
func (h *Hub) save(x *host) {
	if h.voice.mine {
		x.dirty = true
		h.todo.put(x)
	}
}

// write writes records and publishes events, until ctx ends.
func (h *Hub) write(ctx context.Context) error {
	defer context.AfterFunc(ctx, h.todo.close)()
	for x := h.todo.next(); x != nil; x = h.todo.next() {
		if err := h.writeNext(ctx, x); err != nil && ctx.Err() == nil {
			h.counts.add("record_errors", 1)
			h.log.Debug("record not written, tried again", "host", x.id, "error", err)
			if !errors.Is(err, errRaced) {
				sleep(ctx, retryEvery)
			}
		}
		h.mu.Lock()
		x.queued = x.waits() && h.voice.mine
		more := x.queued
		if _, known := h.watch.Peer(x.id); !more && !known && h.fleet[x.id] == x {
			h.unlist(x.id) // forgotten, and that is told
		}
		h.mu.Unlock()
		if more {
			h.todo.again(x)
		}
	}
	return nil
}

// writeNext writes the next thing that is to be told of x. On an error it stays the next.
func (h *Hub) writeNext(ctx context.Context, x *host) error {
	h.mu.Lock()
	if !h.voice.mine { // whoever speaks now has seen the same
		x.dirty, x.repeat, x.gone = false, nil, nil
		if !x.unsure && !x.kept {
			x.pending = nil
		}
		h.mu.Unlock()
		return nil
	}
	var p pending
	repeat := x.repeat
	switch {
	case repeat != nil:
		p.event = repeat
	case len(x.pending) > 0:
		p = x.pending[0]
	case x.dirty:
		p.record = h.record(x)
		x.dirty = false
	}
	h.mu.Unlock()
	if err := h.tell(ctx, x, p); err != nil {
		h.mu.Lock()
		x.dirty = x.dirty || p.event == nil
		h.mu.Unlock()
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if repeat != nil {
		x.repeat = nil
	} else if len(x.pending) > 0 && x.pending[0].event == p.event {
		x.pending = x.pending[1:]
	}
	return nil
}

// tell writes the record and then publishes the event: who wins the record tells.
func (h *Hub) tell(ctx context.Context, x *host, p pending) error {
	switch {
	case p.forget:
		if err := h.erase(ctx, x); err != nil {
			return err
		}
	case p.event == nil && p.record.Host == "":
		return h.clear(ctx, x)
	case p.record.Host != "":
		if mine, err := h.put(ctx, x, p.record); err != nil || !mine {
			return err
		}
	}
	if p.event == nil {
		return nil
	}
	return h.publish(ctx, *p.event)
}

// put writes a record by compare-and-swap, and reports whether it is for us to tell what it says.
func (h *Hub) put(ctx context.Context, x *host, r telemetry.HostRecord) (bool, error) {
	body, err := telemetry.EncodeControl(r, telemetry.MsgPack)
	if err != nil {
		h.log.Error("record cannot be encoded", "host", r.Host, "error", err)
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	h.mu.Lock()
	last := x.revision
	h.mu.Unlock()
	revision, err := h.kv.hosts.Load().Update(ctx, x.key(), body, last)
	switch {
	case errors.Is(err, bus.ErrConflict):
		return h.reconcile(ctx, x, r)
	case errors.Is(err, bus.ErrFull):
		h.counts.add("registry_full", 1)
		return true, nil // better told twice, after a restart, than not at all
	case err != nil:
		return false, err
	}
	h.mu.Lock()
	x.revision = revision
	h.mu.Unlock()
	return true, nil
}

// reconcile finds out who was first. One who speaks since has told what there is to tell; one who spoke before us has not known
// that we do.
func (h *Hub) reconcile(ctx context.Context, x *host, r telemetry.HostRecord) (bool, error) {
	v, err := h.kv.hosts.Load().Get(ctx, x.key())
	switch {
	case errors.Is(err, bus.ErrNoKey):
		v = bus.KV{}
	case err != nil:
		return false, err
	}
	is, _, err := telemetry.DecodeHostRecord(v.Value)
	if err == nil && is.Term > r.Term {
		h.lose(fmt.Sprintf("hub of term %d has written", is.Term))
		return false, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	x.revision = v.Revision
	if err == nil && is.Term < r.Term && is.State == r.State && is.From == r.From && is.Change == r.Change {
		x.repeat = is.Event // found out by the one before us at the same moment, who may not have come to tell it
		return false, nil
	}
	return false, errRaced
}

// errRaced has a record written again, over what somebody has written meanwhile.
var errRaced = errors.New("record was changed meanwhile")

// erase removes a host from the registry, and its inventory.
func (h *Hub) erase(ctx context.Context, x *host) error {
	asking, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	if err := h.kv.hosts.Load().Delete(asking, x.key(), 0); err != nil && !errors.Is(err, bus.ErrNoKey) {
		return err
	}
	h.mu.Lock()
	x.revision = 0
	h.mu.Unlock()
	return h.clear(ctx, x)
}

// record returns what is to be remembered of x. The caller has the lock.
func (h *Hub) record(x *host) telemetry.HostRecord {
	r, ok := h.watch.Record(x.id)
	if !ok {
		return telemetry.HostRecord{}
	}
	r.Version, r.Term, r.Change, r.Event = telemetry.ProtocolVersion, h.voice.term, x.change, x.event
	r.Owner, r.Labels, r.Agent, r.OS, r.Arch, r.Items = x.owner, x.labels, x.version, x.os, x.arch, x.items()
	return r
}

// fleetName stands for the host in events that are about several.
const fleetName = "fleet"

// eventOf makes an event of a change. Its id goes into the record with it and so is the same whoever publishes it: the stream
// has it once.
func (h *Hub) eventOf(c liveness.Change, x *host) *telemetry.Event {
	h.voice.told++
	e := &telemetry.Event{
		ID: fmt.Sprintf("hub/%d/%d", h.voice.term, h.voice.told), Time: c.At.Wall.UnixNano(), Host: c.Host, Plugin: bus.Agent,
		Type: c.Type, Message: c.Message, Owner: x.owner, Site: x.site(), From: c.From, To: c.To, Reason: c.Reason,
		Incident: c.Incident, LastSeenMS: c.LastSeen.Milliseconds(), Missed: c.Missed, Count: c.Count, Term: h.voice.term, Silenced: c.Silenced,
	}
	if c.Host == "" {
		e.Host = fleetName
		if c.Type == "mass_overdue" {
			e.Message += h.where()
		}
		return e
	}
	if p, ok := h.watch.Peer(c.Host); ok {
		e.Name = p.Name
	}
	return e
}

// publish puts an event on EVENTS, and returns when the stream has it.
func (h *Hub) publish(ctx context.Context, e telemetry.Event) error {
	var b telemetry.Batch
	e.AppendTo(&b)
	m := bus.Message{Subject: bus.EventSubject(e.Host, e.Plugin, e.Type), ID: e.ID, ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
	stored := make(chan error, 1)
	if err := h.out.Send(ctx, m, func(err error) { stored <- err }); err != nil {
		return err
	}
	look := time.NewTicker(writeTime)
	defer look.Stop()
	for {
		select {
		case err := <-stored:
			return err
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			h.provideEvents(ctx)
		}
	}
}

// provideEvents makes the streams again when that of events is gone: an event waits until it is there.
func (h *Hub) provideEvents(ctx context.Context) {
	if h.out.State() != bus.StateNoStream || !h.providing.TryLock() {
		return
	}
	defer h.providing.Unlock()
	if err := h.tryProvide(ctx); err != nil {
		h.log.Warn("streams cannot be made again", "error", err)
	}
}

// repeatable reports whether an event is young enough to be published again without being stored twice.
func repeatable(e *telemetry.Event) bool {
	return e != nil && e.ID != "" && time.Since(time.Unix(0, e.Time)) < repeatFor
}
