package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

const (
	clockLimit = time.Second // a clock that is further off is told
	lostShare  = 0.02        // of heartbeats
	fewBeats   = 50
)

// pulse asks the agent how the hub takes its heartbeats.
func (d *doctor) pulse(ctx context.Context, l *link) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	payload, err := l.request(ctx, "pulse", nil)
	if err != nil {
		return // an agent of an earlier version has no such verb; one that is silent was told of before
	}
	p, _, err := telemetry.DecodePulseStatus(payload)
	if err != nil {
		d.find("agent", "pacewire version", "what it says of its heartbeat cannot be read: %v", err)
		return
	}
	if d.host = cmp.Or(p.Host, d.host); p.State == telemetry.PulseRefused {
		d.find("agent", "pacewire host info "+d.host, "the hub refuses its heartbeats: %s", cmp.Or(p.Reason, "it does not say why"))
	}
	if p.State == telemetry.PulseAlone {
		d.find("agent", "pacewire status", "no hub acknowledges its heartbeats: %s", cmp.Or(p.Reason, "none answers"))
	}
	d.uplink(p.Uplink)
	d.clock("agent", p.OffsetUS)
	d.losses("agent", p.Received, p.Lost, p.AckLost)
	d.looked = append(d.looked, "heartbeat of "+d.host+", "+p.State)
}

func (d *doctor) clock(where string, offsetUS int64) {
	if off := time.Duration(offsetUS) * time.Microsecond; off.Abs() > clockLimit {
		d.find(where, "timedatectl", "its clock and the hub's are %v apart", off.Abs().Round(time.Millisecond))
	}
}

func (d *doctor) losses(where string, received, lost, ackLost uint64) {
	if all := received + lost; all >= fewBeats && float64(max(lost, ackLost)) > lostShare*float64(all) {
		d.find(where, "pacewire host info "+d.host, "of %d heartbeats %d were lost, and %d answers: the network or the bus is not well", all, lost, ackLost)
	}
}

// hub checks the hub, and what it knows of the host.
func (d *doctor) hub(ctx context.Context, f fleet) {
	if !d.hubWell(ctx, f) {
		d.silence()
		return
	}
	h, err := f.host(ctx, d.host)
	switch {
	case notFound(err):
		d.find("host "+d.host, "pacewire status", "the hub does not know it: no heartbeat of it has come")
		return
	case err != nil:
		d.find("hub", "pacewire status", "%v", err)
		return
	}
	if h.State == telemetry.HostUp { // else the reason of its state says it
		d.silence()
	}
	d.visible(h)
	d.inventory(ctx, f, h)
}

// silence tells that the agent of another host did not answer.
func (d *doctor) silence() {
	if d.unheard != nil {
		d.find("host "+d.host, "pacewire events --host "+d.host, "%v", d.unheard)
	}
}

// hubWell checks the hub itself; false says that it cannot be asked.
func (d *doctor) hubWell(ctx context.Context, f fleet) bool {
	s, err := askHub(ctx, f, "status", nil, telemetry.DecodeHubStatus)
	if err != nil {
		d.find("hub", "pacewire hub", "%v", err)
		return false
	}
	if !s.Ready {
		d.find("hub", "pacewire status --wait 2m", "%s", hubWaits(s))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Counts)) {
		if what := illness(name); what != "" && s.Counts[name] > 0 {
			d.find("hub", "pacewire events --since 24h", "%s (%s %d since it started)", what, name, s.Counts[name])
		}
	}
	d.looked = append(d.looked, "hub "+cmp.Or(s.Speaker, s.ID)+", "+stateCounts(s.States))
	return true
}

// mostHosts is how many hosts of a fleet are told that are not well.
const mostHosts = 50

// fleet checks all hosts of the bus, as the hub knows them.
func (d *doctor) fleet(ctx context.Context, f fleet) {
	if !d.hubWell(ctx, f) {
		return
	}
	list, err := f.hosts(ctx, nil)
	if err != nil {
		d.find("hub", "pacewire status", "%v", err)
		return
	}
	byState(list)
	before := len(d.findings)
	for _, h := range list {
		if len(d.findings)-before >= mostHosts {
			d.find("hub", "pacewire host list", "that was not all: %s", stateCounts(countStates(list)))
			return
		}
		if h.State != telemetry.HostLeft && !isRival(h.Host) {
			d.visible(h)
		}
	}
}

// illness says what a counter of the hub that is not 0 means, if that is bad.
func illness(counter string) string {
	reason, refused := strings.CutPrefix(counter, "refused_")
	switch {
	case counter == "refused_unknown_host": // what came before the first heartbeat comes again after it
		return ""
	case refused:
		return "it refuses messages of hosts: " + reason
	case counter == "registry_full":
		return "the store of the bus has no room for what it knows of hosts (bus: { max_store })"
	case counter == "record_errors":
		return "it could not write what it knows of hosts to the bus"
	case counter == "records_unreadable":
		return "what another version wrote of hosts to the bus cannot be read"
	case counter == "beats_dropped":
		return "it is behind: heartbeats came faster than it takes them (hub: { max_beats })"
	}
	return ""
}

// conflictWay is how a conflict ends.
const conflictWay = "a cloned machine, or a second agent: stop that one, or give it an id of its own: remove identity.json in its state folder, " +
	"or change host: in its config, and start it again"

// visible says why a host, or what it sends, is not seen.
func (d *doctor) visible(h telemetry.HostStatus) {
	where := "host " + h.Host
	if h.State != telemetry.HostUp {
		d.find(where, "pacewire events --host "+h.Host, "it is %s for %s: %s", h.State, since(h.Since), cmp.Or(h.Reason, "the hub does not say why"))
	}
	for _, flag := range h.Flags {
		switch flag {
		case "conflict":
			d.find(where, "pacewire host info "+h.Host, "another agent beats under its id: %s", conflictWay)
		case "flapping":
			d.find(where, "pacewire events --host "+h.Host, "it flaps: nobody is told of it for now")
		case "maintenance":
			d.find(where, "pacewire host silence "+h.Host+" --end", "nobody is told of it until %s", time.Unix(0, h.Until).Format("2006-01-02 15:04:05"))
		}
	}
	if !d.here {
		d.clock(where, h.OffsetUS)
		d.losses(where, h.Received, h.Lost, h.AckLost)
	}
}

// inventory says which facts of a host are not there.
func (d *doctor) inventory(ctx context.Context, f fleet, h telemetry.HostStatus) {
	again := "pacewire host refresh " + h.Host
	if h.Held < h.Items {
		d.find("host "+h.Host, again+" --mode cached", "%d of %d entries of its inventory have not come", h.Items-h.Held, h.Items)
	}
	items, err := f.inventory(ctx, h.Host)
	if err != nil {
		d.find("hub", "pacewire status", "inventory of %s: %v", h.Host, err)
		return
	}
	for _, it := range items {
		switch {
		case it.Error == nil:
		case it.Error.Code == telemetry.FaultDependency:
			d.noteAt(it.Plugin, "%s", faultText(it.Error))
		default:
			d.findAt(it.Plugin, again, "its %s is not whole: %s: %s", it.Type, it.Error.Code, it.Error.Message)
		}
	}
	listed := func(plugin string) bool {
		return slices.ContainsFunc(items, func(it telemetry.RefreshItem) bool { return it.Plugin == plugin })
	}
	for _, p := range d.plugins {
		if h.State == telemetry.HostUp && !listed(p.Name) && time.Since(time.Unix(0, p.Since)) > time.Minute {
			d.findAt(p.Name, again+" --mode cached", "the hub has not heard of it")
		}
	}
}
