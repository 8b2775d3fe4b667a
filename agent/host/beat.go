package host

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// beatInterval is how often plugins beat, unless Options say otherwise.
const beatInterval = 10 * time.Second

// maxBeat is the longest heartbeat: a hello with its manifest.
const maxBeat = 256 << 10

// beat is a heartbeat and the encoding it came in, which its ACK takes as well.
type beat struct {
	telemetry.Heartbeat
	enc telemetry.Encoding
}

// request is a control request and its encoding.
type request struct {
	telemetry.CtlRequest
	enc  telemetry.Encoding
	afar bool // it came over a bus that others have too
}

// listen answers heartbeats and the requests to the agent itself, and hears what plugins tell of themselves.
func (h *Host) listen() error {
	name := bus.Name(h.o.Host)
	decodeBeat := func(body []byte) (beat, error) {
		b, enc, err := telemetry.DecodeHeartbeat(body)
		return beat{b, enc}, err
	}
	beats := bus.Rules{Reply: true, MaxBytes: maxBeat}
	_, err := bus.Handle(h.conn, bus.Pattern(bus.AreaBeat, name, bus.Any, bus.HTB), beats, decodeBeat, h.answer)
	if err != nil {
		return err
	}
	if err := h.listenToData(); err != nil {
		return err
	}
	h.answerHubs()
	return h.listenTo(h.conn, h.o.InProcess == nil)
}

// listenTo answers requests to the agent itself.
func (h *Host) listenTo(conn *bus.Conn, afar bool) error {
	decode := func(body []byte) (request, error) {
		r, enc, err := telemetry.DecodeCtlRequest(body)
		return request{CtlRequest: r, enc: enc, afar: afar}, err
	}
	// An operator asks from an inbox of the operator; agents and hubs from theirs.
	rules := bus.Rules{Responders: []string{bus.User(h.o.Host, bus.Agent), "operator", "hub"}, Reply: true, Parallel: askers}
	_, err := bus.Handle(conn, bus.Pattern(bus.AreaCtl, bus.Name(h.o.Host), bus.Agent, bus.Any), rules, decode, h.asked)
	return err
}

// answer takes a heartbeat and says what the plugin should be.
func (h *Host) answer(_ context.Context, s bus.Subject, b beat) ([]byte, error) {
	arrived := time.Now()
	if s.Plugin == bus.Agent {
		return nil, nil
	}
	ack := telemetry.Ack{
		Version: telemetry.ProtocolVersion, Server: h.inst, Seq: b.Seq, T1: b.T1, T2: arrived.UnixNano(),
		State: telemetry.Accepted, NextMS: h.o.Beat.Milliseconds(), Digest: h.inventory.held(s.Plugin),
	}
	switch e := h.find(s.Plugin); {
	case e == nil:
		ack.State, ack.Reason = telemetry.Refused, "not_allowed: the config of this host has no plugin "+s.Plugin
	case b.Host != h.o.Host || b.Plugin != s.Plugin:
		ack.State, ack.Reason = telemetry.Refused, fmt.Sprintf("not_allowed: the heartbeat of %s calls itself %.80q of %.80q", s.Plugin, b.Plugin, b.Host)
	case !e.admits(b.Inst, arrived):
		return nil, nil // counted
	default:
		e.beat(b.Heartbeat, arrived, &ack)
		e.speaks(b.Inst, b.enc)
		h.compare(e, b.Heartbeat, arrived)
	}
	ack.T3 = time.Now().UnixNano()
	return telemetry.EncodeControl(ack, b.enc)
}

// beat notes a heartbeat and completes its ACK.
func (e *entry) beat(b telemetry.Heartbeat, arrived time.Time, ack *telemetry.Ack) {
	e.mu.Lock()
	i, reason := e.whose(b, arrived)
	if reason == "" {
		reason = i.refusal(b)
		if reason != i.refused {
			i.refused = reason
			e.refusal(reason)
		}
	}
	if reason != "" {
		ack.State, ack.Reason = telemetry.Refused, reason
	} else {
		i.heard(b, arrived, ack)
	}
	e.mu.Unlock()
	e.changed()
}

// speaks notes the encoding of the process that calls itself inst: it is asked in the same.
func (e *entry) speaks(inst string, enc telemetry.Encoding) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if i := e.known(inst); i != nil {
		i.enc = enc
	}
}

// whose returns the instance that b is of, or why it is nobody's. The caller has the lock.
func (e *entry) whose(b telemetry.Heartbeat, arrived time.Time) (i *instance, reason string) {
	if i := e.known(b.Inst); i != nil {
		return i, ""
	}
	if b.Inst == e.now.former {
		return nil, "not_allowed: this process of " + e.name + " has ended"
	}
	for _, i := range []*instance{e.next, e.now} { // the younger one first: it is the one that is not known yet
		if i != nil && i.expects(arrived) {
			return i, ""
		}
	}
	if e.now.stopped != "" {
		return nil, "not_allowed: " + e.name + " is not to run here: " + e.now.stopped
	}
	return nil, "name_taken: another process beats as " + e.name
}

