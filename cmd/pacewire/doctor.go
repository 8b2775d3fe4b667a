package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use: "doctor [PLUGIN | HOST]", Short: "Say why something is not loaded, not collecting or not visible, and what mends it", Args: cobra.MaximumNArgs(1),
		Long: "doctor looks at the config, the folders, the bus, the agent with its plugins, and the hub with what it knows of this host;\n" +
			"with a name at that plugin, or that host. It ends with 0 when it has found nothing wrong, with 1 otherwise; a note tells what cannot be otherwise on this machine.",
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
	f := fleet{&link{conn: l.conn}}
	if err := d.aim(ctx, l, f); err != nil {
		return err
	}
	if d.here {
		d.folders()
	} else {
		d.settings = nil // of another machine's plugins it says nothing
		d.findings = slices.DeleteFunc(d.findings, func(f finding) bool { return f.Where == "config" || f.plugin != "" })
	}
	d.bus(ctx, l.conn)
	agent := &link{conn: l.conn, host: d.host}
	if d.agent(ctx, agent) {
		d.pulse(ctx, agent)
	}
	d.hub(ctx, f)
	return nil
}

// aim finds out whether it is about a plugin here, or a host.
func (d *doctor) aim(ctx context.Context, l *link, f fleet) error {
	d.host, d.here = l.host, true
	if d.about == "" || d.about == l.host {
		d.about = ""
		return nil
	}
	list, err := l.list(ctx)
	known := pluginsOf(list, d.settings)
	if slices.Contains(known, d.about) {
		return nil
	}
	h, unknown := f.host(ctx, d.about)
	if unknown == nil {
		d.about, d.host, d.here = "", h.Host, h.Host == l.host
		return nil
	}
	if silent(unknown) && err != nil {
		return nil // nobody knows: what is found says why
	}
	wrong := fmt.Errorf("neither a plugin of %s nor a host is called %q", l.host, d.about)
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
	if !d.ill() {
		fmt.Fprintln(d.app.out, "nothing found; looked at:")
		for _, what := range d.looked {
			fmt.Fprintln(d.app.out, "  "+printable(what))
		}
	}
}
