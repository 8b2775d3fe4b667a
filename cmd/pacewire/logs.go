package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/journal"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	logPoll = 500 * time.Millisecond // how often new lines are asked for
	goneFor = 15 * time.Second       // a plugin that is unknown for so long was unloaded; an agent that starts knows it sooner
)

func (a *app) pluginLogs() *cobra.Command {
	f := follower{app: a}
	var follow bool
	var level string
	c := &cobra.Command{
		Use: "logs NAME", Short: "Show what a plugin printed", Args: cobra.ExactArgs(1),
		Long: "logs shows the last lines that a plugin printed, of all its processes, and what its agent noted between them.\n" +
			"Lines without a level of their own are info from stdout and warn from stderr.",
		Example:           "  pacewire plugin logs tidy\n  pacewire plugin logs nginx -f --level warn",
		ValidArgsFunction: a.completeOne,
		RunE: func(c *cobra.Command, args []string) error {
			least, ok := journal.ParseLevel(level)
			if !ok {
				return exitWith(exitUsage, fmt.Errorf("--level %q: want debug, info, warn or error", level))
			}
			if f.last < 0 {
				return exitWith(exitUsage, fmt.Errorf("-n %d: want 0 or more lines", f.last))
			}
			f.name, f.least = args[0], least
			return f.run(c.Context(), follow)
		},
	}
	hostFlag(c, &f.host)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on with lines as they are printed")
	c.Flags().IntVarP(&f.last, "lines", "n", 50, "how many of the last lines")
	c.Flags().StringVar(&level, "level", "debug", "no lines below this level: debug, info, warn or error")
	suggest(c, "level", "debug", "info", "warn", "error")
	return c
}

// A follower shows the lines of one plugin.
type follower struct {
	app        *app
	host, name string
	least      slog.Level
	last       int

	after uint64 // the last line it has got
	away  bool   // it has said that it waits for the agent
	gone  time.Time
}

func (f *follower) run(ctx context.Context, follow bool) error {
	l, err := f.app.link(ctx, f.host)
	if err != nil {
		return err
	}
	defer func() { l.close() }()
	lines, err := f.begin(ctx, l)
	if err != nil {
		return err
	}
	if err := f.show(lines); err != nil || !follow {
		return err
	}
	t := time.NewTicker(logPoll)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		err := f.more(ctx, l)
		if err == nil || ctx.Err() != nil {
			continue
		}
		if err := f.bear(err); err != nil {
			return err
		}
		if !f.away {
			continue
		}
		if fresh, err := f.app.link(ctx, f.host); err == nil { // an agent that starts again may have its bus elsewhere
			l.close()
			l = fresh
		}
	}
}

// begin returns the last lines that are wanted.
func (f *follower) begin(ctx context.Context, l *link) ([]telemetry.LogLine, error) {
	tail := max(f.last, 1)
	if f.least > slog.LevelDebug {
		tail = 0 // the last that count may stand far up
	}
	var all []telemetry.LogLine
	for more := true; more; {
		p, err := f.page(ctx, l, tail)
		if err != nil {
			return nil, err
		}
		all = append(all, p.Lines...)
		tail, more = 0, p.More
	}
	return all[max(len(all)-f.last, 0):], nil
}

// more shows the lines since.
func (f *follower) more(ctx context.Context, l *link) error {
	for {
		p, err := f.page(ctx, l, 0)
		if err != nil {
			return err
		}
		if f.away {
			fmt.Fprintln(f.app.err, "the agent answers again")
		}
		f.away, f.gone = false, time.Time{}
		if p.Lost > 0 {
			fmt.Fprintf(f.app.err, "%s out\n", amount.Of(p.Lost, "line is lost: newer ones pushed it", "lines are lost: newer ones pushed them"))
		}
		if err := f.show(p.Lines); err != nil || !p.More {
			return err
		}
	}
}

// page asks for the lines after the last one, a tail above 0 for no more than so many, and returns those that are wanted.
func (f *follower) page(ctx context.Context, l *link, tail int) (telemetry.LogPage, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	payload, err := l.request(ctx, "logs", map[string]any{"plugin": f.name, "after": f.after, "tail": tail})
	if err != nil {
		return telemetry.LogPage{}, err
	}
	p, _, err := telemetry.DecodeLogPage(payload)
	if err != nil {
		return p, fmt.Errorf("answer of the agent of %s: %w", l.host, err)
	}
	f.after = p.Next
	p.Lines = slices.DeleteFunc(p.Lines, func(l telemetry.LogLine) bool { return !f.wanted(l) })
	return p, nil
}

// bear returns an error only if it is not worth waiting.
func (f *follower) bear(err error) error {
	_, silent := errors.AsType[*unanswered](err)
	switch {
	case silent && codeOf(err) != exitConfig:
		if !f.away {
			fmt.Fprintln(f.app.err, "the agent does not answer; waiting for it")
		}
		f.away = true
		return nil
	case notFound(err):
		if f.gone.IsZero() {
			f.gone = time.Now()
		}
		if time.Since(f.gone) < goneFor {
			return nil
		}
	}
	return err
}

func (f *follower) wanted(l telemetry.LogLine) bool {
	level, known := journal.ParseLevel(l.Level)
	return !known || level >= f.least
}

// printed is a line as -o json shows it; its keys are stable.
type printed struct {
	Time   time.Time `json:"time"`
	Seq    uint64    `json:"seq"`
	Stream string    `json:"stream"`
	Level  string    `json:"level"`
	PID    int64     `json:"pid"`
	Text   string    `json:"text"`
}

func (f *follower) show(lines []telemetry.LogLine) error {
	out := f.app.out
	for _, l := range lines {
		var err error
		if f.app.flags.output == "json" {
			err = json.NewEncoder(out).Encode(printed{time.Unix(0, l.Time).UTC(), l.Seq, l.Stream, l.Level, l.PID, l.Text})
		} else {
			_, err = io.WriteString(out, lineText(l, isTerminal(out) && !f.app.flags.noColor)+"\n")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// lineText writes a line for people: when, how bad, of which process, what.
func lineText(l telemetry.LogLine, coloured bool) string {
	who := l.Stream
	if l.PID != 0 {
		who = orDash(l.PID)
	}
	level := fmt.Sprintf("%-5s", strings.ToUpper(printable(l.Level)))
	if coloured {
		level = colour(l.Level) + level + noColour
	}
	return fmt.Sprintf("%s %s %s  %s", time.Unix(0, l.Time).Format("2006-01-02 15:04:05.000"), level, printable(who), printable(l.Text))
}

// colour returns the code for a level.
func colour(level string) string {
	switch level {
	case "error":
		return "\x1b[31m"
	case "warn":
		return "\x1b[33m"
	case "debug":
		return "\x1b[2m"
	}
	return ""
}