// known returns the instance whose process calls itself inst, nil for none. The caller has the lock.
func (e *entry) known(inst string) *instance {
	for _, i := range []*instance{e.now, e.next, e.leaving} {
		if i != nil && inst != "" && (inst == i.last.Inst || inst == i.id) {
			return i
		}
	}
	return nil
}

// expects reports whether somebody unknown may be this plugin: one that has not been heard, has left, or has been silent.
func (i *instance) expects(now time.Time) bool {
	if i.stopped != "" {
		return false
	}
	return i.last.Inst == "" || i.last.Bye != "" || now.Sub(i.arrived) >= i.patience()
}

// patience is after how long a beat is late.
func (i *instance) patience() time.Duration {
	return time.Duration(i.last.IntervalMS) * time.Millisecond * 5 / 2
}

// refusal returns why b is not accepted, "" when it is.
func (i *instance) refusal(b telemetry.Heartbeat) string {
	m := b.Manifest
	leaves := b.State == draining || b.Bye != ""
	switch {
	case i.attached() && i.stopped != "" && !leaves: // it has not heeded
		return "not_allowed: " + i.stopped
	case m == nil:
		return i.refused // what it said of itself holds still
	case m.API != 1:
		return fmt.Sprintf("api_version: the plugin speaks version %d, this agent version 1", m.API)
	case m.Kind != i.plan.conf.Kind:
		return fmt.Sprintf("config_invalid: %s is a %s, but stands among the %ss", i.plan.program(), m.Kind, i.plan.conf.Kind)
	}
	if known := i.plan.conf.Program != ""; known {
		return "" // its settings were checked with the config
	}
	if err := fits(m.Schema, i.plan.work.Config); err != nil {
		return "config_invalid: " + err.Error()
	}
	return ""
}

// heard takes an accepted heartbeat. The caller has the lock of the entry.
func (i *instance) heard(b telemetry.Heartbeat, arrived time.Time, ack *telemetry.Ack) {
	if i.last.Inst != b.Inst {
		i.track.Restart()
	}
	order := i.track.Take(b.Seq, 0) // when is told by i.arrived
	ack.Received, ack.Lost, ack.Gen, ack.ConfigRev = i.track.Received, i.track.Lost, max(b.Gen, i.last.Gen), i.plan.rev
	if i.hold {
		ack.Flags = []string{telemetry.FlagHold}
	}
	if order != liveness.Fresh { // it says what was, and its sender waits for no answer any more
		i.suspect(b, arrived)
		return
	}
	if i.last.Inst != b.Inst && b.Manifest == nil && i.manifest == nil { // it knew the agent before us
		i.entry.host.children.Go(func() { i.greet(i.entry.host.life) })
	}
	i.ticks(b, arrived)
	i.last, i.arrived = b, arrived
	if b.Manifest != nil {
		i.manifest = b.Manifest
	}
	if b.ConfigRev != i.plan.rev {
		w := i.plan.work
		ack.Work = &w
	}
}

// A double is another process that beats by the id of one, as with a copy of its environment.
type double struct {
	heard time.Time // first
	told  bool
}

// suspect tells once of a double: it counts back in what was sent later, while the process that is known is heard as before. Nothing
// of what it says counts, so it gets no work; it is not refused either, since nobody knows which of the two would obey. The caller has
// the lock.
func (i *instance) suspect(b telemetry.Heartbeat, arrived time.Time) {
	d := &i.double
	switch {
	case d.told || b.T1 <= i.last.T1:
	case d.heard.IsZero():
		d.heard = arrived
	case i.arrived.After(d.heard):
		d.told = true
		i.entry.say(slog.LevelWarn, "another process beats by the id of this one, and gets no work",
			"remedy", "start it without PACEWIRE_INST, by what pacewire plugin env prints, or end it")
	}
}

// refusal tells that the plugin is refused. The caller has the lock.
func (e *entry) refusal(reason string) {
	if reason != "" {
		e.say(slog.LevelError, "plugin refused", "reason", reason)
	}
}

// note tells of a new state what an operator would note in a diary. The caller has the lock.
func (e *entry) note(state, reason string) {
	switch state {
	case running:
		e.say(slog.LevelInfo, "plugin works", "program", e.now.plan.program())
	case failed:
		e.say(slog.LevelError, "plugin has failed", "reason", reason)
	case idle:
		e.say(slog.LevelInfo, "plugin finds nothing to do here")
	case lost:
		e.say(slog.LevelWarn, "plugin is lost", "reason", reason)
	default:
		text := state
		if reason != "" {
			text += ": " + reason
		}
		e.jot(slog.LevelDebug, text)
	}
}

// say logs something about the plugin, and keeps it among its lines.
func (e *entry) say(level slog.Level, what string, args ...any) {
	e.host.log.Log(context.Background(), level, what, append([]any{"plugin", e.name}, args...)...) //nolint:sloglint // each caller's is constant
	text := what
	if len(args) > 1 {
		text = fmt.Sprintf("%s: %v", what, args[1])
	}
	e.jot(level, text)
}
