package host

import (
	"context"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// maxData is the longest message of plugin data.
const maxData = 256 << 10

// An allowance is what a plugin may still send. It is looked at before a message is decoded: whoever floods costs no more than
// the look, and keeps nobody else from being heard.
type allowance struct {
	messages, bytes float64
	at              time.Time
}

const (
	burstMessages, burstBytes = 512, 24 << 20 // the largest entry twice, in any encoding
	messageRate, byteRate     = 32, 2 << 20   // a second
)

// spend reports whether a message of so many bytes may come at now.
func (a *allowance) spend(size int, now time.Time) bool {
	past := now.Sub(a.at).Seconds()
	if a.at.IsZero() {
		a.messages, a.bytes, past = burstMessages, burstBytes, 0
	}
	a.at = now
	a.messages = min(a.messages+past*messageRate, burstMessages)
	a.bytes = min(a.bytes+past*byteRate, burstBytes)
	if a.messages < 1 || a.bytes < float64(size) {
		return false
	}
	a.messages--
	a.bytes -= float64(size)
	return true
}

// listenToData hears what the plugins tell of themselves.
func (h *Host) listenToData() error {
	rules := bus.Rules{MaxBytes: maxData, Pending: 4096, PendingBytes: 24 << 20}
	raw := func(body []byte) ([]byte, error) { return body, nil } // it is decoded when it is known to be wanted
	_, err := bus.Handle(h.conn, bus.Pattern(bus.AreaBeat, bus.Name(h.o.Host), bus.Any, bus.PLG), rules, raw,
		func(_ context.Context, s bus.Subject, body []byte) ([]byte, error) {
			h.hear(s, body, time.Now())
			return nil, nil
		})
	return err
}

// hear takes one message of plugin data, or counts why it does not.
func (h *Host) hear(s bus.Subject, body []byte, now time.Time) {
	v := h.inventory
	if s.Plugin == bus.Agent {
		return
	}
	e := h.find(s.Plugin)
	if e == nil {
		v.refuse("unknown")
		return
	}
	if !v.affords(e.name, len(body), now) {
		return
	}
	d, _, err := telemetry.DecodePluginData(body)
	if err != nil {
		v.unread(e.name, err)
		return
	}
	if reason := e.objects(s, d); reason != "" {
		v.refuse(reason)
		return
	}
	v.take(d, now)
}

// objects returns why d is not taken, "" when it is: a plugin speaks for itself alone, by its present process.
func (e *entry) objects(s bus.Subject, d telemetry.PluginData) string {
	if d.Host != s.Host || d.Plugin != s.Plugin {
		return "foreign"
	}
	if d.Type != telemetry.DataInfo && d.Type != telemetry.DataManifest {
		return "type"
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := e.front(); d.Inst != i.last.Inst && (d.Inst == "" || d.Inst != i.id) {
		return "instance"
	}
	return ""
}

// affords counts a message, and reports whether the plugin may send it.
func (v *inventory) affords(plugin string, size int, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	a := v.allowed[plugin]
	if a == nil {
		a = &allowance{}
		v.allowed[plugin] = a
	}
	ok := a.spend(size, now)
	if !ok {
		v.refusals["flood"]++
	}
	return ok
}

func (v *inventory) refuse(reason string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refusals[reason]++
}

// unread counts a message that cannot be read. It changes no entry: nobody knows which process has sent it, an old one perhaps.
func (v *inventory) unread(plugin string, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.refusals["undecodable"]++
	v.unreadable = plugin + ": " + shorten(err.Error(), shortReason)
}

// invalid is the fault of an entry that is not taken.
func invalid(format string, args ...any) *telemetry.Fault {
	return &telemetry.Fault{Code: telemetry.FaultInvalid, Message: shorten(fmt.Sprintf(format, args...), shortReason)}
}

// lacking returns r without what it should have told, and why.
func lacking(s slot, r *record, told bool, format string, args ...any) *record {
	item := r.item
	item.Plugin, item.Type, item.Digest = s.plugin, s.typ, telemetry.Digest{}
	return &record{item: item, told: told, own: r.own, at: r.at, heard: r.heard, fault: invalid(format, args...)}
}

// take takes d, or the part of it that d is.
func (v *inventory) take(d telemetry.PluginData, now time.Time) {
	if d.Parts > 0 {
		parts := v.join(d, now)
		if parts == nil {
			return
		}
		whole, err := telemetry.JoinPluginData(parts)
		if err != nil {
			v.refuse("parts")
			v.fail(slot{d.Plugin, d.Type}, invalid("its parts do not fit together: %v", err), true)
			return
		}
		d = whole
	}
	s := slot{d.Plugin, d.Type}
	r, err := recordOf(d, now)
	if err != nil {
		v.refuse("too_large")
		r = lacking(s, r, true, "%v", err)
	}
	v.put(s, r)
}

// recordOf makes an entry of d. With an error it is one without the facts.
func recordOf(d telemetry.PluginData, now time.Time) (*record, error) {
	r := &record{
		item: telemetry.InventoryItem{Plugin: d.Plugin, Type: d.Type, Version: d.ProgramVersion, Config: d.Config},
		told: true, own: d.Digest, at: time.Unix(0, d.Time), took: time.Duration(d.DurationUS) * time.Microsecond, heard: now,
		fault: d.Error, truncated: d.Truncated,
	}
	if d.Data == nil {
		return r, nil
	}
	if d.Time == 0 {
		r.at = now
	}
	data, err := d.Data.Encode(telemetry.MsgPack)
	if err != nil {
		return r, err
	}
	if len(data) > telemetry.MaxPluginData {
		return r, errTooLarge(int64(len(data)))
	}
	r.data, r.item.Digest = data, telemetry.DigestOf(data)
	if r.own.IsZero() { // a sender that makes none lists none
		r.own = r.item.Digest
	}
	return r, nil
}

// errTooLarge is why facts of size bytes are not kept.
func errTooLarge(size int64) error {
	return fmt.Errorf("its facts have %d bytes, at most %d are taken: let it collect less", size, telemetry.MaxPluginData)
}

// A joint is an entry of which not all parts have come.
type joint struct {
	digest telemetry.Digest
	parts  []telemetry.PluginData
	lack   int // parts that are missing
	bytes  int
	begun  time.Time
}

// join keeps a part, and returns all once they are there. A part of other data begins anew.
func (v *inventory) join(d telemetry.PluginData, now time.Time) []telemetry.PluginData {
	v.mu.Lock()
	defer v.mu.Unlock()
	s := slot{d.Plugin, d.Type}
	j := v.joint(s, d, now)
	n := len(d.Chunk)
	switch {
	case j.parts[d.Part-1].Parts > 0: // it came before
		return nil
	case j.bytes+n > telemetry.MaxPluginData:
		v.refusals["too_large"]++
		v.unjoin(s)
		r := record{item: telemetry.InventoryItem{Version: d.ProgramVersion, Config: d.Config}, own: d.Digest, at: now, heard: now}
		v.set(s, lacking(s, &r, true, "%v", errTooLarge(int64(j.bytes+n))))
		return nil
	case v.joining+n > mostJoining:
		v.refusals["no_room"]++
		v.unjoin(s)
		return nil
	}
	j.parts[d.Part-1] = d
	j.lack--
	j.bytes += n
	v.joining += n
	if j.lack > 0 {
		return nil
	}
	v.unjoin(s)
	return j.parts
}

// joint returns what d is a part of. The caller has the lock.
func (v *inventory) joint(s slot, d telemetry.PluginData, now time.Time) *joint {
	j := v.joins[s]
	if j != nil && (j.digest != d.Digest || len(j.parts) != int(d.Parts)) {
		v.refusals["incomplete"]++
		v.unjoin(s)
		j = nil
	}
	if j == nil {
		j = &joint{digest: d.Digest, parts: make([]telemetry.PluginData, d.Parts), lack: int(d.Parts), begun: now}
		v.joins[s] = j
	}
	return j
}

// unjoin forgets the parts at s. The caller has the lock.
func (v *inventory) unjoin(s slot) {
	v.joining -= v.joins[s].bytes
	delete(v.joins, s)
}

// expire forgets parts whose others do not come.
func (v *inventory) expire(now time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for s, j := range v.joins {
		if now.Sub(j.begun) > joinTime {
			v.refusals["incomplete"]++
			v.unjoin(s)
		}
	}
}
