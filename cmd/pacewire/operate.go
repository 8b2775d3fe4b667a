package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// operateTime is how long a verb waits for what an agent does, unless --timeout says otherwise: longer than a swap may take.
const operateTime = 60 * time.Second

// aim is where an operation goes.
type aim struct {
	host    string
	timeout time.Duration
}

// flags adds the flags that tell the aim.
func (m *aim) flags(c *cobra.Command) {
	hostFlag(c, &m.host)
	c.Flags().DurationVar(&m.timeout, "timeout", operateTime, "how long to wait for it")
}

func hostFlag(c *cobra.Command, host *string) {
	c.Flags().StringVar(host, "host", "", "of another host on the bus")
	_ = c.RegisterFlagCompletionFunc("host", completeHost)
}

// An order is what an agent is told to do.
type order struct {
	verb  string
	args  map[string]any
	doing string // for who waits
}

func (a *app) pluginStart() *cobra.Command {
	return a.ordinary("start", "Start plugins that are stopped or failed",
		"start starts plugins, at once also those that wait for their next start, and forgets how often they have failed.",
		"its first heartbeat is awaited", "  pacewire plugin start tidy\n  pacewire plugin start host disk --host web1")
}

func (a *app) pluginStop() *cobra.Command {
	return a.ordinary("stop", "Stop plugins; they finish first what they have begun",
		"stop lets plugins drain and ends them. They run again with pacewire plugin start, or when the agent starts anew.",
		"it drains", "  pacewire plugin stop tidy\n  pacewire plugin stop influx --timeout 2m")
}

func (a *app) pluginRestart() *cobra.Command {
	return a.ordinary("restart", "Stop plugins and start them again",
		"restart lets plugins drain, ends them and starts them again. Without a gap does it pacewire plugin upgrade.",
		"it drains and begins again", "  pacewire plugin restart tidy\n  pacewire plugin restart tidy -o json")
}

func (a *app) pluginUnload() *cobra.Command {
	return a.ordinary("unload", "Stop plugins and forget them",
		"unload lets plugins drain and takes back what was loaded or swapped. Config files stay as they are: a plugin that stands\n"+
			"there is back with the next reload. A plugin that others read is refused.",
		"it drains", "  pacewire plugin unload trial\n  pacewire plugin unload trial --host web1")
}

func (a *app) pluginUpgrade() *cobra.Command {
	return a.ordinary("upgrade", "Put new processes in the place of running ones, after a program has changed",
		"upgrade starts the same command again beside the old process, which ends when the new one works well.\n"+
			"If that does not come about, the old one has never stopped.",
		"the new process makes itself ready", "  pacewire plugin upgrade nginx\n  pacewire plugin upgrade nginx tidy --timeout 2m")
}

// ordinary returns a verb that does the same to each plugin it is given.
func (a *app) ordinary(verb, short, long, doing, example string) *cobra.Command {
	var to aim
	c := &cobra.Command{
		Use: verb + " NAME...", Short: short, Long: long, Example: example, Args: cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completePlugins,
		RunE: func(c *cobra.Command, names []string) error {
			var orders []order
			for _, name := range names {
				orders = append(orders, order{verb, map[string]any{"plugin": name}, verb + " " + name + ": " + doing})
			}
			return a.carryOut(c.Context(), to, orders...)
		},
	}
	to.flags(c)
	return c
}

// carryOut gives orders to an agent, one after the other, and shows what became of them. An order that is refused does not
// keep back the next one; an agent that is silent does.
func (a *app) carryOut(ctx context.Context, to aim, orders ...order) error {
	l, err := a.link(ctx, to.host)
	if err != nil {
		return err
	}
	defer l.close()
	var all telemetry.ChangeList
	var faults []error
	for _, o := range orders {
		done, err := a.carryOutOne(ctx, l, to.timeout, o)
		all.Changes = append(all.Changes, done.Changes...)
		all.Warnings = append(all.Warnings, done.Warnings...)
		all.DryRun = done.DryRun
		if err != nil {
			faults = append(faults, err)
		}
		if _, silent := errors.AsType[*unanswered](err); silent {
			break
		}
	}
	for _, c := range all.Changes {
		if c.Error != "" {
			faults = append(faults, fmt.Errorf("%s of %s came to nothing: %s", c.Action, c.Plugin, told(c.Error)))
		}
	}
	if err := a.showChanges(l.host, all, len(faults) == 0); err != nil || len(faults) == 0 {
		return err
	}
	return exitWith(codeOf(faults[0]), errors.Join(faults...))
}

