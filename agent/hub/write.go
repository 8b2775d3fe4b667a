package hub

import (
	"context"
	"errors"
	"fmt"
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
	record  telemetry.HostRecord
	event   *telemetry.Event
	forget  bool
	written bool // the record is, the event is to be published
	told    bool // somebody else has published the event
}

// add puts a change at the end; of too many the oldest is dropped and counted.
func (x *host) add(p pending, c *counts) {
	if len(x.pending) >= mostPending {
		x.pending = x.pending[1:]
		c.add("events_dropped", 1)
	}
	x.pending = append(x.pending, p)
}

// waits reports whether there is anything to write of x.
func (x *host) waits() bool {
	return len(x.pending) > 0 || x.dirty || x.repeat != nil || x.unsure || len(x.gone) > 0
}

// save has the record written again, because it says too little: at once, or when the voice is ours. The caller has the lock.
func (h *Hub) save(x *host) {
	x.dirty = true
	if h.voice.mine {
		h.todo.put(x)
	}
}

// write writes records and publishes events, until ctx ends.
func (h *Hub) write(ctx context.Context) error {
	defer context.AfterFunc(ctx, h.todo.close)()
	for x := h.todo.next(); x != nil; x = h.todo.next() {
		if err := h.writeNext(ctx, x); !errors.Is(err, errUnderWay) {
			h.wrote(x, err)
		}
	}
	return nil
}

// wrote has the next thing of x written: after an error a while later, so that a host whose writes fail holds up no other.
func (h *Hub) wrote(x *host, err error) {
	failed := err != nil && !errors.Is(err, errRaced)
	if failed {
		h.counts.add("record_errors", 1)
		h.log.Debug("record not written, tried again", "host", x.id, "error", err)
	}
	h.mu.Lock()
	x.queued = x.waits() && h.voice.mine
	more := x.queued
	if _, known := h.watch.Peer(x.id); !more && !known && h.fleet[x.id] == x {
		h.unlist(x.id) // forgotten, and that is told
	}
	h.mu.Unlock()
	switch {
	case more && failed:
		h.todo.later(x)
	case more:
		h.todo.again(x)
	}
}

// writeNext writes the next thing that is to be told of x. On an error it stays the next.
func (h *Hub) writeNext(ctx context.Context, x *host) error {
	if err := h.recallLate(ctx, x); err != nil {
		return err
	}
	p, ok := h.nextOf(x)
	if !ok {
		return nil
	}
	err := h.tell(ctx, x, p)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err != nil:
		x.dirty = x.dirty || p.event == nil && p.record.Host != ""
	case p.event != nil:
		x.done(p.event.ID)
	}
	return err
}

// nextOf returns what is to be told of x next, and reports whether it is for us to tell it. What is to be removed from the
// bucket goes before the record that says so: else nobody would know of it any more, if this hub died between them.
func (h *Hub) nextOf(x *host) (p pending, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.voice.mine { // whoever speaks now has seen the same
		x.repeat = nil
		if !x.unsure && !x.kept {
			x.pending = nil
		}
		return p, false
	}
	switch {
	case x.repeat != nil:
		p.event, p.written = x.repeat, true
	case len(x.pending) > 0:
		x.yield()
		p = x.pending[0]
		p.record.Term = h.voice.term // it may be of a term before this
	case len(x.gone) > 0:
	case x.dirty:
		p.record = h.record(x)
		x.dirty = false
	}
	return p, true
}

// tell writes the record and then publishes the event: who wins the record tells.
func (h *Hub) tell(ctx context.Context, x *host, p pending) error {
	if p.event == nil && p.record.Host == "" {
		return h.clear(ctx, x)
	}
	if err := h.keepRecord(ctx, x, p); err != nil {
		return err
	}
	if p.event == nil || p.told {
		return nil
	}
	return h.publish(ctx, x, *p.event)
}

