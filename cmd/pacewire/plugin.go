package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/journal"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) plugin() *cobra.Command {
	c := &cobra.Command{Use: "plugin", Short: "Look at plugins, run one"}
	c.AddCommand(a.pluginList(), a.pluginInfo(), a.pluginRun())
	return c
}

func (a *app) pluginList() *cobra.Command {
	var builtIn bool
	var host string
	c := &cobra.Command{
		Use: "list", Short: "List the plugins that run, or the programs that can", Args: cobra.NoArgs,
		Long:    "list asks the agent for its plugins. Without an agent, or with --programs, it lists the built-in programs.",
		Example: "  pacewire plugin list\n  pacewire plugin list --programs\n  pacewire plugin list -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			if builtIn {
				return a.showPrograms()
			}
			conn, here, err := a.connect(c.Context())
			if errors.Is(err, errNoAgent) {
				fmt.Fprintln(a.err, "no agent runs here; the built-in programs:")
				return a.showPrograms()
			}
			if err != nil {
				return err
			}
			defer conn.Close()
			if host != "" {
				here = host
			}
			list, err := ask(c.Context(), conn, here, "list", nil)
			if err != nil {
				return err
			}
			return a.showPlugins(list)
		},
	}
	c.Flags().BoolVar(&builtIn, "programs", false, "the built-in programs, whether they run or not")
	c.Flags().StringVar(&host, "host", "", "of another host on the bus")
	_ = c.RegisterFlagCompletionFunc("host", completeHost)
	return c
}

func (a *app) showPrograms() error {
	type row struct {
		Kind    plugin.Kind `json:"kind"`
		Name    string      `json:"name"`
		Summary string      `json:"summary"`
	}
	rows := []row{}
	for _, d := range programs() {
		rows = append(rows, row{d.Kind, d.Program, d.Summary})
	}
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(rows)
	}
	return a.table("KIND\tPROGRAM\tDOES", func(w io.Writer) {
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\n", r.Kind, r.Name, r.Summary)
		}
	})
}

// table writes rows below head, in columns.
func (a *app) table(head string, rows func(w io.Writer)) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	rows(w)
	return w.Flush()
}

// running is a plugin as -o json shows it; its keys are stable.
type running struct {
	Name     string    `json:"name"`
	Kind     string    `json:"kind"`
	Program  string    `json:"program"`
	Version  string    `json:"version"`
	Host     string    `json:"host"`
	State    string    `json:"state"`
	Reason   string    `json:"reason"`
	Since    time.Time `json:"since"`
	PID      int64     `json:"pid"`
	Restarts uint64    `json:"restarts"`
}

func asRunning(s telemetry.PluginStatus) running {
	return running{s.Name, s.Kind, s.Program, orVersion(s.Version), s.Host, s.State, s.Reason, time.Unix(0, s.Since).UTC(), s.PID, s.Restarts}
}

// orVersion returns the version of a built-in, which is the program's own.
func orVersion(v string) string {
	if v == "" {
		return version()
	}
	return v
}

func (a *app) showPlugins(list []telemetry.PluginStatus) error {
	if a.flags.output == "json" {
		rows := []running{}
		for _, s := range list {
			rows = append(rows, asRunning(s))
		}
		return json.NewEncoder(a.out).Encode(rows)
	}
	return a.table("NAME\tKIND\tPROGRAM\tSTATE\tFOR\tPID\tRESTARTS\tIN\tOUT\tMEMORY\tREASON", func(w io.Writer) {
		for _, s := range list {
			var in, out uint64
			if s.Stats != nil {
				in, out = s.Stats.PointsIn, s.Stats.PointsOut
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\t%s\n", printable(s.Name), printable(s.Kind), printable(s.Program), printable(s.State),
				age(time.Unix(0, s.Since)), orDash(s.PID), s.Restarts, in, out, size(s.RSS), printable(s.Reason))
		}
	})
}

