package main

import (
	"cmp"
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
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// A screen is the live status of up on a terminal: plugins with their rates, the latest points, the last log lines. It is
// drawn anew once a second, as large as the terminal then is, on the terminal's second buffer: what stood there before
// stands there again in the end.
type screen struct {
	out   io.Writer
	size  func() (width, height int)
	plain bool // no colours

	where     map[string]string        // what publishers write to
	intervals map[string]time.Duration // how often a plugin's points come, where that is known

	mu     sync.Mutex
	live   bool     // drawn; else log lines go to the terminal as they are
	log    []string // since live, the last ones
	points map[string]seen
	counts map[string]*tally
	drawn  [2]int // width and height
	done   chan struct{}
	wait   sync.WaitGroup
}

// seen is the latest point of a series.
type seen struct {
	text   string
	plugin string
	at     time.Time
}

// logLines is how many lines of the log are shown.
const logLines = 6

func newScreen(out io.Writer, plain bool) *screen {
	return &screen{out: out, size: func() (int, int) { return terminalSize(out) }, plain: plain,
		points: map[string]seen{}, counts: map[string]*tally{}, done: make(chan struct{})}
}

// logHandler writes log records into the screen.
func (s *screen) logHandler() slog.Handler {
	return tint.NewTextHandler(s, &tint.Options{Level: slog.LevelInfo, TimeFormat: "15:04:05", NoColor: s.plain})
}

// Write takes a line of the log.
func (s *screen) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live {
		return s.out.Write(line)
	}
	s.log = append(s.log, strings.TrimRight(string(line), "\n"))
	s.log = s.log[max(len(s.log)-logLines, 0):]
	return len(line), nil
}

// follow draws what h does, once a second, until ctx ends or close. What is logged while the plugins drain goes to the
// ordinary terminal: a second interrupt, which kills, finds it as it was.
func (s *screen) follow(ctx context.Context, h *host.Host, o host.Options, c *config.Settings) {
	s.where, s.intervals = destinations(c), intervals(c)
	tapping, cancel := context.WithCancel(ctx)
	s.wait.Go(func() { s.tap(tapping, o) })
	s.enter()
	s.wait.Go(func() {
		defer cancel()
		s.redraw(ctx, h)
		s.leave()
		<-s.done
		s.farewell(h.Statuses(), time.Now())
	})
}

func (s *screen) redraw(ctx context.Context, h *host.Host) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		s.draw(h.Statuses(), time.Now())
		select {
		case <-ctx.Done():
			return
		case <-s.done:
			return
		case <-t.C:
		}
	}
}

func (s *screen) close() {
	close(s.done)
	s.wait.Wait()
}

func (s *screen) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = true
	_, _ = io.WriteString(s.out, enterScreen)
}

// leave gives the terminal back, with the last lines of the log.
func (s *screen) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live = false
	_, _ = io.WriteString(s.out, leaveScreen)
	for _, line := range s.log {
		_, _ = io.WriteString(s.out, line+"\n")
	}
}

// farewell leaves the plugins and what they did on the terminal.
func (s *screen) farewell(statuses []telemetry.PluginStatus, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	width, _ := s.size()
	title, rows := s.table(statuses, now)
	for _, line := range append([]string{title}, rows...) {
		_, _ = io.WriteString(s.out, cut(line, width)+"\n")
	}
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
			s.points[g.Series] = seen{oneLine(g.Point(0)), m.Subject.Plugin, m.Stored}
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

// intervals says how often the points of collectors come, and those of processors, which have the slowest's they read.
func intervals(c *config.Settings) map[string]time.Duration {
	known := map[string]time.Duration{}
	for _, p := range c.Plugins {
		if p.Kind == config.Collector && p.Schedule.Cron == "" {
			known[p.Name] = cmp.Or(p.Every, c.Every)
		}
	}
	for range c.Plugins { // processors read processors, in any order
		for _, p := range c.Plugins {
			for _, from := range p.From {
				known[p.Name] = max(known[p.Name], known[from])
			}
		}
	}
	return known
}

// draw writes the screen over the one before.
func (s *screen) draw(statuses []telemetry.PluginStatus, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := frame{head: fmt.Sprintf("pacewire  %s  %s  Ctrl-C drains and ends", now.Format("15:04:05"), amount.Of(len(statuses), "plugin", "plugins")), log: s.log}
	f.title, f.rows = s.table(statuses, now)
	for _, name := range slices.Sorted(maps.Keys(s.points)) {
		f.points = append(f.points, "  "+s.latest(s.points[name], now))
	}
	width, height := s.size()
	text := over(f.lines(width, height), height)
	if size := [2]int{width, height}; size != s.drawn { // what a terminal does to its lines when resized nobody knows
		text = clearAll + text
		s.drawn = size
	}
	_, _ = io.WriteString(s.out, text)
}

// latest returns a point, with its age if newer ones should have come.
func (s *screen) latest(p seen, now time.Time) string {
	if every := s.intervals[p.plugin]; every > 0 && now.Sub(p.at) > 2*every {
		return "(" + age(p.at) + " ago) " + p.text
	}
	return p.text
}

func (s *screen) table(statuses []telemetry.PluginStatus, now time.Time) (title string, rows []string) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  PLUGIN\tKIND\tSTATE\tPOINTS/S\tPOINTS\tMEMORY\tPID\tRESTARTS\tGOES TO")
	for _, st := range statuses {
		note := s.where[st.Name]
		if reason := why(st, now); reason != "" {
			note = reason
		}
		n := s.count(st, now)
		fmt.Fprintf(w, "  %s\t%s\t%s\t%.1f\t%d\t%s\t%s\t%d\t%s\n",
			st.Name, st.Kind, st.State, n.rate(), n.total, size(st.RSS), processOf(st), st.Restarts, note)
	}
	_ = w.Flush()
	lines := strings.Split(strings.TrimRight(text.String(), "\n"), "\n")
	return lines[0], lines[1:]
}

// count returns the tally of a plugin.
func (s *screen) count(st telemetry.PluginStatus, now time.Time) *tally {
	t := s.counts[st.Name]
	if t == nil {
		t = &tally{samples: []sample{{at: now}}}
		s.counts[st.Name] = t
	}
	if st.Stats != nil {
		t.see(st.Stats.PointsOut, now)
	}
	return t
}
