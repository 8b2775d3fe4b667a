package liveness

import (
	"fmt"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// mass finds out when many fall silent at once: then it is a cable, a server or a power line, and one incident.
type mass struct {
	marks    []mark
	incident string        // the last one
	until    time.Duration // it is open: it takes others in, and none of them goes DOWN
}

// A mark says when a peer became OVERDUE.
type mark struct {
	p  *peer
	at time.Duration
}

// note takes in a peer that has just become OVERDUE.
func (m *mass) note(p *peer, now time.Duration) {
	if now < m.until {
		p.incident, p.held = m.incident, m.until
		return
	}
	m.marks = append(m.marks, mark{p, now})
}

// massed opens an incident when too many have become OVERDUE within one interval, and are so still.
func (w *Watch) massed(now Instant) {
	m := &w.mass
	kept := m.marks[:0]
	for _, k := range m.marks {
		if k.p.state == telemetry.HostOverdue && k.p.slot >= 0 && now.Mono-k.at <= max(k.p.interval, w.rules.Stall) {
			kept = append(kept, k)
		}
	}
	clear(m.marks[len(kept):])
	m.marks = kept
	n := len(kept)
	if w.rules.MassShare <= 0 || n < max(w.rules.MassLeast, 1) || float64(n) <= w.rules.MassShare*float64(w.states[telemetry.HostUp]+n) {
		return
	}
	w.open(now)
}

// open begins an incident of all that are marked. Their DOWN is held until the last of them would have been DOWN by itself and
// MassHold longer: so it comes at once.
func (w *Watch) open(now Instant) {
	m := &w.mass
	rest := time.Duration(never)
	for _, k := range m.marks {
		overdue, down := w.rules.Limits(k.p.interval)
		if k.p.unseen { // it has been silent for longer already
			overdue = down
		}
		rest = min(rest, down-overdue)
	}
	m.incident = "mass-" + now.Wall.UTC().Format("20060102T150405.000Z")
	m.until = now.Mono + max(0, rest) + w.rules.MassHold
	for _, k := range m.marks {
		k.p.incident, k.p.held = m.incident, m.until
	}
	for i := range w.out {
		if w.out[i].Type == TypeOverdue {
			w.out[i].Incident = m.incident
		}
	}
	n := len(m.marks)
	m.marks = nil
	w.counts["incidents"]++
	w.tellAll(Change{
		Type: TypeMass, Count: uint64(n), Incident: m.incident,
		Message: fmt.Sprintf("%d of %d hosts have fallen silent at once", n, w.states[telemetry.HostUp]+n),
	}, now)
}
