package host

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	tendEvery = time.Second // the least time between two messages of one entry, too
	inFlight  = 1 << 20     // bytes sent before the bus is waited for
)

// tend keeps the inventory until ctx ends: the words of the agent are kept up to date, what changes is published and written.
func (h *Host) tend(ctx context.Context) error {
	v := h.inventory
	t := time.NewTicker(tendEvery)
	defer t.Stop()
	defer v.save()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-v.wake:
		case now := <-t.C:
			v.expire(now)
			v.forget(h.gone)
			v.saveDue(now)
			v.complain(now)
		}
		h.describe()
		h.publish(ctx, v.due(time.Now()))
		v.tell()
	}
}

// complain logs what was refused since it did so last, once a minute at most.
func (v *inventory) complain(now time.Time) {
	v.mu.Lock()
	counts, n, unreadable := maps.Clone(v.refusals), uint64(0), v.unreadable
	for _, c := range counts {
		n += c
	}
	due := n > v.complained && now.Sub(v.complaint) >= time.Minute
	if due {
		v.complained, v.complaint = n, now
	}
	v.mu.Unlock()
	if due {
		v.log.Warn("plugin data refused", "since_start", counts, "unreadable", unreadable)
	}
}

// gone reports whether there is no such plugin any more.
func (h *Host) gone(plugin string) bool {
	return plugin != telemetry.AgentName && h.find(plugin) == nil
}

// due returns the entries that are to be published now, and takes them for sent.
func (v *inventory) due(now time.Time) (slots []slot) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for s := range v.unsent {
		if now.Sub(v.sent[s]) >= tendEvery {
			slots = append(slots, s)
			delete(v.unsent, s)
			v.sent[s] = now
		}
	}
	return slots
}

// tell has the agent beat when the list has changed and all that is new in it is under way.
func (v *inventory) tell() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.told != v.changes && len(v.unsent) == 0 {
		v.told = v.changes
		nudge(v.beats)
	}
}

// publish sends entries to whoever keeps the inventory of this host. What gets lost is asked for, by the digest in the heartbeats.
func (h *Host) publish(ctx context.Context, slots []slot) {
	sent := 0
	for _, s := range slots {
		n, err := h.send(s)
		if errors.Is(err, bus.ErrDisconnected) || errors.Is(err, bus.ErrClosed) {
			return
		}
		if err != nil {
			h.log.Warn("entry of the inventory not sent", "entry", s, "error", err)
			continue
		}
		if sent += n; sent < inFlight {
			continue
		}
		if sent = 0; h.flushHubs(ctx) != nil {
			return
		}
	}
}

// send sends one entry, and returns how many bytes that took.
func (h *Host) send(s slot) (n int, err error) {
	r := h.inventory.at(s)
	if r == nil { // it is gone by now
		return 0, nil
	}
	messages, err := h.messages(s, r)
	for _, body := range messages {
		conn, err := h.toHubs()
		if err != nil {
			return n, err
		}
		if err := conn.Tell(bus.HeartbeatSubject(h.o.Host, bus.Agent, bus.PLG), body); err != nil {
			return n, err
		}
		n += len(body)
	}
	return n, err
}

// messages returns r, the entry at s, as it travels.
func (h *Host) messages(s slot, r *record) ([][]byte, error) {
	d := telemetry.PluginData{
		Version: telemetry.ProtocolVersion, Host: h.o.Host, Inst: h.inst, Plugin: s.plugin, Type: s.typ, ProgramVersion: r.item.Version, Config: r.item.Config,
		Time: r.at.UnixNano(), DurationUS: r.took.Microseconds(), Digest: r.item.Digest, Error: r.fault, Truncated: r.truncated,
	}
	if r.data == nil {
		body, err := telemetry.EncodeControl(d, telemetry.MsgPack)
		return [][]byte{body}, err
	}
	one := d
	one.Chunk, one.Part, one.Parts = r.data, 1, 1
	d, err := telemetry.JoinPluginData([]telemetry.PluginData{one})
	if err != nil {
		return nil, err
	}
	parts, err := d.Split(telemetry.MsgPack)
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for _, p := range parts {
		body, err := telemetry.EncodeControl(p, telemetry.MsgPack)
		if err != nil && len(parts) == 1 { // short, but of more values than a message may have: a part is bytes, and is joined under other bounds
			body, err = telemetry.EncodeControl(one, telemetry.MsgPack)
		}
		if err != nil {
			return nil, err
		}
		list = append(list, body)
	}
	return list, nil
}

