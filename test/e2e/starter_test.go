package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
)

var basics = []string{"cpu", "disk", "mem", "net"}

// series are the names of the series in lines of line protocol that are among the basics, sorted.
func series(lines []string) []string {
	var found []string
	for _, line := range lines {
		name, _, _ := strings.Cut(line, ",")
		if slices.Contains(basics, name) && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return found
}

// The starter config brings this machine's points to a file and to tap, drains quickly, and goes on where it ended.
func TestStarter(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.do("init", "starter.yaml")
	file := p.path("pacewire-points.lp")

	begin := time.Now()
	first := p.start("up", "--plain", "starter.yaml")
	first.awaitRunning()
	first.await(readyWithin, "the file has points", func() bool { return slices.Equal(series(lines(t, file)), basics) })
	t.Logf("the file had points %v after the start", time.Since(begin).Round(time.Millisecond))
	tap := first.tap("host")
	first.await(readyWithin, "tap shows points", func() bool { return slices.Equal(series(lines(t, tap.out)), basics) })
	p.do("tap", "host", "-d", "1s")
	before := metrics(first)
	first.drain()
	had := len(lines(t, file))

	second := p.start("up", "--plain", "starter.yaml")
	second.awaitRunning()
	second.await(readyWithin, "the file grows again", func() bool { return len(lines(t, file)) > had })
	after := metrics(second)
	second.drain()
	if after.FirstSeq != before.FirstSeq || after.LastSeq <= before.LastSeq {
		t.Errorf("the stream had messages %d to %d, and after the second start %d to %d", before.FirstSeq, before.LastSeq, after.FirstSeq, after.LastSeq)
	}
	noneTwice(t, lines(t, file))
}

// metrics is the state of the stream METRICS.
func metrics(s *system) bus.StreamState {
	s.t.Helper()
	conn, _ := s.connect()
	state, err := conn.StreamInfo(s.t.Context(), bus.StreamMetrics)
	if err != nil {
		s.t.Fatal(err)
	}
	return state
}

// noneTwice complains about points of line protocol that are there twice: series, tags, time.
func noneTwice(t testing.TB, lines []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, line := range lines {
		head, rest, _ := strings.Cut(line, " ")
		point := head + rest[strings.LastIndex(rest, " "):]
		if seen[point] {
			t.Errorf("twice in the file: %s", point)
		}
		seen[point] = true
	}
}