func (a *app) carryOutOne(ctx context.Context, l *link, limit time.Duration, o order) (telemetry.ChangeList, error) {
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := a.progress(o.doing)
	payload, err := l.request(waiting, o.verb, o.args)
	done()
	if errors.Is(err, bus.ErrTimeout) {
		err = fmt.Errorf("%w (%s): what it began goes on, pacewire plugin list shows how it stands; --timeout sets how long to wait", err, limit)
	}
	if err != nil {
		return telemetry.ChangeList{}, err
	}
	list, _, err := telemetry.DecodeChangeList(payload)
	if err != nil {
		return list, fmt.Errorf("answer of the agent of %s: %w", l.host, err)
	}
	return list, nil
}

// changes is what -o json shows of an operation; its keys are stable.
type changes struct {
	Host     string    `json:"host"`
	DryRun   bool      `json:"dry_run"`
	Changes  []changed `json:"changes"`
	Warnings []string  `json:"warnings"`
}

type changed struct {
	Plugin string `json:"plugin"`
	Action string `json:"action"`
	Reason string `json:"reason"`
	Error  string `json:"error"`
	OldPID int64  `json:"old_pid"`
	PID    int64  `json:"pid"`
	TookMS int64  `json:"took_ms"`
}

// showChanges shows what an agent did, or would do; good says that there is nothing else to be told.
func (a *app) showChanges(host string, list telemetry.ChangeList, good bool) error {
	if a.flags.output == "json" {
		shown := changes{host, list.DryRun, []changed{}, append([]string{}, list.Warnings...)}
		for _, c := range list.Changes {
			shown.Changes = append(shown.Changes, changed(c))
		}
		return json.NewEncoder(a.out).Encode(shown)
	}
	for _, w := range list.Warnings {
		fmt.Fprintf(a.err, "warning: %s\n", told(w))
	}
	if list.DryRun {
		fmt.Fprintln(a.err, "dry run: nothing was done")
	}
	rows, same := list.Changes[:0:0], 0
	for _, c := range list.Changes {
		if c.Action == telemetry.ChangeNone && c.Error == "" {
			same++
			continue
		}
		rows = append(rows, c)
	}
	if len(rows) > 0 {
		if err := a.table("PLUGIN\tACTION\tPID\tTOOK\tREASON", func(w io.Writer) {
			for _, c := range rows {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(c.Plugin), printable(action(c)), pids(c), took(c), printable(c.Reason))
			}
		}); err != nil {
			return err
		}
	}
	if good && (same > 0 || len(rows) == 0) {
		_, err := fmt.Fprintln(a.out, unchanged(same, len(rows)))
		return err
	}
	return nil
}

// unchanged says of how many plugins nothing is to be told.
func unchanged(same, others int) string {
	switch {
	case others == 0:
		return "no plugin has changed"
	case same == 1:
		return "1 plugin stays as it is"
	}
	return fmt.Sprintf("%d plugins stay as they are", same)
}

func action(c telemetry.Change) string {
	if c.Error != "" {
		return c.Action + " (failed)"
	}
	return c.Action
}

// pids writes the processes before and after.
func pids(c telemetry.Change) string {
	if c.OldPID == 0 || c.OldPID == c.PID {
		return orDash(c.PID)
	}
	return orDash(c.OldPID) + " → " + orDash(c.PID)
}

func took(c telemetry.Change) string {
	if c.TookMS == 0 {
		return "-"
	}
	return (time.Duration(c.TookMS) * time.Millisecond).String()
}
