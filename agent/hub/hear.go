package hub

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// beat is a heartbeat and the encoding it came in, which its ACK takes as well.
type beat struct {
	telemetry.Heartbeat
	enc telemetry.Encoding
}

func decodeBeat(body []byte) (beat, error) {
	b, enc, err := telemetry.DecodeHeartbeat(body)
	return beat{b, enc}, err
}

// hear takes the heartbeat of an agent and says what the hub knows and wants.
func (h *Hub) hear(_ context.Context, s bus.Subject, b beat) ([]byte, error) {
	now := h.now()
	ack := telemetry.Ack{Version: telemetry.ProtocolVersion, Server: h.o.ID, Seq: b.Seq, T1: b.T1, T2: now.Wall.UnixNano(), State: telemetry.Accepted}
	if reason := claims(s, b.Host, b.Plugin); reason != "" {
		h.counts.add("refused_identity", 1)
		h.mu.Lock()
		ack.State, ack.Reason, ack.Term = telemetry.Refused, "not_allowed: "+reason, h.voice.term
		answers := h.voice.mine
		h.mu.Unlock()
		return h.reply(ack, b.enc, answers)
	}
	h.lapse(now.Wall) // one that was frozen has beats to hear before it looks at itself
	h.mu.Lock()
	answers := h.take(b.Heartbeat, now, &ack)
	h.mu.Unlock()
	return h.reply(ack, b.enc, answers)
}

// claims says whose a message claims to be and is not, "" when it is its sender's: the bus lets a user publish under his own
// name only, so the subject is the proof.
func claims(s bus.Subject, host, plugin string) string {
	if s.Plugin != plugin && plugin != "" {
		return fmt.Sprintf("the beat is of plugin %.80q, and came as %q", plugin, s.Plugin)
	}
	if bus.HeartbeatSubject(host, s.Plugin, s.Verb) != s.Raw {
		return fmt.Sprintf("the beat is of host %.80q, and came as %q", host, s.Host)
	}
	return ""
}

func (h *Hub) reply(ack telemetry.Ack, enc telemetry.Encoding, answers bool) ([]byte, error) {
	if !answers {
		return nil, nil
	}
	ack.T3 = time.Now().UnixNano()
	return telemetry.EncodeControl(ack, enc)
}

// take notes a beat, completes its ACK, and reports whether it is to be sent. The caller has the lock.
func (h *Hub) take(b telemetry.Heartbeat, now liveness.Instant, ack *telemetry.Ack) bool {
	full, bare := h.answers(now.Wall)
	heard := h.watch.Hear(b, now)
	ack.Term = h.voice.term
	if heard.Order == liveness.Refused {
		ack.State, ack.Reason, ack.Gen = telemetry.Refused, heard.Reason, heard.Gen
		if heard.Reason == liveness.ReasonConflict {
			ack.Flags = []string{liveness.FlagConflict}
		}
		h.note(heard.Changes)
		return full
	}
	x := h.at(b.Host)
	next := max(h.o.Interval, h.watch.Interval(b, h.o.Most))
	h.watch.Asked(b.Host, next) // before its record is made
	news := heard.Order == liveness.Fresh && x.introduce(b)
	if x.paced(max(next, time.Duration(b.IntervalMS)*time.Millisecond)) || news {
		h.save(x)
	}
	h.note(heard.Changes)
	if !full {
		return bare
	}
	p := heard.Peer
	ack.Received, ack.Lost, ack.Gen, ack.Digest, ack.NextMS = p.Received, p.Lost, p.Gen, x.sum, next.Milliseconds()
	for _, f := range []string{liveness.FlagConflict, liveness.FlagMaintenance, liveness.FlagWarmUp} {
		if slices.Contains(p.Flags, f) {
			ack.Flags = append(ack.Flags, f)
		}
	}
	if heard.Order == liveness.Fresh && b.Bye == "" {
		h.compare(x, b)
	}
	return true
}

// flagNoInventory says that the beats of a host tell of an inventory that is not here yet.
const flagNoInventory = "no_inventory"

// Measures are what the hub has measured of all beats.
type Measures = liveness.Measures

// Measures returns what the hub has measured of all beats since it began.
func (h *Hub) Measures() Measures {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.watch.Measures()
}
