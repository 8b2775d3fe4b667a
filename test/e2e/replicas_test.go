package e2e

import (
	"fmt"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/loadtest"
)

// A processor grows from one process to four and shrinks again under load: nothing is lost or doubled.
func TestReplicasUnderLoad(t *testing.T) {
	scale(t, "", loadtest.Load{Points: 20_000_000, Rate: 100_000}, nil)
}

// With order: source nothing of a source comes before what was before it, while processes come and go.
func TestReplicasInOrder(t *testing.T) {
	var highest, reordered atomic.Int64
	scale(t, ", order: source, parallel: 2", loadtest.Load{Points: 20_000_000, Rate: 50_000}, func(i int) {
		if before := highest.Swap(int64(i)); before > int64(i) {
			reordered.Add(1)
		}
	})
	if n := reordered.Load(); n > 0 {
		t.Errorf("%d points came before what was before them", n)
	}
}

// replicated is the config of a pipeline whose processor has n processes.
func replicated(sink, settings string, n int) string {
	return fmt.Sprintf(`
collect: { in: { use: lines, listen: "tcp://127.0.0.1:0", flush: 10ms } }
process: { mid: { use: filter, from: in, drop: tags.keep == "no", replicas: %d%s } }
publish: { out: { use: influxdb, from: mid, url: %q, database: load } }
`, n, settings, sink)
}

func scale(t *testing.T, settings string, load loadtest.Load, at func(i int)) {
	if raceEnabled {
		load.Rate /= 5
	}
	sink, err := loadtest.NewSink(load.Points, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	p := newPlace(t)
	write := func(n int) string { return p.write("pacewire.yaml", replicated(sink.URL, settings, n)) }
	s := p.start("up", "--plain", write(1))
	s.awaitRunning()
	stop := s.load(load)
	s.await(readyWithin, "points arrive", func() bool { return sink.Got() > 0 })
	one := s.pidsOf()
	write(4)
	contains(t, "growing", s.do("reload"), "mid.2", "mid.4", "3 plugins stay")
	s.awaitRunning()
	if four := s.pidsOf(); len(four) != len(one)+3 || four["mid"] != one["mid"] || four["out"] != one["out"] {
		t.Errorf("%v, then %v", one, four)
	}
	hold(t, span(time.Second, time.Minute))
	s.do("plugin", "restart", "mid.1") // whoever reads, it is another one before or after that
	hold(t, span(time.Second, time.Minute))
	s.killReader()
	hold(t, span(2*time.Second, time.Minute))
	one = s.pidsOf()
	write(1)
	contains(t, "shrinking", s.do("reload"), "mid.2", "replicas of mid: 1", "3 plugins stay")
	for name, pid := range s.pidsOf() {
		if one[name] != pid {
			t.Errorf("shrinking: %s is process %d, was %d", name, pid, one[name])
		}
	}
	hold(t, time.Second)

	sent := stop()
	if _, err := sink.Settle(t.Context(), sent, patience); err != nil {
		t.Fatal(err)
	}
	s.awaitSettled("mid", "out")
	count := sink.Count(sent)
	t.Logf("%d points sent: %v; the output paused for %v at most", sent, count, sink.Gap().Round(time.Millisecond))
	if !count.OK() || sent == load.Points {
		t.Error(count)
	}
	s.drain()
}

// killReader kills a process of mid that has work: with an order that is only one of them.
func (s *system) killReader() {
	s.t.Helper()
	var reader plugin
	s.await(readyWithin, "a process reads", func() bool {
		for name, p := range s.plugins() {
			if strings.HasPrefix(name, "mid") && p.State == "running" && !strings.Contains(p.Reason, "stands by") {
				reader = p
			}
		}
		return reader.PID != 0
	})
	if err := syscall.Kill(reader.PID, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.awaitPlugin(reader.Name, readyWithin, "works again", func(now plugin) bool { return now.PID != reader.PID && now.State == "running" })
}

// The verbs for plugins take the name of the plugin for all its processes, and a number for one.
func TestReplicasVerbs(t *testing.T) {
	s := up(t, replicated("http://127.0.0.1:1", "", 3))
	crew := []string{"mid", "mid.2", "mid.3"}
	states := func(when, want string, names ...string) {
		t.Helper()
		for _, name := range names {
			s.awaitPlugin(name, readyWithin, when+" is "+want, func(p plugin) bool { return p.State == want })
		}
	}
	contains(t, "list", s.do("plugin", "list"), crew...)
	contains(t, "stop", s.do("plugin", "stop", "mid"), crew...)
	states("after a stop", "stopped", crew...)
	s.do("plugin", "start", "mid")
	states("after a start", "running", crew...)
	s.do("plugin", "stop", "mid.2")
	states("after the stop of one", "stopped", "mid.2")
	states("after the stop of one", "running", "mid", "mid.3")
	s.do("plugin", "start", "mid.2")
	contains(t, "info", s.do("plugin", "info", "mid"), "processes", "mid.2 running", "mid.3 running")
	if text := s.do("plugin", "info", "mid.2"); strings.Contains(text, "mid.3") {
		t.Errorf("info of one:\n%s", text)
	}
	contains(t, "logs of all", s.do("plugin", "logs", "mid"), "plugin works", "mid.3: plugin works")
	if text := s.do("plugin", "logs", "mid.3"); strings.Contains(text, "mid.2") {
		t.Errorf("logs of one:\n%s", text)
	}
	before := s.pidsOf()
	if err := syscall.Kill(before["mid.2"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.awaitPlugin("mid.2", readyWithin, "works again", func(p plugin) bool { return p.PID != before["mid.2"] && p.State == "running" })
	others(t, "a crash of one", before, s.pidsOf(), "mid.2")
	s.do("plugin", "upgrade", "mid")
	others(t, "an upgrade", before, s.pidsOf(), crew...)
	s.drain()
}
