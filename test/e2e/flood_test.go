package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/telemetry"
)

// What a plugin may hold, in KiB: whatever is sent to it, and whoever does not take it.
const mostOfPlugin = 96 << 10

// TestFlood sends more points a second than one collector may pass on, more series than another may have, and more than the sink of a
// third takes, which takes none. What is too much is counted by its reason, told, and costs nobody else.
func TestFlood(t *testing.T) {
	s := up(t, `
collect:
  calm: { use: host, every: 50ms, only: [load] }
  fast: { use: lines, max_rate: 5000 }
  wide: { use: lines }
  bulk: { use: lines, max_series: 1000000 }
publish:
  file: { use: lines, from: [calm], path: points.lp }
  rest: { use: lines, from: [fast, wide], path: rest.lp }
  dead: { use: influxdb, from: [bulk], url: "http://127.0.0.1:1", database: x, compression: none }
`)
	before := s.pace("calm", "file")

	const points = 1_000_000
	begin := time.Now()
	sent, err := loadtest.Send(t.Context(), s.listening("fast"), loadtest.Load{Points: points})
	if err != nil || sent != points {
		t.Fatalf("%d points sent: %v", sent, err)
	}
	fast := s.counted("fast", func(c telemetry.Stats) bool { return c.PointsOut+c.Dropped[telemetry.FlagFlood] == points })
	if most := 5000 * (time.Since(begin).Seconds() + 1); float64(fast.PointsOut) > most || fast.PointsOut < 5000 {
		t.Errorf("%d of %d points went through in %v, want %.0f at most", fast.PointsOut, points, time.Since(begin), most)
	}

	s.toldIn("status", "plugin fast (dropped_flood): ")
	s.toldIn("plugin list", "more a second than max_rate")

	const series = 30_000
	s.pour("wide", series, func(i int) string { return fmt.Sprintf("room,id=%d v=%di", i, i) })
	s.counted("wide", func(c telemetry.Stats) bool {
		return c.PointsOut == 10_000 && c.Dropped[telemetry.FlagSeries] == series-10_000
	})

	s.toldIn("status", "plugin wide (series_limit): ")
	s.toldIn("plugin list", "more series than max_series")
	s.toldIn("doctor", "plugin fast: since its start it has lost at its bounds: dropped_flood ", "plugin wide: since its start it has lost at its bounds: series_limit ")
	s.toldIn("events --since 1h", "dropped_flood", "series_limit")

	s.pour("bulk", points, func(i int) string { return fmt.Sprintf("log,id=%d line=\"number %d of many\"", i%100, i) })
	s.counted("bulk", func(c telemetry.Stats) bool { return c.PointsOut == points && len(c.Dropped) == 0 })
	s.awaitPlugin("dead", readyWithin, "says that its sink is away", func(p plugin) bool { return p.Reason != "" })

	for _, name := range []string{"fast", "wide", "bulk", "dead"} {
		peak := peakOf(t, s.now()[name].PID)
		t.Logf("%s had %d KiB at most", name, peak)
		if peak > mostOfPlugin && !raceEnabled {
			t.Errorf("%s had %d KiB, want %d at most", name, peak, mostOfPlugin)
		}
	}
	for name, was := range before {
		is := s.counted(name, func(c telemetry.Stats) bool { return c.Calls > was.Calls })
		t.Logf("%s missed %d ticks of %d", name, is.Missed-was.Missed, is.Ticks-was.Ticks)
		if len(is.Dropped) > 0 {
			t.Errorf("%s dropped %v", name, is.Dropped)
		}
	}
	s.drain()
}

// toldIn waits until a verb tells what it should: what plugins say of themselves comes with their next heartbeat, and is shown for a minute.
func (s *system) toldIn(verb string, parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		s.await(readyWithin, fmt.Sprintf("%s tells %q", verb, part), func() bool {
			r := s.verb(strings.Fields(verb)...)
			return strings.Contains(r.out+r.err, part)
		})
	}
}

// counted waits until what a plugin counts is as it should be, and returns it.
func (s *system) counted(name string, ok func(c telemetry.Stats) bool) (c telemetry.Stats) {
	s.t.Helper()
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s: %+v", name, c)
		}
	}()
	s.await(2*readyWithin, name+" has counted all", func() bool {
		var info struct{ Stats *telemetry.Stats }
		r := s.verb("plugin", "info", name, "-o", "json")
		if r.code == 0 && json.Unmarshal([]byte(r.out), &info) == nil && info.Stats != nil {
			c = *info.Stats
		}
		return ok(c)
	})
	return c
}

// pour sends n lines to a listener, as fast as it takes them.
func (s *system) pour(plugin string, n int, line func(i int) string) {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.listening(plugin))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	var text []byte
	for i := range n {
		if text = append(append(text, line(i)...), '\n'); len(text) > 64<<10 || i == n-1 {
			if _, err := conn.Write(text); err != nil {
				s.t.Fatal(err)
			}
			text = text[:0]
		}
	}
}

// peakOf is the most memory that a process has had, in KiB.
func peakOf(t testing.TB, pid int) (kib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	_, _ = fmt.Sscan(after, &kib)
	return kib
}
