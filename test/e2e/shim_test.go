package e2e

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// shells are the programs of sdk/sh behind the shim, and two plugins beside them.
const shells = `
host: here
collect:
  calm: { use: host, every: 50ms, only: [load] }
  load: { every: 200ms, run: [BINARY, plugin, shim, --kind, collector, --catalog, SH/load.json, --, SH/load.sh] }
process:
  prefix: { from: [load, send], timeout: 2s, config: { prefix: a_ }, run: [BINARY, plugin, shim, --kind, processor, --format, lines, --, SH/prefix.sh] }
publish:
  append: { from: prefix, timeout: 3s, config: { path: PLACE/points.json }, run: [BINARY, plugin, shim, --kind, publisher, --, SH/append.sh] }
  file: { use: lines, from: calm, path: calm.lp }
`

// A shelled is an agent with shells, and a source of numbers for them.
type shelled struct {
	*delivery
	before map[string]plugin
}

func upShells(t *testing.T) *shelled {
	t.Helper()
	p := newPlace(t)
	sh, err := filepath.Abs("../../sdk/sh")
	if err != nil {
		t.Fatal(err)
	}
	config := strings.NewReplacer("BINARY", binary, "SH", sh, "PLACE", p.dir).Replace(shells)
	d := &delivery{system: p.start("up", "--plain", p.write("pacewire.yaml", config))}
	d.awaitRunning()
	conn, host := d.connect()
	if d.in, err = bus.NewPublisher(conn, bus.PublisherOptions{Host: host, Plugin: "send"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.in.Close)
	return &shelled{d, d.now()}
}

// program is the process of the program behind a shim.
func (s *shelled) program(name string) (pid int) {
	s.t.Helper()
	s.await(readyWithin, "the program of "+name+" runs", func() bool {
		if all := children(s.t, s.before[name].PID); len(all) == 1 {
			pid = all[0]
		}
		return pid != 0
	})
	return pid
}

// children are the processes that a process has started.
func children(t testing.TB, parent int) []int {
	t.Helper()
	return slices.DeleteFunc(below(t, []int{parent}), func(pid int) bool {
		p, state := statOf(pid)
		return p != parent || state == "Z"
	})
}

// numbers are those that have come, whether once or more often. What a kill has cut off is no line of JSON.
func (s *shelled) numbers() map[int]bool {
	s.t.Helper()
	come := map[int]bool{}
	for _, line := range lines(s.t, s.path("points.json")) {
		var p struct {
			Series string
			Fields struct{ N *int }
		}
		if json.Unmarshal([]byte(line), &p) == nil && p.Series == "a_job" && p.Fields.N != nil {
			come[*p.Fields.N] = true
		}
	}
	return come
}

// bites has a fault bite the programs of plugins, sends numbers, and waits until all have come, and load goes on.
func (s *shelled) bites(what string, sig syscall.Signal, names ...string) {
	s.t.Helper()
	old := map[string]int{}
	for _, name := range names {
		old[name] = s.program(name)
		if err := syscall.Kill(old[name], sig); err != nil {
			s.t.Fatal(err)
		}
	}
	s.send(messages, nil)
	s.await(readyWithin, what+": all numbers come", func() bool { return len(s.numbers()) == s.sent })
	loads := s.loads()
	s.await(readyWithin, what+": more load comes", func() bool { return s.loads() > loads })
	for name, pid := range old {
		if s.program(name) == pid || alive(pid) {
			s.t.Errorf("%s: the program of %s is process %d still", what, name, pid)
		}
	}
	s.untouched(s.before)
}

// loads is how many points of load.sh have come.
func (s *shelled) loads() (n int) {
	s.t.Helper()
	for _, line := range lines(s.t, s.path("points.json")) {
		if strings.Contains(line, `"a_load"`) {
			n++
		}
	}
	return n
}

// The programs of sdk/sh work under an agent. Whatever becomes of them, their points come, and nobody else notices.
func TestShellPlugins(t *testing.T) {
	t.Parallel()
	s := upShells(t)
	mark, _, _ := strings.Cut(markOf(s.before["file"].PID), ".")
	s.bites("nothing happens", 0)
	s.bites("killed", syscall.SIGKILL, "load", "prefix", "append")
	s.bites("halted", syscall.SIGSTOP, "prefix", "append")
	s.awaitSettled("prefix", "append")
	s.drain()
	await(t, readyWithin, "no process is left", func() bool { return len(marked(t, mark)) == 0 })
}

// rude are programs behind the shim that print without end, and one that starts another which leaves it.
const rude = `
collect:
  calm: { use: host, every: 50ms, only: [load] }
  shouts: { run: [BINARY, plugin, shim, --kind, collector, --, sh, -c, "yes rubbish | head -c 4000000; yes loud | head -c 20000000 >&2; echo shouted n=1; exec sleep 1000"] }
  leaves: { run: [BINARY, plugin, shim, --kind, collector, --, sh, -c, "setsid sleep 1000 & echo left n=1; exec sleep 1000"] }
process:
  babbles: { from: send, run: [BINARY, plugin, shim, --kind, processor, --, yes] }
publish: { file: { use: lines, from: [calm, shouts, leaves], path: points.lp } }
`

// A program that prints without end costs the others nothing, and what programs have started ends with them.
func TestRudePrograms(t *testing.T) {
	t.Parallel()
	s := up(t, strings.ReplaceAll(rude, "BINARY", binary), "babbles")
	before := s.now()
	mark, _, _ := strings.Cut(markOf(before["file"].PID), ".")
	s.await(readyWithin, "what comes behind the rubbish", func() bool { return slices.ContainsFunc(lines(t, s.path("points.lp")), hasSeries("shouted")) })
	c := s.counted("shouts", func(c telemetry.Stats) bool { return c.Dropped["line"] == 500_000 })
	t.Logf("%d lines of rubbish, %d KiB", c.Dropped["line"], peakOf(t, before["shouts"].PID))

	s.send("job n=1\n")
	p := s.awaitPlugin("babbles", readyWithin, "says what is wrong", func(p plugin) bool { return strings.Contains(p.Reason, "speaks without being asked") })
	t.Logf("babbles: %s", p.Reason)
	for _, name := range []string{"shouts", "babbles"} {
		if peak := peakOf(t, s.now()[name].PID); peak > mostOfPlugin && !raceEnabled {
			t.Errorf("%s had %d KiB, want %d at most", name, peak, mostOfPlugin)
		}
	}

	s.leaves("its program is killed", false)
	s.leaves("it is killed", true)
	after := s.now()
	for _, name := range []string{"calm", "file", "shouts", "babbles"} {
		if after[name].PID != before[name].PID || after[name].Restarts > 0 {
			t.Errorf("%s was %+v, is %+v", name, before[name], after[name])
		}
	}
	s.drain()
	await(t, readyWithin, "no process is left", func() bool { return len(marked(t, mark)) == 0 })
}

// leaves kills the shim of leaves, or its program: another family comes, and nothing of the one before is left.
func (s *system) leaves(what string, ofShim bool) {
	s.t.Helper()
	shim := s.now()["leaves"].PID
	var family []int // the shim, its program, and what that has started
	grown := func() bool {
		family = marked(s.t, markOf(shim))
		return len(family) == 3 && len(children(s.t, shim)) == 1
	}
	s.await(readyWithin, "leaves has a program, and that another", grown)
	victim := shim
	if !ofShim {
		victim = children(s.t, shim)[0]
		family = slices.DeleteFunc(family, func(pid int) bool { return pid == shim })
	}
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	old := family
	s.await(readyWithin, what+": nobody is left", func() bool { return !slices.ContainsFunc(old, alive) })
	s.await(readyWithin, what+": there are others", func() bool {
		shim = s.plugins()["leaves"].PID
		return shim != 0 && grown()
	})
}

func hasSeries(name string) func(line string) bool {
	return func(line string) bool { return strings.HasPrefix(line, name+",") || strings.HasPrefix(line, name+" ") }
}
