package host

import (
	"context"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// beatInterval is how often plugins beat, unless Options say otherwise.
const beatInterval = 10 * time.Second

// beat is a heartbeat and the encoding it came in, which its ACK takes as well.
type beat struct {
	telemetry.Heartbeat
	enc telemetry.Encoding
}

// request is a control request and its encoding.
type request struct {
	telemetry.CtlRequest
	enc telemetry.Encoding
}

// listen answers heartbeats and the requests to the agent itself. Plugin data are for those who asked: the agent keeps none,
// so that no plugin can fill its memory with them.
func (h *Host) listen() error {
	name := bus.Name(h.o.Host)
	decodeBeat := func(body []byte) (beat, error) {
		b, enc, err := telemetry.DecodeHeartbeat(body)
		return beat{b, enc}, err
	}
	decodeRequest := func(body []byte) (request, error) {
		r, enc, err := telemetry.DecodeCtlRequest(body)
		return request{r, enc}, err
	}
	// An operator asks from an inbox of the operator; agents and hubs from theirs.
	asked := bus.Rules{Responders: []string{bus.User(h.o.Host, bus.Agent), "operator", "hub"}, Reply: true}
	_, err := bus.Handle(h.conn, bus.Pattern(bus.AreaBeat, name, bus.Any, bus.HTB), bus.Rules{Reply: true}, decodeBeat, h.answer)
	if err != nil {
		return err
	}
	_, err = bus.Handle(h.conn, bus.Pattern(bus.AreaCtl, name, bus.Agent, bus.Any), asked, decodeRequest, h.asked)
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
		State: telemetry.Accepted, NextMS: h.o.Beat.Milliseconds(), Digest: b.Digest,
	}
	e := h.find(s.Plugin)
	if e == nil {
		ack.State, ack.Reason = telemetry.Refused, "not_allowed: the config of this host has no plugin "+s.Plugin
	} else {
		e.beat(b.Heartbeat, arrived, &ack)
	}
	ack.T3 = time.Now().UnixNano()
	return telemetry.EncodeControl(ack, b.enc)
}

// beat notes a heartbeat and completes its ACK.
func (e *entry) beat(b telemetry.Heartbeat, arrived time.Time, ack *telemetry.Ack) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if reason := e.refusal(b, arrived); reason != "" {
		ack.State, ack.Reason = telemetry.Refused, reason
		if own := b.Inst == e.last.Inst || e.last.Inst == ""; own && e.refused != reason {
			e.refused = reason
			e.host.log.Error("plugin refused", "plugin", e.conf.Name, "reason", reason)
		}
		return
	}
	e.refused = ""
	if e.last.Inst == b.Inst && b.Seq > e.last.Seq+1 {
		e.lost += b.Seq - e.last.Seq - 1
	}
	if e.last.Inst != b.Inst {
		e.received, e.lost = 0, 0
	}
	e.received++
	e.note(b)
	e.last, e.arrived = b, arrived
	if b.Manifest != nil {
		e.manifest = b.Manifest
	}
	ack.Received, ack.Lost, ack.ConfigRev = e.received, e.lost, e.rev
	if b.ConfigRev != e.rev {
		w := e.work
		ack.Work = &w
	}
}

// refusal returns why b is not accepted, "" when it is.
func (e *entry) refusal(b telemetry.Heartbeat, arrived time.Time) string {
	other := e.last.Inst != "" && e.last.Inst != b.Inst && e.last.Bye == ""
	if other && arrived.Sub(e.arrived) < time.Duration(e.last.IntervalMS)*time.Millisecond*5/2 {
		return "name_taken: another process beats as " + e.conf.Name
	}
	m := b.Manifest
	switch {
	case m == nil:
		return ""
	case m.API != 1:
		return fmt.Sprintf("api_version: the plugin speaks version %d, this agent version 1", m.API)
	case m.Kind != e.conf.Kind:
		return fmt.Sprintf("config_invalid: %s is a %s, but stands among the %ss", e.program(), m.Kind, e.conf.Kind)
	}
	return ""
}

// note logs a change of state that an operator would note in a diary.
func (e *entry) note(b telemetry.Heartbeat) {
	if b.State == e.last.State {
		return
	}
	log := e.host.log.With("plugin", e.conf.Name)
	switch b.State {
	case "running":
		log.Info("plugin works", "program", e.program())
	case "failed":
		message := ""
		if b.Error != nil {
			message = b.Error.Message
		}
		log.Error("plugin has failed", "reason", message)
	case "idle":
		log.Info("plugin finds nothing to do here")
	}
}
