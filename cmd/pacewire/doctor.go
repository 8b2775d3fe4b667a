package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use: "doctor [PLUGIN | HOST]", Short: "Say why something is not loaded, not collecting or not visible, and what mends it", Args: cobra.MaximumNArgs(1),
		Long: "doctor looks at the config, the folders, the bus, the agent with its plugins, and the hub with what it knows of this host;\n" +
			"with a name at that plugin, or that host. From a machine without an agent it looks at all hosts of the bus. It ends with 0 when it has found nothing wrong, with 1 otherwise; a note tells what cannot be otherwise on this machine.",
		Example:           "  pacewire doctor\n  pacewire doctor nginx",
		ValidArgsFunction: a.completeDoctor,
		RunE: func(c *cobra.Command, args []string) error {
			d := &doctor{app: a, findings: []finding{}}
			if len(args) > 0 {
				d.about = args[0]
			}
			if err := d.examine(c.Context()); err != nil {
				return err
			}
			return d.tell()
		},
	}
}

func (a *app) completeDoctor(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	plugins, _ := a.completePlugins(c, args, word)
	hosts, _ := a.completeHosts(c, args, word)
	return append(plugins, hosts...), noFiles
}

// A finding is something that is wrong, as -o json shows it; its keys are stable.
type finding struct {
	Where   string `json:"where"`   // config, run folder, bus, agent, hub, plugin NAME, host NAME
	Problem string `json:"problem"` // in a sentence
	Fix     string `json:"fix"`     // the command that mends it, or shows more

	Note bool `json:"note,omitempty"` // nothing is wrong: it cannot be otherwise here

	plugin string // whose it is; empty: everybody's
}

// A doctor looks for what is wrong, one part after the other: what a part needs of those before is not asked when these are ill.
type doctor struct {
	app      *app
	about    string // plugin or host; empty: everything here
	host     string // whose agent is asked; empty: this one's
	here     bool   // it is this one
	unheard  error  // why the agent of another one did not answer
	nobody   bool   // no agent of this machine is on the bus
	note     note   // of the agent here
	settings *config.Settings
	plugins  []telemetry.PluginStatus
	findings []finding
	looked   []string // at what
}

func (d *doctor) find(where, fix, format string, args ...any) {
	d.add(finding{Where: where, Problem: fmt.Sprintf(format, args...), Fix: fix})
}

func (d *doctor) findAt(plugin, fix, format string, args ...any) {
	d.add(finding{Where: "plugin " + plugin, Problem: fmt.Sprintf(format, args...), Fix: fix, plugin: plugin})
}

func (d *doctor) noteAt(plugin, format string, args ...any) {
	d.add(finding{Where: "plugin " + plugin, Problem: fmt.Sprintf(format, args...), Note: true, plugin: plugin})
}

func (d *doctor) add(f finding) {
	if !slices.Contains(d.findings, f) {
		d.findings = append(d.findings, f)
	}
}

// examine looks at everything. The error says that what it is about is nowhere.
func (d *doctor) examine(ctx context.Context) error {
	d.note, _ = readNote()
	d.config()
	l, err := d.app.link(ctx, "")
	if err != nil {
		d.folders()
		d.noBus(err)
		return nil
	}
	defer l.close()
	f, end := d.app.fleetBeside(ctx, l)
	defer end()
	list, unheard := l.list(ctx)
	if d.elsewhere(unheard) {
		d.forgetConfig()
	}
	if err := d.aim(ctx, l, f, list, unheard); err != nil {
		return err
	}
	d.bus(ctx, l.conn)
	if d.here && d.nobody {
		d.fleet(ctx, f)
		return nil
	}
	if d.here {
		d.folders()
	} else {
		d.forgetConfig()
	}
	agent := &link{conn: l.conn, host: d.host}
	if !d.here {
		list, unheard = agent.list(ctx)
	}
	if d.agent(ctx, agent, list, unheard) {
		d.pulse(ctx, agent)
	}
	d.hub(ctx, f)
	return nil
}

// elsewhere reports whether this is no machine with an agent, but one that somebody looks from.
func (d *doctor) elsewhere(unheard error) bool {
	d.nobody = errors.Is(unheard, bus.ErrNoResponders) && (d.note.PID == 0 || d.app.flags.bus != "")
	return d.nobody
}

