package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/lmittmann/tint"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/host"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// A screen is the live status of up on a terminal: plugins with their rates, the latest points, the last log lines. It is
// drawn over itself once a second.
type screen struct {
	out   io.Writer
	plain bool // no colours

	mu     sync.Mutex
	log    []string
	points map[string]string // the latest by series
	before map[string]uint64 // points of each plugin a second ago
	drawn  int               // lines
	done   chan struct{}
	wait   sync.WaitGroup
}

const (
	logLines   = 6
	pointLines = 14
	lineWidth  = 110
)

func newScreen(out io.Writer, plain bool) *screen {
	return &screen{out: out, plain: plain, points: map[string]string{}, before: map[string]uint64{}, done: make(chan struct{})}
}

// logHandler writes log records into the screen.
func (s *screen) logHandler() slog.Handler {
	return tint.NewTextHandler(s, &tint.Options{Level: slog.LevelInfo, TimeFormat: "15:04:05", NoColor: s.plain})
}

// Write takes a line of the log.
func (s *screen) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, strings.TrimRight(string(line), "\n"))
	if len(s.log) > logLines {
		s.log = s.log[len(s.log)-logLines:]
	}
	return len(line), nil
}

// follow draws what h does, once a second, until close.
func (s *screen) follow(ctx context.Context, h *host.Host, o host.Options, c *config.Settings) {
	where := destinations(c)
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.wait.Go(func() {
		defer cancel()
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			s.draw(h, where)
			select {
			case <-s.done:
				s.draw(h, where)
				return
			case <-t.C:
			}
		}
	})
	s.wait.Go(func() { s.tap(ctx, o) })
}

func (s *screen) close() {
	close(s.done)
	s.wait.Wait()
}

// tap keeps the latest point of each series.
func (s *screen) tap(ctx context.Context, o host.Options) {
	conn, err := bus.Dial(ctx, bus.Options{URL: o.URL, CredsFile: o.Creds, TLS: o.TLS, User: operator, Name: "pacewire up status"})
	if err != nil {
		return
	}
	defer conn.Close()
	var b telemetry.Batch
	see := func(m bus.Tapped) error {
		if m.Subject.Plugin == bus.Agent || b.Decode(m.ContentType, "", m.Body, m.Stored) != nil {
			return nil
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for g := range b.Groups() {
			s.points[g.Series] = oneLine(g.Point(0))
		}
		return nil
	}
	for ctx.Err() == nil {
		if err := conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamMetrics, Last: true}, see); err != nil {
			select { // the stream is not there yet
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}
}

// oneLine writes a point for people.
func oneLine(p telemetry.Point) string {
	var b strings.Builder
	b.WriteString(p.Series)
	for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
		if key != "host" {
			fmt.Fprintf(&b, " %s=%s", key, p.Tags[key])
		}
	}
	b.WriteString(" ")
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		if f, ok := p.Fields[name].(float64); ok {
			fmt.Fprintf(&b, " %s=%.4g", name, f)
			continue
		}
		fmt.Fprintf(&b, " %s=%v", name, p.Fields[name])
	}
	return printable(b.String())
}

// destinations says where the points of the publishers go, as far as the config tells.
func destinations(c *config.Settings) map[string]string {
	where := map[string]string{}
	for _, p := range c.Plugins {
		var settings map[string]any
		if p.Kind != config.Publisher || json.Unmarshal(p.Shown, &settings) != nil {
			continue
		}
		for _, key := range []string{"path", "url", "listen"} {
			if text, ok := settings[key].(string); ok {
				where[p.Name] = text
			}
		}
	}
	return where
}

// draw writes the screen over the one before.
func (s *screen) draw(h *host.Host, where map[string]string) {
	statuses := h.Statuses()
	s.mu.Lock()
	defer s.mu.Unlock()
	var text bytes.Buffer
	fmt.Fprintf(&text, "pacewire  %s  %d plugins  Ctrl-C drains and ends\n\n", time.Now().Format("15:04:05"), len(statuses))
	s.table(&text, statuses, where)
	text.WriteString("\nlatest points\n")
	series := slices.Sorted(maps.Keys(s.points))
	for i, name := range series {
		if i == pointLines {
			fmt.Fprintf(&text, "  and %d more series: pacewire tap\n", len(series)-pointLines)
			break
		}
		fmt.Fprintf(&text, "  %s\n", cutLine(s.points[name]))
	}
	text.WriteString("\n")
	for _, line := range s.log {
		fmt.Fprintf(&text, "%s\n", line)
	}
	s.replace(text.String())
}

func (s *screen) table(to io.Writer, statuses []telemetry.PluginStatus, where map[string]string) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  PLUGIN\tKIND\tSTATE\tPOINTS/S\tPOINTS\tMEMORY\tPID\tRESTARTS\tGOES TO")
	for _, st := range statuses {
		n := uint64(0)
		if st.Stats != nil {
			n = st.Stats.PointsOut
		}
		rate := n - min(n, s.before[st.Name])
		s.before[st.Name] = n
		note := where[st.Name]
		if st.Reason != "" {
			note = printable(st.Reason)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%d\t%d\t%s\t%s\t%d\t%s\n",
			st.Name, st.Kind, st.State, rate, n, size(st.RSS), orDash(st.PID), st.Restarts, note)
	}
	w.Flush()
}

func cutLine(line string) string {
	if r := []rune(line); len(r) > lineWidth {
		return string(r[:lineWidth-1]) + "…"
	}
	return line
}

// replace clears the lines drawn before and writes text.
func (s *screen) replace(text string) {
	var b strings.Builder
	if s.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.drawn)
	}
	for line := range strings.Lines(text) {
		b.WriteString("\r\x1b[2K" + line)
	}
	b.WriteString("\x1b[J")
	s.drawn = strings.Count(text, "\n")
	_, _ = io.WriteString(s.out, b.String())
}
