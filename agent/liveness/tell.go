package liveness

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// tell notes a change of p for the caller. A Watch that does not speak tells nothing.
func (w *Watch) tell(p *peer, c Change, now Instant) {
	if !w.speaks {
		return
	}
	c.Host, c.At, c.To, c.Incident = p.host, now, p.state, p.incident
	if c.From == "" {
		c.From = p.state
	}
	if c.Reason == "" {
		c.Reason = p.reason
	}
	c.LastSeen = p.age(now)
	if c.Type == TypeUp && c.Reason != ReasonProbe {
		c.LastSeen = p.gap
	}
	if p.interval > 0 {
		c.Missed = uint64(c.LastSeen / p.interval)
	}
	c.Silenced = p.flaps.damped || p.quietUntil != 0
	w.out = append(w.out, c)
}

// tellAll notes a change that is nobody's own.
func (w *Watch) tellAll(c Change, now Instant) {
	if w.speaks {
		c.At = now
		w.out = append(w.out, c)
	}
}

// flush returns what was told.
func (w *Watch) flush() []Change {
	out := w.out
	w.out = nil
	return out
}

// announce tells what has changed besides the state since operators were told.
func (w *Watch) announce(p *peer, now Instant) {
	if !p.beaten || !w.speaks {
		return
	}
	if p.told.inst != p.inst {
		w.announceStart(p, now)
	}
	if p.told.name != p.name {
		w.announceName(p, now)
	}
	if contested := p.contested(); contested && !p.told.conflict {
		p.told.conflict, p.told.at = true, now.Mono
		w.tell(p, Change{Type: TypeConflict, Message: p.conflict()}, now)
	}
}

func (w *Watch) announceStart(p *peer, now Instant) {
	was := p.told
	p.told.inst, p.told.boot = p.inst, p.last.Boot
	switch {
	case was.inst == "":
	case was.boot != "" && p.last.Boot != "" && was.boot != p.last.Boot:
		w.tell(p, Change{Type: TypeRebooted, Message: p.label() + " has rebooted"}, now)
	default:
		w.tell(p, Change{Type: TypeRestarted, Message: p.label() + " has restarted"}, now)
	}
}

// announceName makes the old name an alias. A name that changes with each beat is told once a minute.
func (w *Watch) announceName(p *peer, now Instant) {
	old := p.told.name
	if old != "" && p.renamed != 0 && now.Mono-p.renamed < renameEvery {
		return
	}
	p.told.name = p.name
	if old == "" {
		return
	}
	p.renamed = now.Mono
	p.aliases = slices.DeleteFunc(slices.Clone(p.aliases), func(a string) bool { return a == old || a == p.name })
	p.aliases = append(p.aliases, old)
	p.aliases = slices.Clip(p.aliases[max(0, len(p.aliases)-mostAliases):])
	w.tell(p, Change{Type: TypeRenamed, Message: fmt.Sprintf("%s is called %q by now, and was %q", p.host, p.name, old)}, now)
}

// conflict names who beats under one id.
func (p *peer) conflict() string {
	var others []string
	for _, r := range p.rivals {
		if r.contested {
			others = append(others, fmt.Sprintf("%q (%s)", r.Name, cut(r.Inst, 16)))
		}
	}
	return fmt.Sprintf("%q (%s) and %s beat under the one id %s: give all but one another id", p.name, cut(p.inst, 16), strings.Join(others, ", "), p.host)
}

// label is how people know p.
func (p *peer) label() string {
	if p.name == "" || p.name == p.host {
		return p.host
	}
	return p.name + " (" + p.host + ")"
}

// age is how long ago the last beat was.
func (p *peer) age(now Instant) time.Duration { return p.track.Silent(now.Mono) }

// sentence says what the state of p means.
func (p *peer) sentence(now Instant) string {
	ago := round(p.age(now)).String()
	switch p.state {
	case telemetry.HostUp:
		return p.label() + p.sayUp()
	case telemetry.HostOverdue:
		return p.label() + " has not been heard for " + ago
	case telemetry.HostLeft:
		return p.label() + " said goodbye: " + p.reason
	}
	return p.label() + sayDown[p.reason] + ", last heard " + ago + " ago"
}

func (p *peer) sayUp() string {
	switch {
	case p.reason == ReasonProbe:
		return " does not beat, and answers"
	case p.reason == ReasonResumed:
		return " is up after a suspend"
	case p.was == telemetry.HostUnknown:
		return " is up for the first time"
	}
	return " is up again after " + round(p.gap).String()
}

var sayDown = map[string]string{
	ReasonDisconnected: " is down: it is not connected to the bus",
	ReasonSilent:       " is down: it is connected to the bus, and does not answer",
	ReasonNotSeen:      " is down: not heard since the watcher has begun",
	ReasonUpgrade:      " is down: it left for an upgrade, and has not come back",
}
