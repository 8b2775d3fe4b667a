package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
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
	spanFlag(c.Flags(), &m.timeout, "timeout", "", operateTime, "how long to wait for it")
}

func (m *aim) check() error {
	if m.timeout <= 0 {
		return exitWith(exitUsage, fmt.Errorf("--timeout %v: want more than 0, such as 30s", m.timeout))
	}
	return nil
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
			return a.carryOut(c.Context(), to, func() ([]order, error) {
				var orders []order
				for _, name := range names {
					orders = append(orders, order{verb, map[string]any{"plugin": name}, verb + " " + name + ": " + doing})
				}
				return orders, nil
			})
		},
	}
	to.flags(c)
	return c
}

// carryOut prepares orders, gives them to an agent, and shows what became of them.
func (a *app) carryOut(ctx context.Context, to aim, prepare func() ([]order, error)) error {
	if err := to.check(); err != nil {
		return a.finish(to.host, telemetry.ChangeList{}, err)
	}
	orders, err := prepare()
	if err != nil {
		return a.finish(to.host, telemetry.ChangeList{}, err)
	}
	l, err := a.link(ctx, to.host)
	if err != nil {
		return a.finish(to.host, telemetry.ChangeList{}, err)
	}
	defer l.close()
	list, faults := a.carryOutAll(ctx, l, to.timeout, orders)
	return a.finish(l.host, list, faults...)
}

// carryOutAll gives orders one after the other. One that is refused does not keep back the next one; an agent that is silent does.
func (a *app) carryOutAll(ctx context.Context, l *link, limit time.Duration, orders []order) (all telemetry.ChangeList, faults []error) {
	for _, o := range orders {
		done, err := a.carryOutOne(ctx, l, limit, o)
		all.Changes = append(all.Changes, done.Changes...)
		all.Warnings = append(all.Warnings, done.Warnings...)
		all.DryRun = done.DryRun || o.args["dry_run"] == true
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
	return all, faults
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
	for n := range list.Changes {
		list.Changes[n] = o.already(list.Changes[n])
	}
	return list, nil
}

// already notes in a change that the plugin was before what the order is to make of it.
func (o order) already(c telemetry.Change) telemetry.Change {
	was := map[string]string{"start": "already running", "stop": "already stopped"}[o.verb]
	if o.verb == "start" && c.PID != 0 && c.PID == c.OldPID {
		c.Action = telemetry.ChangeNone // the agent had nothing to start
	}
	if c.Action == telemetry.ChangeNone && c.Error == "" {
		c.Reason = cmp.Or(c.Reason, was)
	}
	return c
}