// keepRecord has the registry say what p says.
func (h *Hub) keepRecord(ctx context.Context, x *host, p pending) (err error) {
	switch {
	case p.written:
		return nil
	case p.forget:
		err = h.erase(ctx, x)
	case p.record.Host != "":
		err = h.put(ctx, x, p.record)
	}
	if err != nil || p.event == nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	x.recorded(p.event.ID)
	return nil
}

// put writes a record by compare-and-swap.
func (h *Hub) put(ctx context.Context, x *host, r telemetry.HostRecord) error {
	body, err := telemetry.EncodeControl(r, telemetry.MsgPack)
	if err != nil {
		h.log.Error("record cannot be encoded", "host", r.Host, "error", err)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, h.o.Times.Write)
	defer cancel()
	h.mu.Lock()
	last, unclear := x.revision, x.unclear
	h.mu.Unlock()
	if unclear {
		return h.reconcile(ctx, x)
	}
	revision, err := h.kv.hosts.Load().Update(ctx, x.key(), body, last)
	switch {
	case errors.Is(err, bus.ErrConflict):
		return h.reconcile(ctx, x)
	case errors.Is(err, bus.ErrFull):
		h.counts.add("registry_full", 1)
		return nil // better told twice, after a restart, than not at all
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	x.unclear = err != nil
	x.revision = max(x.revision, revision)
	return err
}

// reconcile finds out what the registry says, and who has written it.
func (h *Hub) reconcile(ctx context.Context, x *host) error {
	v, err := h.kv.hosts.Load().Get(ctx, x.key())
	switch {
	case errors.Is(err, bus.ErrNoKey):
		v = bus.KV{}
	case err != nil:
		return err
	}
	r, _, err := telemetry.DecodeHostRecord(v.Value)
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil && r.Term > h.voice.term {
		h.loseNow(fmt.Sprintf("hub of term %d has written", r.Term))
		return errRaced
	}
	x.revision, x.unclear = v.Revision, false
	if err == nil {
		h.meet(x, r)
	}
	return errRaced
}

// meet takes note of a record that the registry has: one of this term is our own, whose answer was lost or is still to come; one of a
// term before was written by a hub that did not know yet that we speak. The caller has the lock.
func (h *Hub) meet(x *host, r telemetry.HostRecord) {
	switch {
	case r.Term == h.voice.term && r.Event != nil:
		x.recorded(r.Event.ID)
	case r.Term < h.voice.term:
		x.rival = &verdict{r.From, r.State, r.Change, r.Event, time.Now()}
		h.save(x)
	}
}

// verdict is what a hub that spoke before us has recorded after we have begun to speak.
type verdict struct {
	from, state string
	change      uint64
	event       *telemetry.Event
	met         time.Time
}

// yield leaves to a rival what it has found out as we have: its event stands for ours. The stream has it once; later than it
// knows that, the event was told.
func (x *host) yield() {
	p, v := &x.pending[0], x.rival
	if v == nil || p.written || p.record.Change < v.change {
		return
	}
	x.rival = nil
	if p.record.Change != v.change || p.record.State != v.state || p.record.From != v.from {
		return
	}
	if p.told = v.event == nil || time.Since(v.met) > repeatFor; p.told {
		p.record.Event = nil
		return
	}
	p.event, p.record.Event = v.event, v.event
}

// recorded notes that the registry has the record with this event, if it is that of the next change.
func (x *host) recorded(id string) {
	if len(x.pending) > 0 && x.pending[0].event.ID == id {
		x.pending[0].written = true
	}
}

// done notes that an event was told: no record needs to hold it any longer.
func (x *host) done(id string) {
	if x.repeat != nil && x.repeat.ID == id {
		x.repeat = nil
	}
	if len(x.pending) > 0 && x.pending[0].written && x.pending[0].event.ID == id {
		x.pending = x.pending[1:]
	}
	if x.event != nil && x.event.ID == id {
		x.event = nil
	}
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
		if c.Type == liveness.TypeMass {
			e.Message += h.where()
		}
		return e
	}
	if p, ok := h.watch.Peer(c.Host); ok {
		e.Name = p.Name
	}
	return e
}