func orDash(n int64) string {
	if n == 0 {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// age returns how long ago t was, in one unit.
func age(t time.Time) string {
	d := time.Since(t)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func size(bytes uint64) string {
	if bytes == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
}

func (a *app) pluginInfo() *cobra.Command {
	var host string
	c := &cobra.Command{
		Use: "info NAME", Short: "Tell all that is known of a plugin, or of a program", Args: cobra.ExactArgs(1),
		Long:              "info asks the agent for the plugin NAME. If there is none, NAME may be a built-in program.",
		Example:           "  pacewire plugin info host\n  pacewire plugin info processor.filter",
		ValidArgsFunction: a.completeInfo,
		RunE: func(c *cobra.Command, args []string) error {
			found, err := a.find(c.Context(), host, args[0])
			if err == nil {
				return a.showInfo(found)
			}
			d, unknown := program(args[0])
			if unknown != nil {
				return fmt.Errorf("%w; %w", err, unknown)
			}
			if errors.Is(err, errNoAgent) {
				fmt.Fprintln(a.err, "no agent runs here; the built-in program:")
			}
			return a.describe(d)
		},
	}
	c.Flags().StringVar(&host, "host", "", "of another host on the bus")
	_ = c.RegisterFlagCompletionFunc("host", completeHost)
	return c
}

// find asks the agent of a host, by default of this one, for a plugin.
func (a *app) find(ctx context.Context, host, name string) (telemetry.PluginStatus, error) {
	conn, here, err := a.connect(ctx)
	if err != nil {
		return telemetry.PluginStatus{}, err
	}
	defer conn.Close()
	list, err := ask(ctx, conn, cmp.Or(host, here), "info", map[string]any{"plugin": name})
	if err == nil && len(list) != 1 {
		err = fmt.Errorf("the agent of %s told of %d plugins %q", cmp.Or(host, here), len(list), name)
	}
	if err != nil {
		return telemetry.PluginStatus{}, err
	}
	return list[0], nil
}

func (a *app) showInfo(s telemetry.PluginStatus) error {
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(s)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	row := func(key string, v any) { fmt.Fprintf(w, "%s\t%s\n", key, printable(fmt.Sprint(v))) }
	row("name", s.Name)
	row("kind", s.Kind)
	row("program", s.Program+" "+orVersion(s.Version))
	row("host", s.Host)
	row("state", strings.TrimSpace(s.State+" for "+age(time.Unix(0, s.Since))+" "+printable(s.Reason)))
	row("process", orDash(s.PID)+", memory "+size(s.RSS)+fmt.Sprintf(", cpu %v, restarts %d", time.Duration(s.CPUMS)*time.Millisecond, s.Restarts))
	row("config", fmt.Sprintf("revision %x", s.Config))
	if s.Beat != 0 {
		row("heartbeat", age(time.Unix(0, s.Beat))+" ago")
	}
	for _, in := range s.Inputs {
		row("reads", in.Stream+": "+strings.Join(in.Filters, ", "))
	}
	if c := s.Stats; c != nil {
		row("points", fmt.Sprintf("%d in, %d out", c.PointsIn, c.PointsOut))
		row("batches", fmt.Sprintf("%d in, %d out, %d given again, %d set aside", c.BatchesIn, c.BatchesOut, c.Redelivered, c.Dead))
		row("calls", fmt.Sprintf("%d, p50 %dus, p99 %dus, max %dus", c.Calls, c.CallP50US, c.CallP99US, c.CallMaxUS))
		row("ticks", fmt.Sprintf("%d, missed %d", c.Ticks, c.Missed))
		row("errors", counts(c.Errors))
		row("dropped", counts(c.Dropped))
	}
	for _, line := range s.Stderr {
		row("stderr", journal.Read("stderr", []byte(line)))
	}
	return w.Flush()
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

func (a *app) pluginRun() *cobra.Command {
	return &cobra.Command{
		Use: "run PROGRAM [FLAG...]", Short: "Run a built-in program as a plugin, once, or to look at it",
		Long: "run is what the agent starts. By hand: without flags it shows the program, its settings and a sample;\n" +
			"--once runs it once, --describe prints its manifest, --help tells the rest.",
		Example:            "  pacewire plugin run host\n  pacewire plugin run collector.host --once",
		DisableFlagParsing: true, // the flags are the plugin's
		ValidArgsFunction:  completeProgram,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 || args[0] == "-h" || args[0] == "--help" {
				return c.Help()
			}
			d, err := program(args[0])
			if err != nil {
				return err
			}
			if code := plugin.Run(c.Context(), d, args[1:], a.in, a.out, a.err, os.Environ()); code != 0 {
				return &exit{code, fmt.Errorf("")}
			}
			return nil
		},
	}
}
