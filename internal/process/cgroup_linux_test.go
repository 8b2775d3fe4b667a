package process

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestParseCgroup(t *testing.T) {
	const v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	f := func(self, mounts, want string) {
		t.Helper()
		if got := parseCgroup(self, mounts); got != want {
			t.Errorf("parseCgroup(%q) = %q, want %q", self, got, want)
		}
	}
	f("0::/system.slice/pacewire.service\n", v2, "/sys/fs/cgroup/system.slice/pacewire.service")
	f("0::/\n", v2, "/sys/fs/cgroup")
	f("4:memory:/x\n0::/a\n", "1 1 0:1 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "/sys/fs/cgroup/unified/a")
	f("0::/docker/ab/c\n", "30 24 0:26 /docker/ab /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "/sys/fs/cgroup/c")
	f("0::/elsewhere\n", "30 24 0:26 /docker/ab /sys/fs/cgroup rw - cgroup2 cgroup rw\n", "")
	f("4:memory:/x\n", v2, "")
	f("0::/a\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup cgroup rw,memory\n", "")
	f("", "", "")
	f("0::/a\n", "bad - cgroup2 \n", "")
}

func TestParseEvents(t *testing.T) {
	if e := parseEvents("low 0\noom 2\noom_kill 3\nbad\n"); e["oom_kill"] != 3 || e["oom"] != 2 {
		t.Errorf("%v", e)
	}
}

// What is written for each limit, into a folder that looks like a cgroup.
func TestLimit(t *testing.T) {
	f := func(l Limits, file, want string) {
		t.Helper()
		dir := t.TempDir()
		for _, name := range []string{"memory.max", "memory.swap.max", "memory.oom.group", "cpu.max", "pids.max"} {
			write(t, filepath.Join(dir, name), "", 0o600)
		}
		g := &cgroup{dir: dir, controllers: controllers}
		g.limit(l)
		if got, err := os.ReadFile(filepath.Join(dir, file)); err != nil || string(got) != want {
			t.Errorf("%+v: %s is %q, %v; want %q", l, file, got, err, want)
		}
	}
	f(Limits{Memory: 200 << 20}, "memory.max", "209715200")
	f(Limits{Memory: 200 << 20}, "memory.swap.max", "0")
	f(Limits{Memory: 200 << 20}, "memory.oom.group", "1")
	f(Limits{CPU: 0.5}, "cpu.max", "50000 100000")
	f(Limits{CPU: 1.5}, "cpu.max", "150000 100000")
	f(Limits{CPU: 0.001}, "cpu.max", "1000 100000") // the least that the kernel takes
	f(Limits{Processes: 64}, "pids.max", "64")
	f(Limits{Files: 10}, "memory.max", "")

	g := &cgroup{dir: t.TempDir(), controllers: controllers} // nothing to write to
	g.limit(Limits{Memory: 1, CPU: 1, Processes: 1})
	if len(g.controllers) > 0 || !slices.Equal(controllers, []string{"memory", "cpu", "pids"}) {
		t.Errorf("it holds %q, of %q", g.controllers, controllers)
	}
}

func TestOOMKilled(t *testing.T) {
	f := func(events string, held []string, want bool) {
		t.Helper()
		g := &cgroup{dir: t.TempDir(), controllers: held}
		write(t, filepath.Join(g.dir, "memory.events"), events, 0o600)
		if g.oomKilled() != want {
			t.Errorf("%q: %v", events, !want)
		}
	}
	f("oom 1\noom_kill 1\n", controllers, true)
	f("oom 1\noom_kill 0\n", controllers, false)
	f("oom_kill 1\n", nil, false)
	if (*cgroup)(nil).oomKilled() {
		t.Error("nobody was killed")
	}
}

// Others are not moved out of their cgroup.
func TestMoveHome(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cgroup.procs"), "1\n", 0o600)
	if err := moveHome(dir); err == nil || !strings.Contains(err.Error(), "process 1 is not ours") {
		t.Errorf("%v", err)
	}
	write(t, filepath.Join(dir, "cgroup.procs"), "", 0o600)
	if err := moveHome(dir); err != nil {
		t.Error(err)
	}
}

func TestGroupsAreNotTaken(t *testing.T) {
	if g, err := prepareGroups(""); g != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%v, %v", g, err)
	}
	if g, err := prepareGroups(t.TempDir()); g != nil || !errors.Is(err, errors.ErrUnsupported) { // no cgroup at all
		t.Errorf("%v, %v", g, err)
	}
	if err := enable(t.TempDir(), "memory"); err == nil {
		t.Error("a folder has a controller")
	}
}

// A process that has left its group and wiped its environment is found in its cgroup, and nowhere else.
func TestCgroupFindsEverybody(t *testing.T) {
	needCgroups(t)
	const script = `(env -i setsid sh -c 'echo $$ ready >hidden; exec sleep 60' &); until [ -s hidden ]; do sleep 0.01; done; exec sleep 60`
	begin := func() (p *Process, hidden int) {
		dir := t.TempDir()
		p = start(t, Command{Args: []string{"sh", "-c", script}, Env: []string{"PATH=" + os.Getenv("PATH")}, Dir: dir, Limits: Limits{Files: 100}})
		eventually(t, "it hides", func() bool {
			pids, ready := readPids(filepath.Join(dir, "hidden"))
			if ready {
				hidden = pids[0]
			}
			return ready
		})
		if !slices.Contains(p.group.pids(), hidden) || slices.Contains(survivors(p.pid, p.mark), hidden) {
			t.Errorf("process %d is not hidden in %v", hidden, p.group.pids())
		}
		return p, hidden
	}
	removed := func(p *Process) {
		t.Helper()
		eventually(t, "the cgroup is removed", func() bool {
			_, err := os.Stat(p.group.dir)
			return errors.Is(err, os.ErrNotExist)
		})
	}

	p, hidden := begin()
	if err := os.MkdirAll(filepath.Join(p.group.dir, "of", "its own"), 0o755); err != nil {
		t.Error(err)
	}
	p.Terminate(100 * time.Millisecond)
	ended(t, p)
	gone(t, hidden)
	removed(p)

	// What an agent before us has left is found by the mark, which is the name.
	p, hidden = begin()
	if _, err := Sweep(strings.TrimPrefix(p.mark, Mark+"="), 0); err != nil {
		t.Error(err)
	}
	gone(t, hidden)
	ended(t, p)
	removed(p)
}

// A cgroup that is gone is no reason not to start.
func TestCgroupThatIsGone(t *testing.T) {
	p := &Process{group: &cgroup{dir: filepath.Join(t.TempDir(), "absent")}}
	var attr syscall.SysProcAttr
	if p.enter(&attr); attr.UseCgroupFD || p.group != nil {
		t.Errorf("%+v", attr)
	}
}

func needCgroups(t *testing.T) {
	t.Helper()
	t.Setenv(Mark, testID(t)+".life")
	if groups() == nil {
		t.Skip("this test needs a cgroup v2 that is delegated to us, or root where there is no systemd")
	}
}
