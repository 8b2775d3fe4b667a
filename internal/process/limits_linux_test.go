package process

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pacewire/pacewire/internal/texttest"
)

// What a process inherits on to all it starts is set within the first moments of it.
func TestConfined(t *testing.T) {
	var out texttest.Buffer
	start(t, Command{
		Args: []string{"sh", "-c", `until [ $(ulimit -n) = 77 ]; do :; done; echo $(ulimit -n) $(ulimit -Hn) $(ulimit -c) $(umask)`},
		Env:  []string{"PATH=" + os.Getenv("PATH")}, Limits: Limits{Files: 77}, Stdout: &out,
	})
	eventually(t, "it says its limits", func() bool { return strings.HasSuffix(out.String(), "\n") })
	if got := out.String(); got != "77 77 0 0077\n" {
		t.Errorf("limits %q", got)
	}
}

// Whom it has started before it was confined is confined all the same.
func TestConfinedTooLate(t *testing.T) {
	var out texttest.Buffer
	const script = `sh -c 'until [ $(ulimit -n) = 77 ]; do sleep 0.01; done; echo $(ulimit -n)' & echo up; wait`
	p := start(t, Command{Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Stdout: &out})
	eventually(t, "it has a child", func() bool { return out.String() == "up\n" && len(childrenNow(p.PID())) == 1 })
	confine(p.PID(), Limits{Files: 77})
	if e := ended(t, p); e.Code != 0 || out.String() != "up\n77\n" {
		t.Errorf("%v, %q", e, out.String())
	}
}

// A descriptor that we have inherited ourselves does not reach the process either.
func TestNoDescriptorsButThree(t *testing.T) {
	fd, err := unix.Dup(0) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	program, err := os.Open("/bin/ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	f := func(name string, c Command) {
		t.Helper()
		var out texttest.Buffer
		c.Args, c.Stdout = []string{"ls", "/proc/self/fd"}, &out
		ended(t, start(t, c))
		if got := strings.Fields(out.String()); !slices.Equal(got, []string{"0", "1", "2", "3"}) { // 3 is the folder
			t.Errorf("%s: descriptors %q", name, got)
		}
	}
	f("plain", Command{})
	f("open file", Command{File: program})
	f("limits", Command{Limits: Limits{Files: 100, Memory: 1 << 30}})
	f("kept", Command{KeepDir: filepath.Join(t.TempDir(), "keep")})
}

// Whoever of the family takes the memory, it is the plugin that is above its limit.
func TestOverMemory(t *testing.T) {
	f := func(args ...string) {
		t.Helper()
		p := start(t, Command{Args: args, Env: []string{role + "=eater"}, Limits: Limits{Memory: 64 << 20}})
		e := ended(t, p)
		if !e.OOM || e.Signal != "SIGKILL" || e.String() != "over its memory limit of 64 MiB" {
			t.Errorf("%q: %+v", args, e)
		}
	}
	f(os.Args[0])
	f("sh", "-c", "exec 3<&0; "+os.Args[0]+" <&3 & wait")
	f("sh", "-c", "exec 3<&0; setsid "+os.Args[0]+" <&3 & wait")
}

func TestWithinMemory(t *testing.T) {
	var out texttest.Buffer
	p := start(t, Command{Args: []string{os.Args[0]}, Env: []string{role + "=eater"}, Limits: Limits{Memory: 1 << 30}, Stdout: &out})
	eventually(t, "it has eaten", func() bool { return strings.Contains(out.String(), "full") })
	limitWatch.look()
	p.Stdin().Close()
	if e := ended(t, p); e.Over != "" || e.OOM || e.Signal != "" {
		t.Errorf("%+v", e)
	}
}

func TestOverProcesses(t *testing.T) {
	if groups().holds("pids") {
		t.Skip("a cgroup refuses the process before anybody is above the limit")
	}
	p := start(t, Command{Args: []string{"sh", "-c", `for i in 1 2 3 4 5 6; do sleep 60 & done; wait`}, Limits: Limits{Processes: 4}})
	e := ended(t, p)
	if e.OOM || e.String() != "over its limit of 4 processes and threads" {
		t.Errorf("%+v", e)
	}
}

// The watcher ends with the last that it watches, and begins again.
func TestWatcherEnds(t *testing.T) {
	running := func() bool {
		limitWatch.mu.Lock()
		defer limitWatch.mu.Unlock()
		return len(limitWatch.on) > 0
	}
	for range 2 {
		w := &Process{}
		limitWatch.add(w, Limits{Processes: 1 << 20})
		if !running() {
			t.Error("it does not run")
		}
		stop := limitWatch.stop
		limitWatch.remove(w)
		select {
		case <-stop:
		default:
			t.Error("it runs on")
		}
	}
}

func TestHeadOf(t *testing.T) {
	all := map[int]stat{
		10: {parent: 1, group: 10}, 11: {parent: 10, group: 10}, 12: {parent: 11, group: 12}, // a session of its own
		13: {parent: 1, group: 10}, // lost its parent, not its group
		14: {parent: 1, group: 14}, // lost both
		20: {parent: 21, group: 20}, 21: {parent: 20, group: 21},
	}
	f := func(pid, want int) {
		t.Helper()
		if got := headOf(pid, all, map[int]bool{10: true}); got != want {
			t.Errorf("headOf(%d) = %d, want %d", pid, got, want)
		}
	}
	f(10, 10)
	f(11, 10)
	f(12, 10)
	f(13, 10)
	f(14, 0)
	f(20, 0)
	f(99, 0)
}

func TestUnheld(t *testing.T) {
	f := func(l Limits, g *cgroup, want ...string) {
		t.Helper()
		if got := (&Process{limits: l, group: g}).Unheld(); !slices.Equal(got, want) {
			t.Errorf("%+v: %q, want %q", l, got, want)
		}
	}
	f(Limits{Memory: 1, Files: 1, Processes: 1}, nil)
	f(Limits{CPU: 1}, nil, "cpu")
	f(Limits{CPU: 1}, &cgroup{controllers: []string{"memory"}}, "cpu")
	f(Limits{CPU: 1}, &cgroup{controllers: []string{"cpu"}})
}

func TestParseRollup(t *testing.T) {
	f := func(text string, want int64) {
		t.Helper()
		if got := parseRollup(text); got != want {
			t.Errorf("parseRollup(%q) = %d, want %d", text, got, want)
		}
	}
	f("a [rollup]\nRss:  16 kB\nPss:   8 kB\nPss_Anon:          4 kB\nPss_File: 1 kB\n", 4<<10)
	f("a [rollup]\nPss: 8 kB\n", 0)
	f("", 0)
	const taken = 16 << 20
	b := bytes.Repeat([]byte{1}, taken)
	if a, s := anonymous(os.Getpid()), shared(map[int]bool{os.Getpid(): true}); a < taken || s < taken {
		t.Errorf("we have %d bytes, %d each once, and took %d", a, s, len(b))
	}
	runtime.KeepAlive(b)
}
