package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/journal"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) pluginInfo() *cobra.Command {
	var host string
	c := &cobra.Command{
		Use: "info NAME", Short: "Tell all that is known of a plugin, or of a program", Args: cobra.ExactArgs(1),
		Long:              "info asks the agent for the plugin NAME. If there is none, NAME may be a built-in program, unless -o json is wanted.",
		Example:           "  pacewire plugin info host\n  pacewire plugin info processor.filter",
		ValidArgsFunction: a.completeInfo,
		RunE: func(c *cobra.Command, args []string) error {
			found, err := a.find(c.Context(), host, args[0])
			if err == nil {
				return a.showInfo(found, a.crew(c.Context(), host, args[0]))
			}
			if !errors.Is(err, errNoAgent) && !notFound(err) || a.flags.output == "json" { // a program has other keys
				return err
			}
			d, unknown := program(args[0])
			if unknown != nil && strings.Contains(err.Error(), "did you mean") { // which says enough
				return err
			}
			if unknown != nil {
				return fmt.Errorf("%w; %w", err, unknown)
			}
			if errors.Is(err, errNoAgent) {
				fmt.Fprintln(a.err, "no agent runs here; the built-in program:")
			}
			return a.describe(d)
		},
	}
	hostFlag(c, &host)
	return c
}

// find asks the agent of a host, by default of this one, for a plugin.
func (a *app) find(ctx context.Context, host, name string) (telemetry.PluginStatus, error) {
	l, err := a.link(ctx, host)
	if err != nil {
		return telemetry.PluginStatus{}, err
	}
	defer l.close()
	list, err := ask(ctx, l.conn, l.host, "info", map[string]any{"plugin": name})
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("the agent of %s told of %d plugins %q", l.host, len(list), name)
	}
	if err != nil {
		return telemetry.PluginStatus{}, err
	}
	return list[0], nil
}

// crew returns the processes of a plugin that has several; none when one of them is asked for, or they cannot be asked for now.
func (a *app) crew(ctx context.Context, host, name string) []telemetry.PluginStatus {
	l, err := a.link(ctx, host)
	if err != nil {
		return nil
	}
	defer l.close()
	list, err := l.list(ctx)
	list = slices.DeleteFunc(list, func(s telemetry.PluginStatus) bool {
		plugin, _ := telemetry.PluginOf(s.Name)
		return plugin != name
	})
	if err != nil || len(list) == 1 {
		return nil
	}
	return list
}

// details is a plugin as info -o json shows it: the stable keys of list first.
type details struct {
	running

	Crew     []running           `json:"processes,omitempty"` // of a plugin that has several
	Attached bool                `json:"attached"`
	Schedule string              `json:"schedule"`
	Due      time.Time           `json:"due,omitzero"`
	Trust    string              `json:"trust"`
	Denied   uint64              `json:"denied"`
	Flags    []string            `json:"flags,omitzero"`
	Backlog  uint64              `json:"backlog"`
	Beat     time.Time           `json:"beat,omitzero"`
	Next     time.Time           `json:"next,omitzero"`
	LastExit string              `json:"last_exit"`
	LastEnd  time.Time           `json:"last_end,omitzero"`
	RSS      uint64              `json:"rss"`
	CPUMS    uint64              `json:"cpu_ms"`
	Config   uint64              `json:"cfg_rev"`
	Stderr   []string            `json:"stderr"`
	Inputs   []telemetry.Input   `json:"inputs,omitzero"`
	Stats    *telemetry.Stats    `json:"stats,omitzero"`
	Manifest *telemetry.Manifest `json:"manifest,omitzero"`
}

func asDetails(s telemetry.PluginStatus) details {
	d := details{
		running: asRunning(s), Attached: s.Attached, Schedule: s.Schedule, Due: timeOf(s.Due), Trust: s.Trust, Denied: s.Denied, Flags: s.Flags, Backlog: s.Backlog,
		Beat: timeOf(s.Beat), Next: timeOf(s.Next), LastExit: s.LastExit, LastEnd: timeOf(s.LastEnd),
		RSS: s.RSS, CPUMS: s.CPUMS, Config: s.Config, Stderr: []string{}, Inputs: s.Inputs, Stats: s.Stats, Manifest: s.Manifest,
	}
	for _, line := range s.Stderr {
		d.Stderr = append(d.Stderr, journal.Read("stderr", []byte(line)).String())
	}
	return d
}

