package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// Two programs on one store would lose what they acknowledge: the second is refused, the first goes on.
func TestSecondUp(t *testing.T) {
	t.Parallel()
	const config = `publish: { file: { use: lines, from: send, path: points.lp } }`
	first := up(t, config)
	before := first.now()

	second := newPlace(t)
	second.write("pacewire.yaml", fmt.Sprintf("bus: { store: %q }\n%s\n", first.path("state/bus"), config))
	r := second.verb("up", "--plain", "pacewire.yaml")
	if r.code != 78 {
		t.Errorf("exit code %d", r.code)
	}
	contains(t, "the second up", r.err, first.path("state/bus"), fmt.Sprint(first.cmd.Process.Pid), "in use", "another bus.store")

	again := first.verb("up", "--plain", "pacewire.yaml") // the same place as well
	if again.code != 78 {
		t.Errorf("exit code %d", again.code)
	}
	contains(t, "up in the same place", again.err, first.path("run"), fmt.Sprint(first.cmd.Process.Pid))

	third := first.verb("up", "--plain", second.write("apart.yaml", fmt.Sprintf("bus: { store: %q }\n%s\n", second.path("store"), config)))
	if third.code != 78 { // with a store of its own, but in the run folder of the first
		t.Errorf("exit code %d", third.code)
	}
	contains(t, "up in the same run folder", third.err, first.path("run"), fmt.Sprint(first.cmd.Process.Pid), "PACEWIRE_RUN")

	// Credentials and note of the first are as they were: a new process of its plugin finds the bus, and so does a verb.
	if err := syscall.Kill(before["file"].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	first.awaitPlugin("file", readyWithin, "is back", func(p plugin) bool { return p.PID != before["file"].PID && p.State == "running" })
	first.send("a v=1 1700000000000000001\n")
	first.await(readyWithin, "the first still works", func() bool { return len(lines(t, first.path("points.lp"))) == 1 })
	first.drain()
}

// Nothing survives its agent, however that ends; the next start has the store and goes on.
func TestAgentKilled(t *testing.T) {
	t.Parallel()
	s := up(t, `
collect:
  host: { every: 1s, only: [load] }
  deaf: { run: [sh, -c, "trap '' TERM HUP INT; while :; do sleep 1; done"] }
process: { tidy: { use: filter, from: host, keep: series == "load" } }
publish: { file: { use: lines, from: [tidy, send], path: points.lp } }
`, "deaf")
	pids := s.family(5) // four plugins, and the child of the deaf one
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.done
	killed := time.Now()
	await(t, readyWithin, "no process of a plugin is left", func() bool { return !slices.ContainsFunc(pids, alive) })
	t.Logf("%d processes gone %v after their agent", len(pids), time.Since(killed).Round(time.Millisecond))

	r := s.verb("plugin", "list", "-o", "json") // its note is still there
	if r.code != 69 || r.out != "" {
		t.Errorf("plugin list without the agent: exit code %d\n%s", r.code, r.out)
	}
	contains(t, "plugin list without the agent", r.err, fmt.Sprintf("the agent (process %d) is gone", s.cmd.Process.Pid))

	had := len(lines(t, s.path("points.lp")))
	next := s.start("up", "--plain", "pacewire.yaml")
	next.awaitRunning("deaf")
	next.await(readyWithin, "points come again", func() bool { return len(lines(t, s.path("points.lp"))) > had })
}

// family waits until the plugins and what they started are so many processes at least, and returns those.
func (s *system) family(least int) (pids []int) {
	s.t.Helper()
	s.await(readyWithin, "the plugins have their processes", func() bool {
		pids = nil
		for _, pid := range s.pidsOf() {
			if pid != 0 {
				pids = append(pids, pid)
			}
		}
		pids = append(pids, below(s.t, pids)...)
		return len(pids) >= least
	})
	return pids
}

// below are the processes that those started, and so on.
func below(t testing.TB, pids []int) (found []int) {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	for more := pids; len(more) > 0; {
		var next []int
		for _, path := range stats {
			text, err := os.ReadFile(path)
			if err != nil {
				continue
			}
			var pid, parent int
			var name, state string
			if n, _ := fmt.Sscan(string(text), &pid, &name, &state, &parent); n == 4 && slices.Contains(more, parent) {
				next = append(next, pid)
			}
		}
		found, more = append(found, next...), next
	}
	return found
}

// Filters of a reader that change between two runs leave its place in the stream.
func TestChangedConfigKeepsPosition(t *testing.T) {
	t.Parallel()
	point := func(i int) string { return fmt.Sprintf("a v=%d 170000000000000000%d\n", i, i) }
	s := up(t, `publish: { file: { use: lines, from: send, path: points.lp } }`)
	s.send(point(1))
	s.await(readyWithin, "the first point is in the file", func() bool { return len(lines(t, s.path("points.lp"))) == 1 })
	s.drain()

	without := "collect: { host: { only: [load] } }\npublish: { file: { use: lines, from: send, path: points.lp, enabled: false } }\n"
	s = s.start("up", "--plain", s.write("without.yaml", without))
	s.awaitRunning()
	s.send(point(2))
	s.drain()

	changed := "collect: { host: { every: 1s, only: [load] } }\npublish: { file: { use: lines, from: [host, send], path: points.lp } }\n"
	s = s.start("up", "--plain", s.write("changed.yaml", changed))
	s.awaitRunning()
	s.send(point(3))
	count := func(series string) int {
		return len(slices.DeleteFunc(lines(t, s.path("points.lp")), func(l string) bool { return l[:len(series)] != series }))
	}
	s.await(readyWithin, "what was sent meanwhile and the new input are in the file", func() bool { return count("a") == 3 && count("load") > 0 })
	s.drain()
	if n := count("a"); n != 3 {
		t.Errorf("%d points of send, want 3", n)
	}
	noneTwice(t, lines(t, s.path("points.lp")))
}
