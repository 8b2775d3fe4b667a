package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// An agent without a bus of its own works on that of another: its plugins read what both hosts have, and the other goes on
// when it ends.
func TestAgentOnAnotherBus(t *testing.T) {
	t.Parallel()
	first := up(t, "host: first\ncollect: { host: { every: 200ms, only: [load] } }\npublish: { file: { use: lines, from: host, path: points.lp } }\n")
	n, _ := first.note()

	p := newPlace(t)
	p.write("pacewire.yaml", "host: second\nbus: { urls: "+n.URL+", creds_file: "+n.Creds+" }\n"+
		"collect: { own: { use: host, every: 200ms, only: [load] } }\npublish: { both: { use: lines, from: [own, host], path: points.lp } }\n")
	second := p.start("agent", "-c", "pacewire.yaml")
	second.awaitRunning()
	has := func(s *system, host string) bool {
		return strings.Contains(strings.Join(lines(t, s.path("points.lp")), "\n"), "host="+host+" ")
	}
	second.await(readyWithin, "points of both hosts are here", func() bool { return has(second, "first") && has(second, "second") })
	contains(t, "plugin list of the other host", first.do("plugin", "list", "--host", "second"), "own", "both", "running")
	before := fmt.Sprint(first.pidsOf())
	second.drain()

	had := len(lines(t, first.path("points.lp")))
	first.await(readyWithin, "the first goes on", func() bool { return len(lines(t, first.path("points.lp"))) > had })
	if after := fmt.Sprint(first.pidsOf()); after != before || has(first, "second") {
		t.Errorf("processes of the first %v, before %v; points of the second: %v", after, before, has(first, "second"))
	}
	first.drain()
}

// An agent whose bus is not there says so, and ends so that it is started again.
func TestAgentWithoutBus(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	r := p.verb("agent", "--bus", "nats://127.0.0.1:1", "-c", p.write("pacewire.yaml", "collect: { host: }\npublish: { file: { use: lines, from: host } }\n"))
	if r.code != 69 {
		t.Errorf("exit code %d", r.code)
	}
	contains(t, "the end", r.err, "nats://127.0.0.1:1", "connection refused")
	if _, ok := p.note(); ok {
		t.Error("its note is left")
	}
}
