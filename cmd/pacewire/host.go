package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/telemetry"
)

// hostStates are the states of a host, the worst first.
var hostStates = []string{telemetry.HostDown, telemetry.HostOverdue, telemetry.HostUnknown, telemetry.HostUp, telemetry.HostLeft}

func (a *app) host() *cobra.Command {
	c := &cobra.Command{Use: "host", Short: "Look at the hosts of the bus, and operate them"}
	c.AddCommand(a.hostList(), a.hostInfo(), a.hostRefresh(), a.hostForget(), a.hostSilence(), a.hostWait())
	return c
}

// withFleet gives do the hub for as long as it takes.
func (a *app) withFleet(ctx context.Context, do func(fleet) error) error {
	f, err := a.fleet(ctx)
	if err != nil {
		return err
	}
	defer f.close()
	return do(f)
}

func (a *app) completeHosts(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(c.Context(), completeTime)
	defer cancel()
	var names []string
	_ = a.withFleet(ctx, func(f fleet) error {
		list, err := f.hosts(ctx, nil)
		names = namesOf(list)
		return err
	})
	return without(names, args), noFiles
}

// completeOneHost is for verbs that take one host.
func (a *app) completeOneHost(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, noFiles
	}
	return a.completeHosts(c, args, word)
}

// hostChange is what -o json shows of a change to a host; its keys are stable.
type hostChange struct {
	Host  string    `json:"host"`
	Until time.Time `json:"until,omitzero"` // end of the silence
	Error *failure  `json:"error,omitzero"` // nil: it is done
}

// finishHost shows what became of a change to a host: done says it to people.
func (a *app) finishHost(change hostChange, done string, err error) error {
	if a.flags.output == "json" {
		if err != nil {
			change.Error = failureOf([]error{err})
		}
		return errors.Join(json.NewEncoder(a.out).Encode(change), err)
	}
	if err == nil {
		_, err = fmt.Fprintln(a.out, done)
	}
	return err
}

func (a *app) hostForget() *cobra.Command {
	return &cobra.Command{
		Use: "forget HOST", Short: "Drop a host and its inventory", Args: cobra.ExactArgs(1),
		Long: "forget drops a host from the list, with all that is known of it. One that still beats is back with its next heartbeat,\n" +
			"as a new host.",
		Example:           "  pacewire host forget web7\n  pacewire host forget web7 -o json",
		ValidArgsFunction: a.completeOneHost,
		RunE: func(c *cobra.Command, args []string) error {
			name := args[0]
			err := a.withFleet(c.Context(), func(f fleet) error {
				ctx, cancel := context.WithTimeout(c.Context(), askTime)
				defer cancel()
				_, err := f.request(ctx, "forget", map[string]any{"host": name})
				return f.near(c.Context(), name, err)
			})
			return a.finishHost(hostChange{Host: name}, name+" is forgotten", err)
		},
	}
}

func (a *app) hostSilence() *cobra.Command {
	var span time.Duration
	var end bool
	c := &cobra.Command{
		Use: "silence HOST (--for DURATION | --end)", Short: "Raise no alarm about a host for a while", Args: cobra.ExactArgs(1),
		Long: "silence begins maintenance of a host: its state goes on changing and is shown, but nobody is told of it. It ends by\n" +
			"itself, or with --end.",
		Example:           "  pacewire host silence web7 --for 2h\n  pacewire host silence web7 --end",
		ValidArgsFunction: a.completeOneHost,
		RunE: func(c *cobra.Command, args []string) error {
			name := args[0]
			until, err := a.silence(c, name, span, end)
			done := name + " raises alarms again"
			if !end {
				done = name + " raises no alarm until " + until.Local().Format("2006-01-02 15:04:05")
			}
			return a.finishHost(hostChange{Host: name, Until: until}, done, err)
		},
	}
	spanFlag(c.Flags(), &span, "for", "", 0, "how long, such as 2h or 1d")
	c.Flags().BoolVar(&end, "end", false, "end it now")
	return c
}

// silence asks for it, and returns until when it lasts.
func (a *app) silence(c *cobra.Command, name string, span time.Duration, end bool) (until time.Time, err error) {
	switch {
	case end == c.Flags().Changed("for"):
		return until, exitWith(exitUsage, errors.New("say how long (--for 2h), or --end"))
	case !end && span < time.Second:
		return until, exitWith(exitUsage, fmt.Errorf("--for %v: want 1s or more, such as 2h", span))
	}
	err = a.withFleet(c.Context(), func(f fleet) error {
		h, err := f.one(c.Context(), "silence", name, map[string]any{"host": name, "ms": span.Milliseconds()})
		until = timeOf(h.Until)
		return err
	})
	return until, err
}

// byState orders hosts by their states, the worst first, then by their ids.
func byState(list []telemetry.HostStatus) {
	rank := func(h telemetry.HostStatus) int {
		if i := slices.Index(hostStates, h.State); i >= 0 {
			return i
		}
		return len(hostStates)
	}
	slices.SortStableFunc(list, func(a, b telemetry.HostStatus) int {
		if d := rank(a) - rank(b); d != 0 {
			return d
		}
		return strings.Compare(a.Host, b.Host)
	})
}
