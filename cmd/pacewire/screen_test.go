package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// drawn returns a screen that was drawn once at a size, and its lines without codes.
func drawn(t *testing.T, width, height, plugins int) []string {
	t.Helper()
	var out bytes.Buffer
	s := newScreen(&out, false)
	s.size = func() (int, int) { return width, height }
	s.live = true
	log := slog.New(s.logHandler())
	for i := range 10 {
		log.Warn("plugin printed", "line", strings.Repeat("wide 広い ", 20), "n", i)
	}
	now := time.Now()
	for i := range 30 {
		name := fmt.Sprintf("series%02d", i)
		s.points[name] = seen{text: name + strings.Repeat(" field=1", 40), plugin: "host", at: now}
	}
	var list []telemetry.PluginStatus
	for i := range plugins {
		list = append(list, telemetry.PluginStatus{Name: fmt.Sprintf("p%d", i), Kind: "collector", State: "failed", Reason: strings.Repeat("why ", 60)})
	}
	s.draw(list, now)
	text := strings.NewReplacer(clearAll, "", topLeft, "", clearLine, "", "\r\n"+clearRest, "").Replace(out.String())
	return strings.Split(text, "\r\n")
}

func TestScreenFits(t *testing.T) {
	f := func(width, height, plugins int, points, logged, more bool) {
		t.Helper()
		lines := drawn(t, width, height, plugins)
		if len(lines) > height {
			t.Errorf("%dx%d: %d lines", width, height, len(lines))
		}
		for _, line := range lines {
			if n := columns(line); n > width || strings.ContainsAny(line, "\r\n") {
				t.Errorf("%dx%d: %d columns: %q", width, height, n, line)
			}
		}
		text := strings.Join(lines, "\n")
		for word, want := range map[string]bool{"latest points": points, "plugin printed": logged, "more plugins": more, "PLUGIN": height > 2} {
			if strings.Contains(text, word) != want {
				t.Errorf("%dx%d with %d plugins: %q is there: %v\n%s", width, height, plugins, word, !want, text)
			}
		}
	}
	f(80, 24, 3, true, true, false)
	f(200, 60, 3, true, true, false)
	f(200, 60, 40, true, true, false)
	f(40, 10, 3, false, true, false)
	f(80, 24, 21, false, false, false)
	f(80, 24, 30, false, false, true)
	f(80, 2, 3, false, false, false)
	f(1, 1, 3, false, false, false)
}

func TestScreenCountsRestOfPlugins(t *testing.T) {
	lines := drawn(t, 80, 10, 30)
	if last := lines[len(lines)-1]; len(lines) != 10 || last != "  and 24 more plugins: pacewire plugin list" {
		t.Errorf("%d lines, the last %q", len(lines), last)
	}
}

func TestScreenGivesTheTerminalBack(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, true)
	log := slog.New(s.logHandler())
	log.Info("early")
	s.enter()
	log.Info("while live")
	s.draw(nil, time.Now())
	s.leave()
	log.Info("draining")
	s.farewell([]telemetry.PluginStatus{{Name: "cpu", State: "stopped"}}, time.Now())
	before, rest, _ := strings.Cut(out.String(), enterScreen)
	_, after, left := strings.Cut(rest, leaveScreen)
	if !left || !strings.Contains(before, "early") {
		t.Errorf("%q", out.String())
	}
	for _, word := range []string{"while live", "draining", "cpu", "stopped"} {
		if !strings.Contains(after, word) {
			t.Errorf("no %q in %q", word, after)
		}
	}
	if strings.Contains(after, "\x1b") {
		t.Errorf("codes after the end: %q", after)
	}
}

func TestScreenTellsAge(t *testing.T) {
	s := newScreen(&bytes.Buffer{}, true)
	s.intervals = map[string]time.Duration{"host": 5 * time.Second}
	now := time.Now()
	f := func(plugin string, old time.Duration, want string) {
		t.Helper()
		if got := s.latest(seen{"cpu", plugin, now.Add(-old)}, now); got != want {
			t.Errorf("%s, %v old: %q, want %q", plugin, old, got, want)
		}
	}
	f("host", 9*time.Second, "cpu")
	f("host", 20*time.Second, "(20s ago) cpu")
	f("send", time.Hour, "cpu") // nobody knows when the next is due
}

func TestTally(t *testing.T) {
	var c tally
	now := time.Unix(1e9, 0)
	f := func(after time.Duration, counter, total uint64, rate float64) {
		t.Helper()
		now = now.Add(after)
		c.see(counter, now)
		if c.total != total || c.rate() != rate {
			t.Errorf("counter %d: total %d, rate %v; want %d, %v", counter, c.total, c.rate(), total, rate)
		}
	}
	f(0, 10, 10, 0)
	f(time.Second, 20, 20, 10)
	f(time.Second, 5, 25, 7.5) // a new process
	f(8*time.Second, 5, 25, 1.5)
	f(10*time.Second, 14, 34, 0.9) // of the last ten seconds
	f(10*time.Second, 14, 34, 0)
}

// A plugin that had points before it was first seen with counters has them in its rate.
func TestScreenCounts(t *testing.T) {
	s := newScreen(&bytes.Buffer{}, true)
	now := time.Now()
	s.count(telemetry.PluginStatus{Name: "cpu"}, now)
	c := s.count(telemetry.PluginStatus{Name: "cpu", Stats: &telemetry.Stats{PointsOut: 8}}, now.Add(2*time.Second))
	if c.total != 8 || c.rate() != 4 {
		t.Errorf("total %d, rate %v", c.total, c.rate())
	}
}

func TestCut(t *testing.T) {
	f := func(line string, width int, want string) {
		t.Helper()
		if got := cut(line, width); got != want {
			t.Errorf("cut(%q, %d) = %q, want %q", line, width, got, want)
		}
	}
	f("short", 5, "short")
	f("longer", 5, "long…")
	f("\x1b[31mred\x1b[0m", 3, "\x1b[31mred\x1b[0m")
	f("\x1b[31mcrimson\x1b[0m", 4, "\x1b[31mcri…\x1b[0m")
	f("広い道", 4, "広…")
	f("longer", 0, "")
}
