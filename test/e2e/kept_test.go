package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An agent that was killed finds the plugins again that go on without it; those that end with it are started anew. So it is
// with one that was asked to end.
func TestKeptPlugins(t *testing.T) {
	t.Parallel()
	program := foreign(t, "foreign")
	first := up(t, "host: first\ncollect: { host: { every: 1h, only: [load] } }\npublish: { file: { use: lines, from: host, path: points.lp } }\n")
	n, _ := first.note()

	p := newPlace(t)
	p.write("pacewire.yaml", strings.NewReplacer("BUS", n.URL, "CREDS", n.Creds, "PROGRAM", program).Replace(`host: second
every: 200ms
bus: { urls: BUS, creds_file: CREDS }
collect:
  kept: { run: [PROGRAM], on_agent_exit: keep }
  ends: { run: [PROGRAM] }
publish: { file: { use: lines, from: [kept, ends], path: points.lp, on_agent_exit: keep } }
`))
	p.endKept()
	s := p.start("agent", "-c", "pacewire.yaml")
	s.awaitRunning()
	before := s.pidsOf()

	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.done
	await(t, readyWithin, "what is not kept is gone", func() bool { return !alive(before["ends"]) })
	p.goesOn(before, "kept", "file")
	begin := time.Now()
	s = p.start("agent", "-c", "pacewire.yaml")
	s.awaitRunning()
	t.Logf("the agent was back with all plugins after %v", time.Since(begin).Round(time.Millisecond)) // it asks, and waits for no heartbeat
	contains(t, "plugin info", s.do("plugin", "info", "kept"), "foreign 1.2.3", "running")
	after := s.now()
	if after["kept"].PID != before["kept"] || after["file"].PID != before["file"] || after["ends"].PID == before["ends"] {
		t.Errorf("plugins %+v, before %v", after, before)
	}
	for _, one := range after {
		if one.Restarts > 0 {
			t.Errorf("%s was started %d times more", one.Name, one.Restarts)
		}
	}
	before = s.pidsOf()

	s.interrupt()
	if code := s.exit(endWithin); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if alive(before["ends"]) {
		t.Error("what is not kept is left")
	}
	p.goesOn(before, "kept", "file")
	s = p.start("agent", "-c", "pacewire.yaml")
	s.awaitRunning()
	third := s.pidsOf()
	others(t, "after an agent that was asked to end", before, third, "ends")

	s.do("plugin", "stop", "kept", "file") // what is kept has to be told
	for _, name := range []string{"kept", "file"} {
		await(t, readyWithin, "the process of "+name+", which was stopped, is gone", func() bool { return !alive(third[name]) })
	}
	s.drain()
	first.drain()
}

// goesOn checks that plugins work, be there an agent or not.
func (p place) goesOn(pids map[string]int, names ...string) {
	p.t.Helper()
	for _, name := range names {
		if !alive(pids[name]) {
			p.t.Errorf("%s, process %d, has ended with its agent", name, pids[name])
		}
	}
	part := fmt.Sprintf("pid=%di", pids["kept"])
	count := func() int { return strings.Count(strings.Join(lines(p.t, p.path("points.lp")), "\n"), part) }
	had := count()
	await(p.t, readyWithin, "points of what is kept", func() bool { return count() > had+5 })
}

// endKept ends with the test what is kept and runs yet: the processes whose folder is in this place.
func (p place) endKept() {
	p.t.Cleanup(func() {
		names, _ := filepath.Glob("/proc/[0-9]*/environ")
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil || !strings.Contains(string(text), "PACEWIRE_DIR="+p.dir+"/") {
				continue
			}
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			p.t.Logf("process %d is ended", pid)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}
