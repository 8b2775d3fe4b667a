package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

func (a *app) replay() *cobra.Command {
	var w replayWish
	c := &cobra.Command{
		Use: "replay NAME --since TIME", Short: "Give a plugin the past again", Args: cobra.ExactArgs(1),
		Long: "replay gives one processor or publisher again what it has read since a time, and no other plugin; what is new goes on meanwhile.\n" +
			"It ends when all is settled. Times are 2h, 2h ago, or 2026-01-02T15:04:05Z; the bus keeps 6 hours unless the config says otherwise.",
		Example:           "  pacewire replay influx --since 2h\n  pacewire replay influx --since 2026-01-02T15:00:00Z --until 2026-01-02T16:00:00Z --detach",
		ValidArgsFunction: a.completeOne,
		RunE: func(c *cobra.Command, args []string) error {
			w.plugin = args[0]
			o, err := w.order(time.Now())
			if err != nil {
				return err
			}
			l, err := a.link(c.Context(), w.host)
			if err != nil {
				return err
			}
			defer l.close()
			return a.replayTo(c.Context(), l, w, o)
		},
	}
	f := c.Flags()
	f.StringVar(&w.since, "since", "", "from when on: 2h, or a time such as 2026-01-02T15:04:05Z")
	f.StringVar(&w.until, "until", "", "up to when; by default up to now")
	f.BoolVar(&w.stop, "stop", false, "end the replay that is under way")
	f.BoolVar(&w.detach, "detach", false, "do not wait for its end")
	hostFlag(c, &w.host)
	spanFlag(f, &w.timeout, "timeout", "", 0, "how long to wait for its end; by default as long as it takes")
	return c
}

// A replayWish is what is to be given to whom.
type replayWish struct {
	plugin, host, since, until string
	stop, detach               bool
	timeout                    time.Duration
}

// order returns what the agent is told.
func (w replayWish) order(now time.Time) (order, error) {
	o := order{verb: "replay", args: map[string]any{"plugin": w.plugin}, doing: w.plugin + " takes another input"}
	if w.stop {
		o.args["stop"] = true
		if w.since != "" || w.until != "" {
			return o, exitWith(exitUsage, errors.New("--stop ends the replay that is under way: it has neither --since nor --until"))
		}
		return o, nil
	}
	if w.since == "" {
		return o, exitWith(exitUsage, errors.New("from when on? Say --since 2h, or a time such as 2026-01-02T15:04:05Z"))
	}
	moments := map[string]time.Time{}
	for _, f := range []struct{ name, text string }{{"since", w.since}, {"until", w.until}} {
		if f.text == "" {
			continue
		}
		t, err := momentOf(f.text, now)
		if err != nil {
			return o, exitWith(exitUsage, fmt.Errorf("--%s %q: %w", f.name, f.text, err))
		}
		moments[f.name], o.args[f.name] = t, t.UTC().Format(time.RFC3339Nano)
	}
	switch since := moments["since"]; {
	case since.After(now.Add(time.Minute)): // the clock of the agent may be a little ahead
		return o, exitWith(exitUsage, fmt.Errorf("--since %s is in the future: nothing is stored of that time yet", w.since))
	case w.until != "" && !since.Before(moments["until"]):
		return o, exitWith(exitUsage, fmt.Errorf("--since %s is not before --until %s: there is nothing between them", w.since, w.until))
	}
	return o, nil
}

// momentOf reads a time, or how long ago it was.
func momentOf(text string, now time.Time) (time.Time, error) {
	if d, err := config.ParseDuration(strings.TrimSuffix(text, " ago")); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, errors.New("want how long ago, such as 2h, or a time like 2026-01-02T15:04:05Z")
	}
	return t, nil
}

// replayed is what -o json shows of a replay; its keys are stable.
type replayed struct {
	Host     string   `json:"host"`
	Plugin   string   `json:"plugin"`
	Action   string   `json:"action"`
	Detail   string   `json:"detail"`
	Warnings []string `json:"warnings"`
	Done     bool     `json:"done"` // all is settled
	TookMS   int64    `json:"took_ms"`
	Error    *failure `json:"error,omitzero"`
}

func (a *app) replayTo(ctx context.Context, l *link, w replayWish, o order) error {
	begun := time.Now()
	shown := replayed{Host: l.host, Plugin: w.plugin, Warnings: []string{}}
	list, err := a.carryOutOne(ctx, l, operateTime, o)
	shown.Warnings = append(shown.Warnings, list.Warnings...)
	if len(list.Changes) > 0 {
		shown.Action, shown.Detail = list.Changes[0].Action, list.Changes[0].Reason
	}
	if err == nil && !w.stop && !w.detach && shown.Action != telemetry.ChangeNone {
		err = a.awaitReplay(ctx, l.conn, w)
		shown.Done = err == nil
	}
	shown.TookMS = time.Since(begun).Milliseconds()
	if err != nil {
		shown.Error = failureOf([]error{err})
	}
	return errors.Join(a.showReplay(shown, w), err)
}

// awaitReplay waits for the end of a replay, and draws how far it is.
func (a *app) awaitReplay(ctx context.Context, conn *bus.Conn, w replayWish) error {
	if w.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.timeout)
		defer cancel()
	}
	draws := isTerminal(a.err) && !a.flags.quiet
	if draws {
		defer func() { _, _ = io.WriteString(a.err, "\r"+clearLine) }()
	}
	var errands []bus.Input
	for _, stream := range []string{bus.StreamMetrics, bus.StreamEvents} {
		errands = append(errands, bus.Input{Stream: stream, Durable: bus.ReplayDurable(w.plugin)})
	}
	return awaitErrand(ctx, conn, errands, func(s bus.ConsumerState) {
		if draws {
			_, _ = fmt.Fprintf(a.err, "\r%sreplay of %s: %d %%", clearLine, w.plugin, percentOf(s))
		}
	})
}

// percentOf is how far the consumer of an errand is, by its place in the stream.
func percentOf(s bus.ConsumerState) uint64 {
	if s.AckFloor < s.From || s.End < s.From {
		return 0
	}
	return min(100, (s.AckFloor-s.From+1)*100/(s.End-s.From+1))
}

func (a *app) showReplay(r replayed, w replayWish) error {
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(r)
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(a.err, "warning: %s\n", told(warning))
	}
	took := time.Duration(r.TookMS) * time.Millisecond
	switch {
	case r.Error != nil && r.Action == "":
		return nil
	case r.Action == telemetry.ChangeNone || w.stop:
		fmt.Fprintf(a.out, "%s: %s\n", printable(r.Plugin), printable(r.Detail))
	case r.Done:
		fmt.Fprintf(a.out, "%s was given %s again, in %v\n", printable(r.Plugin), printable(r.Detail), took)
	default:
		fmt.Fprintf(a.out, "%s is given %s again; pacewire replay %s --stop ends it\n", printable(r.Plugin), printable(r.Detail), printable(r.Plugin))
	}
	return nil
}
