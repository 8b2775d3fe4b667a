package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/telemetry"
)

// waitPoll is how often somebody who waits asks.
const waitPoll = 500 * time.Millisecond

func (a *app) hostWait() *cobra.Command {
	var state string
	var limit time.Duration
	c := &cobra.Command{
		Use: "wait HOST", Short: "Wait until a host is UP, or in another state", Args: cobra.ExactArgs(1),
		Long: "wait ends when the host is in the state; it waits for one that the hub does not know yet, and for the hub too.\n" +
			"When the time has run out the exit code is 75.",
		Example:           "  pacewire host wait web7 --timeout 5m\n  pacewire host wait web7 --state left",
		ValidArgsFunction: a.completeOneHost,
		RunE: func(c *cobra.Command, args []string) error {
			want, err := hostState(state)
			if err != nil {
				return err
			}
			if limit <= 0 {
				return exitWith(exitUsage, fmt.Errorf("--timeout %v: want more than 0, such as 60s", limit))
			}
			return a.withFleet(c.Context(), func(f fleet) error {
				h, err := waitFor(c.Context(), f, args[0], want, limit)
				if err != nil {
					return err
				}
				if a.flags.output == "json" {
					return json.NewEncoder(a.out).Encode(asHostRow(h))
				}
				_, err = fmt.Fprintf(a.out, "%s is %s for %s\n", args[0], h.State, since(h.Since))
				return err
			})
		},
	}
	c.Flags().StringVar(&state, "state", telemetry.HostUp, "what to wait for: up, down, overdue, unknown or left")
	spanFlag(c.Flags(), &limit, "timeout", "", 60*time.Second, "how long to wait")
	suggest(c, "state", hostStates...)
	return c
}

// waitFor asks for a host until it is in a state. Nobody to ask, and no such host, are worth waiting too.
func waitFor(ctx context.Context, f fleet, name, want string, limit time.Duration) (telemetry.HostStatus, error) {
	waiting, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	t := time.NewTicker(waitPoll)
	defer t.Stop()
	last := "nobody has told how it is"
	for {
		h, err := f.host(waiting, name)
		switch {
		case err == nil && h.State == want:
			return h, nil
		case waiting.Err() != nil:
		case err == nil:
			last = fmt.Sprintf("it is %s", h.State)
			if h.Reason != "" {
				last += " (" + printable(h.Reason) + ")"
			}
		case silent(err) || notFound(err):
			last = err.Error()
		default:
			return h, err
		}
		select {
		case <-t.C:
		case <-waiting.Done():
			if ctx.Err() != nil {
				return h, fmt.Errorf("interrupted before %s was %s: %s", name, want, last)
			}
			return h, exitWith(exitTryAgain, fmt.Errorf("%s is not %s after %v: %s", name, want, limit, last))
		}
	}
}
