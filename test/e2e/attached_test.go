package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// lostWithin is how long an agent that has time waits for the heartbeats of a plugin that it has not started: three, at 10 s each.
const lostWithin = 45 * time.Second

// A plugin that a shell starts is one like the others: it gets its config, is listed as attached, and as lost when it is silent.
// Another one of its name is refused and disturbs nobody.
func TestAttached(t *testing.T) {
	t.Parallel()
	program := foreign(t, "foreign")
	s := up(t, `every: 200ms
collect:
  mine: { attached: true, config: { step: 5 }, tags: { site: lab } }
  host: { only: [load] }
publish: { file: { use: lines, from: all, path: points.lp } }
`, "mine")
	before := s.pidsOf()
	p := s.awaitPlugin("mine", readyWithin, "is awaited", func(p plugin) bool { return p.State == "awaited" })
	contains(t, "its reason", p.Reason, `eval "$(pacewire plugin env mine)"`)

	works := func() *exec.Cmd {
		t.Helper()
		c := s.shell(program)
		s.awaitPlugin("mine", readyWithin, "works", func(p plugin) bool { return p.State == "running" })
		return c
	}
	first := works()
	s.await(readyWithin, "points with its settings", func() bool {
		text := strings.Join(lines(t, s.path("points.lp")), "\n")
		return strings.Contains(text, "site=lab") && strings.Contains(text, "value=15i")
	})
	var info struct {
		Attached bool
		PID      int
		Program  string
	}
	if err := json.Unmarshal([]byte(s.do("plugin", "info", "mine", "-o", "json")), &info); err != nil || !info.Attached || info.PID != 0 || info.Program != "foreign" {
		t.Errorf("shown as %+v, %v", info, err)
	}

	second := s.shell(program)
	if code := exitOf(t, second); code != 78 {
		t.Errorf("the second one of the name: exit code %d", code)
	}
	contains(t, "the second one", second.Stderr.(*strings.Builder).String(), "name_taken")
	s.awaitPlugin("mine", readyWithin, "goes on", func(p plugin) bool { return p.State == "running" })
	if !alive(first.Process.Pid) {
		t.Error("the first one has ended")
	}

	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_ = first.Wait() // it was killed
	p = s.awaitPlugin("mine", lostWithin+readyWithin, "is lost", func(p plugin) bool { return p.State == "lost" })
	contains(t, "its reason", p.Reason, "no heartbeat for")
	t.Logf("lost %v after it was killed", time.Since(begin).Round(time.Second))

	third := works()
	if err := third.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := exitOf(t, third); code != 0 {
		t.Errorf("drained with exit code %d", code)
	}
	p = s.awaitPlugin("mine", readyWithin, "has said goodbye", func(p plugin) bool { return p.State == "stopped" })
	contains(t, "its reason", p.Reason, "goodbye")

	after := s.pidsOf()
	others(t, "attached", before, after)
	s.drain()
}

// shell starts a program as the plugin mine, as a person would.
func (s *system) shell(program string) *exec.Cmd {
	s.t.Helper()
	c := s.command(context.Background())
	c.Path, c.Args = "/bin/sh", []string{"sh", "-c", `eval "$("$0" plugin env mine)" && exec "$1"`, binary, program}
	c.Stdout, c.Stderr = os.Stdout, new(strings.Builder)
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	return c
}

// exitOf waits for the end of a command and returns its exit code.
func exitOf(t testing.TB, c *exec.Cmd) int {
	t.Helper()
	limit := time.AfterFunc(readyWithin, func() { _ = c.Process.Kill() })
	defer limit.Stop()
	_ = c.Wait() // the code tells
	return c.ProcessState.ExitCode()
}