// stirs notes that the status of a plugin may be another one. It does not wait for anybody.
func (v *inventory) stirs(plugin string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.restless[plugin] = true
	nudge(v.wake)
}

// describe brings the words of the agent up to date: what it is itself, and the status of the plugins that have stirred.
func (h *Host) describe() {
	v := h.inventory
	v.mu.Lock()
	names := v.restless
	v.restless = map[string]bool{}
	v.mu.Unlock()
	h.say(slot{telemetry.AgentName, telemetry.DataManifest}, h.facts())
	h.say(slot{telemetry.AgentName, telemetry.DataInfo}, h.selfInfo())
	for name := range names {
		if e := h.find(name); e != nil {
			h.say(slot{name, telemetry.DataStatus}, e.facts())
		}
	}
}

// say makes facts of the agent's own the entry at s.
func (h *Host) say(s slot, facts telemetry.Facts) {
	now := time.Now()
	r, err := recordOf(telemetry.PluginData{Plugin: s.plugin, Type: s.typ, ProgramVersion: h.o.Version, Data: facts, Time: now.UnixNano()}, now)
	if err != nil {
		h.log.Error("entry of the inventory cannot be made", "entry", s, "error", err)
		return
	}
	r.told = false // the plugin knows nothing of it
	if was := h.inventory.at(s); was == nil || !was.same(r) {
		h.inventory.put(s, r)
	}
}

// at returns the entry at s, nil for none. It is not to be changed.
func (v *inventory) at(s slot) *record {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.records[s]
}

// facts are what the agent tells of itself.
func (h *Host) facts() telemetry.Facts {
	var f telemetry.Facts
	text, err := json.Marshal(h.manifest())
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err != nil {
		panic(fmt.Sprintf("host: manifest of the agent: %v", err))
	}
	return f
}

// facts are what the agent says of a plugin, without all that changes from one heartbeat to the next: that is in its counters.
func (e *entry) facts() telemetry.Facts {
	s := e.status()
	e.mu.Lock()
	i := e.front()
	owner, inputs := cmp.Or(i.plan.conf.Owner, e.host.inForce().Owner), i.plan.work.Inputs
	e.mu.Unlock()
	f := telemetry.Facts{"kind": s.Kind, "state": s.State, "since": s.Since, "restarts": s.Restarts, "attached": s.Attached, "cfg_rev": s.Config}
	if s.State == lost {
		s.Reason = "no heartbeat" // for how long is told by since
	}
	with(f, "program", s.Program)
	with(f, "version", s.Version)
	with(f, "reason", shorten(s.Reason, shortReason))
	with(f, "owner", owner)
	with(f, "schedule", s.Schedule)
	if s.PID != 0 {
		f["pid"] = s.PID
	}
	var list []any
	for _, in := range inputs {
		filters := make([]any, 0, len(in.Filters))
		for _, filter := range in.Filters {
			filters = append(filters, filter)
		}
		list = append(list, map[string]any{"durable": in.Durable, "stream": in.Stream, "filters": filters})
	}
	if list != nil {
		f["inputs"] = list
	}
	return f
}

// with gives f a text, if there is one.
func with(f telemetry.Facts, key, text string) {
	if text != "" {
		f[key] = text
	}
}
