package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// foreign builds a plugin of testdata.
func foreign(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if out, err := exec.Command("go", "build", "-o", path, "./testdata/"+name).CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// Programs that are none of ours are plugins like ours. One that panics, fails or prints whatever it likes stays one, and
// disturbs nobody.
func TestForeignPlugins(t *testing.T) {
	t.Parallel()
	program := foreign(t, "foreign")
	s := up(t, strings.ReplaceAll(`every: 200ms
collect:
  plain: { run: [PROGRAM], config: { step: 5 }, tags: { site: lab } }
  noisy: { run: [PROGRAM], config: { mode: noisy } }
  panics: { run: [PROGRAM], config: { mode: panics } }
  fails: { run: [PROGRAM], config: { mode: fails } }
publish: { file: { use: lines, from: all, path: points.lp } }
`, "PROGRAM", program))
	has := func(pid int, value string) func() bool {
		part := fmt.Sprintf("pid=%di,value=%s", pid, value)
		return func() bool { return strings.Contains(strings.Join(lines(t, s.path("points.lp")), "\n"), part) }
	}
	before := s.pidsOf()
	s.await(readyWithin, "points of plain", has(before["plain"], "15i"))
	s.await(readyWithin, "points of noisy", has(before["noisy"], "5i"))
	s.await(readyWithin, "points of panics, each second time", has(before["panics"], "5i"))
	contains(t, "the file", strings.Join(lines(t, s.path("points.lp")), "\n"), "site=lab")
	contains(t, "plugin info", s.do("plugin", "info", "plain"), "foreign 1.2.3", "running")

	s.await(readyWithin, "fails has been called", func() bool {
		return slices.ContainsFunc(s.records(), func(r record) bool { return r.Plugin == "fails" && r.Msg == "call failed" })
	})
	printed := ""
	for _, r := range s.records() { // each line of the log is JSON
		if !utf8.ValidString(r.Line) || strings.ContainsAny(r.Line, "\x00\x07\x1b\n") {
			t.Errorf("the log passes on %.60q", r.Line)
		}
		if len(r.Line) > 16<<10 {
			t.Errorf("a line of %d bytes of %s is in the log", len(r.Line), r.Plugin)
		}
		printed += r.Plugin + ": " + r.Msg + r.Line + r.Error + "\n"
	}
	contains(t, "the log", printed, "noisy: plugin printed", " garbage ", "panics: call failed", "out of order", "fails: call failed", "no licence")
	if after := s.pidsOf(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("processes %v, before %v", after, before)
	}
	s.drain()
}

// A plugin that ends at once is started again, later each time, and plugin list says why it does not run.
func TestPluginThatEnds(t *testing.T) {
	t.Parallel()
	s := up(t, `
collect:
  ends: { run: [sh, -c, "echo no licence found >&2; exit 3"] }
  wrong: { run: [sh, -c, "echo key is wrong >&2; exit 78"] }
publish: { file: { use: lines, from: [ends, wrong, send], path: points.lp } }
`, "ends", "wrong")
	p := s.awaitPlugin("ends", readyWithin, "backs off", func(p plugin) bool { return p.State == "backing_off" && p.Restarts >= 2 })
	contains(t, "ends", p.Reason, "exit code 3", "no licence found")
	p = s.awaitPlugin("wrong", readyWithin, "has failed", func(p plugin) bool { return p.State == "failed" })
	contains(t, "wrong", p.Reason, "exit code 78", "key is wrong")
	if p.Restarts != 0 {
		t.Errorf("refused, and started again %d times", p.Restarts)
	}
	if long { // ten starts, with pauses of 1, 2, 4 ... 60 s
		p = s.awaitPlugin("ends", 6*time.Minute, "has failed", func(p plugin) bool { return p.State == "failed" })
		contains(t, "ends", p.Reason, "10 starts", "exit code 3")
	}
	s.send("a,host=h v=1 1700000000000000001\n")
	s.await(readyWithin, "the neighbour works", func() bool { return len(lines(t, s.path("points.lp"))) == 1 })
	s.drain()
}

// A plugin that neither drains nor heeds TERM is killed, with what it started.
func TestPluginThatIgnoresTerm(t *testing.T) {
	t.Parallel()
	s := up(t, `
collect: { deaf: { run: [sh, -c, "trap '' TERM HUP INT; sleep 1000 & while :; do sleep 1; done"] } }
publish: { file: { use: lines, from: [deaf, send], path: points.lp } }
`, "deaf")
	s.send("a,host=h v=1 1700000000000000001\n")
	s.await(readyWithin, "the neighbour works", func() bool { return len(lines(t, s.path("points.lp"))) == 1 })
	pids := s.family(4) // two plugins, and the children of the deaf one
	begin := time.Now()
	s.interrupt()
	if code := s.exit(endWithin); code != 0 { // 5 s after TERM it is killed
		t.Errorf("exit code %d", code)
	}
	t.Logf("stopped within %v", time.Since(begin).Round(time.Millisecond))
	await(t, readyWithin, "no process is left", func() bool { return !slices.ContainsFunc(pids, alive) })
}