// timeOf returns the zero time for 0.
func timeOf(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

func (a *app) showInfo(s telemetry.PluginStatus, crew []telemetry.PluginStatus) error {
	if a.flags.output == "json" {
		d := asDetails(s)
		for _, p := range crew {
			d.Crew = append(d.Crew, asRunning(p))
		}
		return json.NewEncoder(a.out).Encode(d)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	row := func(key string, v any) { fmt.Fprintf(w, "%s\t%s\n", key, printable(fmt.Sprint(v))) }
	row("name", s.Name)
	for n, p := range crew {
		key := "processes"
		if n > 0 {
			key = ""
		}
		row(key, strings.TrimSuffix(p.Name+" "+p.State+" for "+age(time.Unix(0, p.Since))+", process "+processOf(p)+": "+why(p, time.Now()), ": "))
	}
	row("kind", s.Kind)
	row("program", strings.TrimSpace(s.Program+" "+versionOf(s)))
	row("host", s.Host)
	row("state", strings.TrimSuffix(s.State+" for "+age(time.Unix(0, s.Since))+": "+why(s, time.Now()), ": "))
	if s.LastExit != "" {
		row("last exit", s.LastExit+", "+age(time.Unix(0, s.LastEnd))+" ago")
	}
	row("process", processOf(s)+", memory "+size(s.RSS)+fmt.Sprintf(", cpu %v, restarts %d", time.Duration(s.CPUMS)*time.Millisecond, s.Restarts))
	if due := dueText(s, time.Now()); due != "" {
		row("schedule", due)
	}
	if s.Trust != "" {
		row("trust", s.Trust)
	}
	if s.Denied > 0 {
		row("denied", amount.Of(s.Denied, "attempt", "attempts")+" to do on the bus what it may not")
	}
	row("config", fmt.Sprintf("revision %x", s.Config))
	if s.Beat != 0 {
		row("heartbeat", age(time.Unix(0, s.Beat))+" ago")
	}
	for _, in := range s.Inputs {
		row(readsOf(s.Name, in), in.Stream+": "+strings.Join(in.Filters, ", "))
	}
	if n := backlogOf(s); n != "-" {
		row("backlog", n+" batches on the bus are not settled yet")
	}
	if s.Stats != nil {
		countersOf(*s.Stats, row)
	}
	for _, line := range s.Stderr {
		row("stderr", journal.Read("stderr", []byte(line)))
	}
	return w.Flush()
}

// readsOf says whether a plugin reads an input always, or is given it again.
func readsOf(name string, in telemetry.Input) string {
	plugin, _ := telemetry.PluginOf(name)
	switch in.Durable {
	case bus.ReplayDurable(plugin):
		return "replays"
	case bus.AgainDurable(plugin):
		return "reads again"
	}
	return "reads"
}

// countersOf writes what a plugin counts.
func countersOf(c telemetry.Stats, row func(string, any)) {
	row("points", fmt.Sprintf("%d in, %d out", c.PointsIn, c.PointsOut))
	row("batches", fmt.Sprintf("%d in, %d out, %d given again, %d set aside", c.BatchesIn, c.BatchesOut, c.Redelivered, c.Dead))
	if c.Queue > 0 {
		row("queue", fmt.Sprintf("%s, %s wait for the bus", amount.Of(c.Queue, "batch", "batches"), size(c.QueueBytes)))
	}
	if c.Resent > 0 {
		row("sent again", fmt.Sprintf("%s that the bus had not answered, %d so late that they may be stored twice", amount.Of(c.Resent, "message", "messages"), c.LateResent))
	}
	row("calls", fmt.Sprintf("%d, p50 %v, p99 %v, max %v", c.Calls, micros(c.CallP50US), micros(c.CallP99US), micros(c.CallMaxUS)))
	if c.Ticks > 0 || c.Missed > 0 { // only collectors have them
		row("ticks", fmt.Sprintf("%d, missed %d", c.Ticks, c.Missed))
	}
	row("errors", counts(c.Errors))
	row("dropped", counts(c.Dropped))
	if len(c.Refused) > 0 {
		row("refused", counts(c.Refused)+" points, which their senders keep")
	}
}

// micros is a time that was counted in microseconds, as exact as somebody wants to read it.
func micros(n uint64) time.Duration {
	d := time.Duration(n) * time.Microsecond
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d
}

// dueText says when a plugin is due, if that is no plain interval.
func dueText(s telemetry.PluginStatus, now time.Time) string {
	if s.Due == 0 {
		return s.Schedule
	}
	return strings.TrimPrefix(s.Schedule+", next "+until(time.Unix(0, s.Due), now), ", ")
}

// counts writes counters as "error 6, timeout 1".
func counts(of map[string]uint64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		if of[name] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", printable(name), of[name]))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

func (a *app) describe(d plugin.Definition) error {
	text, err := json.MarshalIndent(d.Manifest(), "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s\n", text)
	return err
}
