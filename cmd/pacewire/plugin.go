package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) plugin() *cobra.Command {
	c := &cobra.Command{Use: "plugin", Short: "Look at plugins, operate them, run one"}
	c.AddCommand(a.pluginList(), a.pluginInfo(), a.pluginLogs(), a.pluginStart(), a.pluginStop(), a.pluginRestart(),
		a.pluginLoad(), a.pluginUnload(), a.pluginSwap(), a.pluginUpgrade(), a.pluginEnv(), a.pluginRun(), a.pluginShim())
	return c
}

func (a *app) pluginList() *cobra.Command {
	var builtIn bool
	var host string
	c := &cobra.Command{
		Use: "list", Short: "List the plugins that run, or the programs that can", Args: cobra.NoArgs,
		Long: "list asks the agent for its plugins. Without an agent, unless -o json is wanted, or with --programs, it lists the programs:\n" +
			"those built in, and what is in the plugin directories.",
		Example: "  pacewire plugin list\n  pacewire plugin list --programs\n  pacewire plugin list -o json",
		RunE: func(c *cobra.Command, _ []string) error {
			if builtIn {
				return a.showPrograms()
			}
			l, err := a.link(c.Context(), host)
			if errors.Is(err, errNoAgent) && a.flags.output != "json" {
				fmt.Fprintln(a.err, "no agent runs here; the programs that can be run:")
				return a.showPrograms()
			}
			if err != nil {
				return err
			}
			defer l.close()
			list, err := l.list(c.Context())
			if err != nil {
				return err
			}
			return a.showPlugins(list)
		},
	}
	c.Flags().BoolVar(&builtIn, "programs", false, "the programs that can be run: built in, and of plugin directories")
	hostFlag(c, &host)
	return c
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
	return running{s.Name, s.Kind, s.Program, versionOf(s), s.Host, s.State, s.Reason, time.Unix(0, s.Since).UTC(), s.PID, s.Restarts}
}

// versionOf returns the version of a plugin's program: a built-in has ours.
func versionOf(s telemetry.PluginStatus) string {
	if s.Version != "" {
		return s.Version
	}
	if _, err := program(s.Kind + "." + s.Program); err != nil {
		return ""
	}
	return version()
}

func (a *app) showPlugins(list []telemetry.PluginStatus) error {
	if a.flags.output == "json" {
		rows := []running{}
		for _, s := range list {
			rows = append(rows, asRunning(s))
		}
		return json.NewEncoder(a.out).Encode(rows)
	}
	return a.table("NAME\tKIND\tPROGRAM\tSTATE\tFOR\tPID\tRESTARTS\tIN\tBACKLOG\tOUT\tMEMORY\tREASON", func(w io.Writer) {
		for _, s := range list {
			in, out := "-", "-" // it tells none
			if s.Stats != nil {
				in, out = strconv.FormatUint(s.Stats.PointsIn, 10), strconv.FormatUint(s.Stats.PointsOut, 10)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", printable(s.Name), printable(s.Kind), printable(s.Program), printable(s.State),
				age(time.Unix(0, s.Since)), processOf(s), s.Restarts, in, backlogOf(s), out, size(s.RSS), why(s, time.Now()))
		}
	})
}

// backlogOf returns how many batches a reader has before it; a collector reads nothing.
func backlogOf(s telemetry.PluginStatus) string {
	if s.Kind == config.Collector {
		return "-"
	}
	return strconv.FormatUint(s.Backlog, 10)
}

// processOf returns the process of a plugin as lists show it.
func processOf(s telemetry.PluginStatus) string {
	if s.Attached {
		return "attached"
	}
	return orDash(s.PID)
}

// why says why a plugin is not simply running, and when it starts again if that is due.
func why(s telemetry.PluginStatus, now time.Time) string {
	reason := printable(s.Reason)
	if s.State != "backing_off" || s.Next == 0 {
		return reason
	}
	next := "starts again " + until(time.Unix(0, s.Next), now)
	if reason == "" {
		return next
	}
	return next + ": " + reason // a long reason is cut, or wraps
}

// until says how long it is to t.
func until(t, now time.Time) string {
	d := t.Sub(now)
	if d <= 0 {
		return "now"
	}
	text := (d + time.Second - 1).Truncate(time.Second).String()
	for _, end := range []string{"m0s", "h0m"} {
		if whole, ok := strings.CutSuffix(text, end); ok {
			text = whole + end[:1]
		}
	}
	return "in " + text
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
