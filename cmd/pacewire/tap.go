package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// errEnough ends a tap that has shown what was asked for.
var errEnough = errors.New("enough")

func (a *app) tap() *cobra.Command {
	var count int
	var span time.Duration
	var format string
	c := &cobra.Command{
		Use: "tap [PLUGIN...]", Short: "Show points as they go by",
		Long:              "tap prints the points that the named plugins, or all, put on the bus. It reads by a consumer of its own and slows nobody down.",
		Example:           "  pacewire tap host -n 20\n  pacewire tap -f json -d 10s",
		ValidArgsFunction: a.completePlugins,
		RunE: func(c *cobra.Command, args []string) error {
			if a.flags.output == "json" && !c.Flags().Changed("format") {
				format = "json"
			}
			if format != "line" && format != "json" {
				return exitWith(exitUsage, fmt.Errorf("format %q: want line or json", format))
			}
			conn, here, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			if err := a.known(c.Context(), conn, here, args); err != nil {
				return err
			}
			ctx := c.Context()
			if span > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, span)
				defer cancel()
			}
			o := bus.TapOptions{Stream: bus.StreamMetrics}
			for _, name := range args {
				o.Filters = append(o.Filters, bus.MetricsFilter(name))
			}
			err = conn.Tap(ctx, o, a.shower(format, count))
			if errors.Is(err, errEnough) {
				return nil
			}
			return err
		},
	}
	c.Flags().IntVarP(&count, "count", "n", 0, "end after so many points")
	spanFlag(c.Flags(), &span, "duration", "d", 0, "end after a time")
	c.Flags().StringVarP(&format, "format", "f", "line", "line (line protocol) or json")
	suggest(c, "format", "line", "json")
	return c
}

// known complains about names that no plugin of this machine has: a tap of them would wait for ever. On a bus that others
// use too it only warns, and says nothing where no agent answers: the points may come from elsewhere.
func (a *app) known(ctx context.Context, conn *bus.Conn, host string, names []string) error {
	if len(names) == 0 {
		return nil
	}
	list, err := ask(ctx, conn, host, "list", nil)
	if err != nil {
		return nil //nolint:nilerr // points need no agent
	}
	have := []string{"send", bus.Agent}
	for _, s := range list {
		have = append(have, s.Name)
	}
	n, err := readNote()
	ours := err == nil && n.Embedded && a.flags.bus == ""
	for _, name := range names {
		if slices.Contains(have, name) {
			continue
		}
		hint := "it has " + strings.Join(have[2:], ", ")
		if near := config.Suggest(name, have); near != "" {
			hint = "did you mean " + near + "?"
		}
		if ours {
			return exitWith(exitUsage, fmt.Errorf("host %s has no plugin %q: %s", host, name, hint))
		}
		fmt.Fprintf(a.err, "warning: host %s has no plugin %q: %s\n", host, name, hint)
	}
	return nil
}

// shower returns a function that prints messages, count points of them if that is above 0.
func (a *app) shower(format string, count int) func(bus.Tapped) error {
	var b telemetry.Batch
	var buf []byte
	shown := 0
	return func(m bus.Tapped) error {
		if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
			fmt.Fprintf(a.err, "%s: %s\n", m.Subject.Raw, printable(err.Error()))
			return nil
		}
		b.DefaultTag("host", m.Subject.Host)
		if count > 0 {
			b.Slice(0, count-shown)
		}
		if format == "json" {
			buf = b.AppendPoints(buf[:0])
		} else {
			buf = b.AppendLines(buf[:0])
		}
		shown += b.Len()
		if isTerminal(a.out) {
			buf = harmless(buf)
		}
		if _, err := a.out.Write(buf); err != nil {
			return err
		}
		if count > 0 && shown >= count {
			return errEnough
		}
		return nil
	}
}

// harmless returns lines as a terminal may show them: texts of points are anybody's, and may hold what would move its cursor.
func harmless(text []byte) []byte {
	var out []byte
	for line := range strings.Lines(string(text)) {
		out = append(append(out, printable(strings.TrimSuffix(line, "\n"))...), '\n')
	}
	return out
}
