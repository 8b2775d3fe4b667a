package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// eventTypes are those that hubs, agents and package plugin tell. Plugins may have others.
var eventTypes = []string{"up", "overdue", "down", "left", "restarted", "rebooted", "renamed", "conflict", "flapping", "maintenance",
	"clock_step", "clock_skew", "mass_overdue", "unknown_hosts", "forgotten",
	"uplink_down", "uplink_up", "lost_spool", "uplink_refused",
	"denied", telemetry.FlagOverflow, telemetry.FlagFlood, telemetry.FlagRefused, telemetry.FlagSeries, telemetry.FlagUnread, "lost_place", telemetry.LostLetters, telemetry.FlagStorageFull, telemetry.FlagLag,
	telemetry.FlagSinkDown, telemetry.EventSinkUp, telemetry.FlagLetter}

func (a *app) events() *cobra.Command {
	var w eventWish
	c := &cobra.Command{
		Use: "events", Short: "Show what has happened to hosts and plugins", Args: cobra.NoArgs,
		Long: "events shows what the bus keeps of the last 24 hours, or since --since. With --follow it goes on with what happens; without\n" +
			"--since or -n it then shows nothing older.",
		Example: "  pacewire events --since 1h --type down\n  pacewire events --follow --host web1 -n 20",
		RunE: func(c *cobra.Command, _ []string) error {
			w.sinceGiven = c.Flags().Changed("since")
			if err := w.check(); err != nil {
				return err
			}
			conn, _, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			a.doubt(c.Context(), conn, w)
			return a.showEvents(c.Context(), conn, w)
		},
	}
	f := c.Flags()
	f.BoolVarP(&w.follow, "follow", "f", false, "go on with what happens")
	spanFlag(f, &w.since, "since", "", 24*time.Hour, "how far back")
	f.StringVar(&w.kind, "type", "", "only of this type: up, down, restarted ...")
	f.StringVar(&w.host, "host", "", "only of this host, by its id")
	f.StringVar(&w.plugin, "plugin", "", "only of this plugin; agent: of hosts as such")
	f.IntVarP(&w.last, "lines", "n", 0, "only the last so many, besides those that are followed")
	_ = c.RegisterFlagCompletionFunc("host", a.completeHosts)
	suggest(c, "type", eventTypes...)
	return c
}

// An eventWish says which events are shown.
type eventWish struct {
	follow             bool
	since              time.Duration
	sinceGiven         bool
	kind, host, plugin string
	last               int
}

func (w eventWish) check() error {
	switch {
	case w.since <= 0:
		return exitWith(exitUsage, fmt.Errorf("--since %v: want more than 0, such as 1h", w.since))
	case w.last < 0:
		return exitWith(exitUsage, fmt.Errorf("-n %d: want 0 or more events", w.last))
	}
	return nil
}

// tap says what to read for it.
func (w eventWish) tap(now time.Time) bus.TapOptions {
	part := func(name string) bus.Part {
		if name == "" {
			return bus.Any
		}
		return bus.Name(name)
	}
	o := bus.TapOptions{
		Stream: bus.StreamEvents, Once: !w.follow,
		Filters: []string{bus.Pattern(bus.AreaEvents, part(w.host), part(w.plugin), part(w.kind))},
	}
	if !w.follow || w.sinceGiven || w.last > 0 {
		o.Since = now.Add(-w.since)
	}
	return o
}

// doubt tells of a type and a host that nobody may have: both are open, so it is no fault.
func (a *app) doubt(ctx context.Context, conn *bus.Conn, w eventWish) {
	if w.kind != "" && !slices.Contains(eventTypes, w.kind) {
		hint := "those of hosts and plugins are " + strings.Join(eventTypes, ", ")
		if near := config.Suggest(w.kind, eventTypes); near != "" {
			hint = "did you mean " + near + "?"
		}
		fmt.Fprintf(a.err, "note: --type %s is none that pacewire has: %s\n", printable(w.kind), hint)
	}
	if w.host == "" {
		return
	}
	_, err := fleet{&link{conn: conn}}.host(ctx, w.host)
	if notFound(err) {
		fmt.Fprintf(a.err, "note: --host %s: %s: pacewire host list shows those there are\n", printable(w.host), printable(err.Error()))
	}
}

func (a *app) showEvents(ctx context.Context, conn *bus.Conn, w eventWish) error {
	s := &eventShower{app: a, last: w.last, behind: w.last > 0}
	err := conn.Tap(ctx, w.tap(time.Now()), s.take)
	if errors.Is(err, bus.ErrNoStream) {
		return exitWith(exitNoBus, fmt.Errorf(`this bus keeps no events yet (%w): start "pacewire up" or "pacewire hub"`, err))
	}
	return errors.Join(err, s.release())
}

// An eventShower prints events, of those that are there already the last ones only.
type eventShower struct {
	app    *app
	last   int // of what is there already; 0: all
	behind bool
	held   []telemetry.Event
	batch  telemetry.Batch
}

func (s *eventShower) take(m bus.Tapped) error {
	s.held = append(s.held, s.eventsOf(m)...)
	if s.behind {
		s.held = s.held[max(len(s.held)-s.last, 0):]
		s.behind = m.Pending > 0
	}
	if s.behind {
		return nil
	}
	return s.release()
}

// release prints what is held.
func (s *eventShower) release() error {
	for _, e := range s.held {
		if err := s.app.showEvent(e); err != nil {
			return err
		}
	}
	s.held = s.held[:0]
	return nil
}

// eventsOf returns the events of a message. One that cannot be read, or holds points of other series, is one by its subject.
func (s *eventShower) eventsOf(m bus.Tapped) []telemetry.Event {
	bare := telemetry.Event{ID: m.ID, Time: m.Stored.UnixNano(), Host: m.Subject.Host, Plugin: m.Subject.Plugin, Type: m.Subject.Verb}
	list, err := m.Events(&s.batch)
	if err != nil {
		bare.Message = "cannot be read: " + err.Error()
		return []telemetry.Event{bare}
	}
	if len(list) == 0 {
		bare.Message = strings.TrimSpace(string(s.batch.AppendLines(nil)))
		return []telemetry.Event{bare}
	}
	return list
}

// eventRow is an event as -o json shows it: the keys of telemetry.Event, and the time for people.
type eventRow struct {
	At time.Time `json:"at"`
	telemetry.Event
}

func (a *app) showEvent(e telemetry.Event) error {
	if a.flags.output == "json" {
		return json.NewEncoder(a.out).Encode(eventRow{timeOf(e.Time), e})
	}
	_, err := io.WriteString(a.out, eventText(e)+"\n")
	return err
}

// eventText writes an event for people: when, what, to whom, in words.
func eventText(e telemetry.Event) string {
	text := fmt.Sprintf("%s  %-12s  %-20s  %s", time.Unix(0, e.Time).Format("2006-01-02 15:04:05"), printable(e.Type), printable(e.Host+"/"+e.Plugin), printable(e.Message))
	if e.Silenced {
		text += " (silenced)"
	}
	return text
}
