package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// agent checks the plugins that the agent has told; false says that it did not answer. What a silent one elsewhere is like is
// for the hub to say.
func (d *doctor) agent(ctx context.Context, l *link, list []telemetry.PluginStatus, unheard error) bool {
	switch {
	case unheard != nil && !d.here:
		d.unheard = unheard
		return false
	case unheard != nil:
		fix, why := "pacewire up", d.app.whySilent(l.host, unheard)
		if !errors.Is(why, unheard) {
			fix = "pacewire status --wait 1m"
		}
		d.find("agent", fix, "%v", why)
		return false
	}
	d.plugins = list
	d.notLoaded()
	for _, p := range list {
		if p.Name == d.about {
			p = d.closer(ctx, l, p)
		}
		d.plugin(p)
	}
	d.letters(ctx, l.conn)
	d.looked = append(d.looked, fmt.Sprintf("agent of %s, %s", l.host, amount.Of(len(list), "plugin", "plugins")))
	return true
}

// notLoaded looks for plugins of the config that the agent does not have.
func (d *doctor) notLoaded() {
	if d.settings == nil {
		return
	}
	for _, p := range d.settings.Plugins {
		switch {
		case !p.Enabled && p.Name == d.about:
			d.findAt(p.Name, "pacewire reload", "%s: the config says enabled: false", p.Position)
		case p.Enabled && !slices.ContainsFunc(d.plugins, func(s telemetry.PluginStatus) bool { return s.Name == p.Name }):
			d.findAt(p.Name, "pacewire reload", "%s: the agent does not have it: it has read an earlier config", p.Position)
		}
	}
}

// closer asks for all that is known of a plugin.
func (d *doctor) closer(ctx context.Context, l *link, p telemetry.PluginStatus) telemetry.PluginStatus {
	list, err := ask(ctx, l.conn, l.host, "info", map[string]any{"plugin": p.Name})
	if err != nil || len(list) != 1 {
		return p
	}
	for _, in := range list[0].Inputs {
		s, err := l.conn.ConsumerInfo(ctx, in.Stream, in.Durable)
		switch {
		case err != nil:
			d.findAt(p.Name, "pacewire plugin restart "+p.Name, "what it reads is not set up: %v", err)
		case s.Pending > behind:
			d.findAt(p.Name, "pacewire plugin info "+p.Name, "it is behind: %d messages of %s wait for it", s.Pending, in.Stream)
		}
	}
	return list[0]
}

const (
	behind    = 1000             // messages that wait for a reader
	lately    = 10 * time.Minute // an error of then still counts
	fewTicks  = 10               // of so many one may be missed
	longUntil = time.Minute      // a tick that is further off is by a schedule
)

// plugin says why one does not collect.
func (d *doctor) plugin(p telemetry.PluginStatus) {
	logs := "pacewire plugin logs " + p.Name
	why := cmp.Or(p.Reason, p.LastExit, "it does not say why")
	switch p.State {
	case "running":
		if p.Reason != "" && !p.Sound {
			d.findAt(p.Name, logs, "it runs, and not all is well: %s", p.Reason)
		}
	case "idle":
		if p.Name == d.about {
			d.findAt(p.Name, logs, "it finds nothing to do on this host: %s", why)
		}
	case "stopped":
		d.findAt(p.Name, "pacewire plugin start "+p.Name, "it is stopped: %s", why)
	case "awaited", "lost":
		d.findAt(p.Name, "pacewire plugin env "+p.Name, "it is %s: somebody else is to start it (attached: true), and nobody beats under its name", p.State)
	case "failed", "backing_off":
		d.findAt(p.Name, logs, "it is %s: %s", p.State, why)
	case "refused":
		d.findAt(p.Name, "pacewire plugin info "+p.Name, "the agent refuses it: %s", why)
	default:
		if time.Since(time.Unix(0, p.Since)) > askTime {
			d.findAt(p.Name, logs, "it is %s for %s: %s", p.State, since(p.Since), why)
		}
	}
	if p.Trust != "" {
		d.findAt(p.Name, "pacewire plugin list --programs", "it runs, and its program is not to be trusted: %s", p.Trust)
	}
	if p.Denied > 0 {
		d.findAt(p.Name, logs, "it tried %s to do on the bus what it may not", amount.Of(p.Denied, "time", "times"))
	}
	d.ticks(p)
	if p.Stats != nil {
		d.work(p, *p.Stats, logs)
	}
}

// work looks at what a plugin counts.
func (d *doctor) work(p telemetry.PluginStatus, c telemetry.Stats, logs string) {
	if e := c.LastError; e != nil && time.Duration(e.AgeMS)*time.Millisecond < lately && p.Reason == "" {
		d.findAt(p.Name, logs, "its last error is %s old: %s: %s", age(time.Now().Add(-time.Duration(e.AgeMS)*time.Millisecond)), e.Code, e.Message)
	}
	d.bounds(p, c)
	if c.LateResent > 0 {
		at := p.Losses[telemetry.LossLate]
		d.lost(p.Name, logs, longOver(at), amount.Of(c.LateResent, "message was sent to the bus again so late that it", "messages were sent to the bus again so late that they")+
			" may be stored twice: it was cut off, or the bus stood still"+lastAt(int64(at)))
	}
	if c.Missed*fewTicks > c.Ticks {
		d.findAt(p.Name, logs, "it missed %d of %d ticks: a call takes %v (p99), longer than its interval", c.Missed, c.Ticks+c.Missed, time.Duration(c.CallP99US)*time.Microsecond)
	}
	if p.Kind == config.Collector && p.State == "running" && c.Ticks > 1 && c.PointsOut == 0 && p.Reason == "" && !inventoryOnly(p) {
		d.findAt(p.Name, "pacewire once "+p.Name, "it was asked %d times and gave no points", c.Ticks)
	}
}

// inventoryOnly reports whether a program tells facts instead of points.
func inventoryOnly(p telemetry.PluginStatus) bool {
	if p.Manifest != nil && len(p.Manifest.Catalog) == 0 {
		return true
	}
	def, err := program(p.Kind + "." + p.Program)
	return err == nil && def.Inventory
}

// ticks says of the plugin that it is about when it is due, if that is long off.
func (d *doctor) ticks(p telemetry.PluginStatus) {
	if p.Name != d.about || p.Kind != config.Collector {
		return
	}
	due := time.Unix(0, p.Due)
	if p.Due > 0 && time.Until(due) > longUntil {
		d.findAt(p.Name, "pacewire once "+p.Name, "its schedule (%s) has it wait: next %s", cmp.Or(p.Schedule, "an interval"), until(due, time.Now()))
	}
}