// forgetConfig leaves out the config of this machine: of another one's plugins it says nothing.
func (d *doctor) forgetConfig() {
	d.settings = nil
	d.findings = slices.DeleteFunc(d.findings, func(f finding) bool { return f.Where == "config" || f.plugin != "" })
	d.looked = nil
}

// aim finds out whether it is about a plugin here, a host, or all hosts of the bus.
func (d *doctor) aim(ctx context.Context, l *link, f fleet, list []telemetry.PluginStatus, unheard error) error {
	d.host, d.here = l.host, true
	if d.about == "" || d.about == l.host && !d.nobody {
		d.about = ""
		return nil
	}
	known := pluginsOf(list, d.settings)
	if slices.Contains(known, d.about) {
		return nil
	}
	h, unknown := f.host(ctx, d.about)
	if unknown == nil {
		d.about, d.host, d.here = "", h.Host, h.Host == l.host && !d.nobody
		return nil
	}
	if silent(unknown) && unheard != nil {
		return nil // nobody knows: what is found says why
	}
	wrong := fmt.Errorf("neither a plugin of %s nor a host is called %q", l.host, d.about)
	if d.nobody {
		wrong = fmt.Errorf("no host of this bus is called %q, and no agent of %s, this machine, is on it", d.about, l.host)
	}
	hosts, _ := f.hosts(ctx, nil)
	return exitWith(exitUsage, meant(wrong, d.about, append(known, namesOf(hosts)...)))
}

func pluginsOf(list []telemetry.PluginStatus, s *config.Settings) []string {
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	if s != nil {
		for _, p := range s.Plugins {
			names = append(names, p.Name)
		}
	}
	return names
}

// tell shows what was found: of a plugin, what is its own and what is everybody's.
func (d *doctor) tell() error {
	if d.about != "" {
		d.findings = slices.DeleteFunc(d.findings, func(f finding) bool { return f.plugin != "" && f.plugin != d.about })
	}
	if d.app.flags.output == "json" {
		if err := json.NewEncoder(d.app.out).Encode(d.findings); err != nil {
			return err
		}
	} else {
		d.print()
	}
	if d.ill() {
		return &exit{exitFailed, errors.New("")}
	}
	return nil
}

// ill reports whether it has found more than notes.
func (d *doctor) ill() bool {
	return slices.ContainsFunc(d.findings, func(f finding) bool { return !f.Note })
}

func (d *doctor) print() {
	if d.here && d.nobody {
		fmt.Fprintf(d.app.err, "no agent of %s, this machine, is on the bus: these are its hosts as the hub knows them\n", printable(d.host))
	}
	for _, f := range d.findings {
		line := printable(f.Where + ": " + f.Problem)
		if f.Note {
			line = "note: " + line
		}
		if f.Fix != "" {
			line += "  →  " + printable(f.Fix)
		}
		fmt.Fprintln(d.app.out, line)
	}
	if d.ill() {
		return
	}
	switch i := slices.IndexFunc(d.plugins, func(p telemetry.PluginStatus) bool { return p.Name == d.about }); {
	case i >= 0:
		fmt.Fprintln(d.app.out, printable(wellText(d.plugins[i])))
	case d.here && !d.nobody:
		d.printLooked("nothing found; looked at:")
	case d.here:
		d.printLooked("nothing found on any host; looked at:")
	default:
		d.printLooked("nothing found on host " + printable(d.host) + "; looked at:")
	}
}

func (d *doctor) printLooked(title string) {
	fmt.Fprintln(d.app.out, title)
	for _, what := range d.looked {
		fmt.Fprintln(d.app.out, "  "+printable(what))
	}
}

// wellText says in a line how a plugin does that works.
func wellText(p telemetry.PluginStatus) string {
	text := fmt.Sprintf("%s works: %s %s, %s for %s", p.Name, p.Kind, p.Program, p.State, since(p.Since))
	if c := p.Stats; c != nil {
		text += fmt.Sprintf(", %s in, %d out", amount.Of(c.PointsIn, "point", "points"), c.PointsOut)
	}
	if p.Restarts > 0 {
		text += ", " + amount.Of(p.Restarts, "restart", "restarts")
	}
	return text
}
