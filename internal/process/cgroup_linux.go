package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Our cgroups, below the one we were started in:
//
//	OWN                where we are, unless controllers are to be had
//	OWN/pacewire-agent where we go then: who gives controllers to its children must have no process itself
//	OWN/pacewire/MARK  one for each process
const (
	homeName  = "pacewire-agent"
	groupsDir = "pacewire"
)

// A cgroup is that of one process and all it starts. A nil one does nothing.
type cgroup struct {
	dir         string
	controllers []string
}

// controllers are those that hold a limit.
var controllers = []string{"memory", "cpu", "pids"}

// groups finds once where our cgroups are, and what they can hold. A nil one says that we may have none.
var groups = sync.OnceValue(func() *cgroup {
	g, err := prepareGroups(ownCgroup())
	if err != nil || tryGroup(g) != nil {
		return nil
	}
	return g
})

// ownCgroup is the folder of the cgroup we were started in, "" where there is no cgroup v2.
func ownCgroup() string {
	mounts, err1 := os.ReadFile("/proc/self/mountinfo")
	self, err2 := os.ReadFile("/proc/self/cgroup")
	if errors.Join(err1, err2) != nil {
		return ""
	}
	dir := parseCgroup(string(self), string(mounts))
	if filepath.Base(dir) == homeName {
		return filepath.Dir(dir)
	}
	return dir
}

// parseCgroup finds the folder from /proc/self/cgroup and /proc/self/mountinfo.
func parseCgroup(self, mounts string) string {
	i := slices.IndexFunc(strings.Split(self, "\n"), func(line string) bool { return strings.HasPrefix(line, "0::/") })
	if i < 0 {
		return ""
	}
	path := strings.TrimPrefix(strings.Split(self, "\n")[i], "0::")
	for line := range strings.Lines(mounts) {
		before, after, _ := strings.Cut(line, " - ")
		f := strings.Fields(before)
		if len(f) < 5 || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		if below, err := filepath.Rel(f[3], path); err == nil && !strings.HasPrefix(below, "..") {
			return filepath.Join(f[4], below)
		}
	}
	return ""
}

func prepareGroups(own string) (*cgroup, error) {
	if own == "" || !delegated(own) {
		return nil, errors.ErrUnsupported
	}
	g := &cgroup{dir: filepath.Join(own, groupsDir)}
	if err := os.Mkdir(g.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	for _, name := range controllers {
		if enable(own, name) == nil && enable(g.dir, name) == nil {
			g.controllers = append(g.controllers, name)
		}
	}
	return g, nil
}

// delegated reports whether a cgroup is ours to divide. Root may write everywhere: what systemd has not delegated belongs to that.
func delegated(dir string) bool {
	var s unix.Stat_t
	if unix.Stat(dir, &s) != nil || unix.Access(filepath.Join(dir, "cgroup.procs"), unix.W_OK) != nil {
		return false
	}
	if s.Uid != 0 && int(s.Uid) == os.Geteuid() {
		return true
	}
	for _, name := range []string{"trusted.delegate", "user.delegate"} {
		value := make([]byte, 1)
		if n, err := unix.Getxattr(dir, name, value); err == nil && string(value[:n]) == "1" {
			return true
		}
	}
	_, err := os.Stat("/run/systemd/system")
	return errors.Is(err, os.ErrNotExist)
}

// enable gives a controller to the children of a cgroup.
func enable(dir, controller string) error {
	have, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(string(have)), controller) {
		return errors.ErrUnsupported
	}
	give := func() error { return put(dir, "cgroup.subtree_control", "+"+controller) }
	if err := give(); !errors.Is(err, unix.EBUSY) {
		return err
	}
	if err := moveHome(dir); err != nil {
		return err
	}
	return give()
}

// moveHome makes room: it moves us and our children out of the cgroup, if nobody else is there.
func moveHome(dir string) error {
	pids := (&cgroup{dir: dir}).pids()
	for _, pid := range pids {
		if s, err := readStat(pid); pid != os.Getpid() && (err != nil || s.parent != os.Getpid()) {
			return fmt.Errorf("divide cgroup %s: process %d is not ours", dir, pid)
		}
	}
	home := filepath.Join(dir, homeName)
	if err := os.Mkdir(home, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	for _, pid := range pids {
		if err := put(home, "cgroup.procs", strconv.Itoa(pid)); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}

// tryGroup starts a program that does not exist in a cgroup: where that is not allowed, the start says so and not the program.
func tryGroup(g *cgroup) error {
	dir, err := os.Open(g.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	cmd := &exec.Cmd{Path: filepath.Join(g.dir, "no such program")}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := startChild(cmd); !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("start in cgroup %s: %w", g.dir, err)
	}
	return nil
}

// newCgroup makes the cgroup of the process with this mark, nil where there is none to be had.
func newCgroup(mark string, l Limits) *cgroup {
	all := groups()
	if all == nil || len(mark) > unix.NAME_MAX {
		return nil
	}
	g := &cgroup{dir: filepath.Join(all.dir, mark), controllers: all.controllers}
	if os.Mkdir(g.dir, 0o755) != nil {
		return nil
	}
	g.limit(l)
	return g
}

// limit writes the limits. One that cannot be written is held by another means, like those without a controller.
func (g *cgroup) limit(l Limits) {
	set := func(controller, file, value string) {
		if err := put(g.dir, file, value); err != nil {
			g.controllers = slices.DeleteFunc(slices.Clone(g.controllers), func(s string) bool { return s == controller })
		}
	}
	if l.Memory > 0 && g.holds("memory") {
		set("memory", "memory.max", strconv.FormatInt(l.Memory, 10))
		_ = put(g.dir, "memory.swap.max", "0")  // not everywhere; swap would only make it slow
		_ = put(g.dir, "memory.oom.group", "1") // Linux 4.19; without it the sweep ends the rest
	}
	if l.CPU > 0 && g.holds("cpu") {
		const period = 100 * time.Millisecond
		quota := max(time.Duration(l.CPU*float64(period)), time.Millisecond)
		set("cpu", "cpu.max", fmt.Sprintf("%d %d", quota.Microseconds(), period.Microseconds()))
	}
	if l.Processes > 0 && g.holds("pids") {
		set("pids", "pids.max", strconv.Itoa(l.Processes))
	}
}

// put writes a file of a cgroup, which is there already.
func put(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// enter makes the process begin in its cgroup.
func (p *Process) enter(attr *syscall.SysProcAttr) {
	if p.group == nil {
		return
	}
	dir, err := os.Open(p.group.dir)
	if err != nil {
		p.group = nil
		return
	}
	attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
	p.letGo = append(p.letGo, func() { dir.Close() })
}

// holds reports whether a controller holds its limit.
func (g *cgroup) holds(controller string) bool {
	return g != nil && slices.Contains(g.controllers, controller)
}

// pids are the processes in it. The dead are not.
func (g *cgroup) pids() (pids []int) {
	if g == nil {
		return nil
	}
	text, _ := os.ReadFile(filepath.Join(g.dir, "cgroup.procs")) // gone: nobody
	for word := range strings.FieldsSeq(string(text)) {
		if pid, err := strconv.Atoi(word); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids
}

// kill ends all of it at once.
func (g *cgroup) kill() {
	if g != nil {
		_ = put(g.dir, "cgroup.kill", "1") // Linux 5.14; before that the sweep is all there is
	}
}

// oomKilled reports whether the kernel ended somebody in it for its limit of memory.
func (g *cgroup) oomKilled() bool {
	if !g.holds("memory") {
		return false
	}
	text, _ := os.ReadFile(filepath.Join(g.dir, "memory.events"))
	return parseEvents(string(text))["oom_kill"] > 0
}

func parseEvents(text string) map[string]int64 {
	events := map[string]int64{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			events[key], _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return events
}

// remove removes it when it is empty, for which it waits a little.
func (g *cgroup) remove() {
	if g == nil {
		return
	}
	below, _ := os.ReadDir(g.dir)
	for _, entry := range below {
		if entry.IsDir() { // the process has made cgroups itself
			(&cgroup{dir: filepath.Join(g.dir, entry.Name())}).remove()
		}
	}
	const rounds, pause = 20, 5 * time.Millisecond
	for range rounds {
		if err := unix.Rmdir(g.dir); !errors.Is(err, unix.EBUSY) {
			return
		}
		time.Sleep(pause)
	}
}

// sweepCgroups ends who is in the cgroup of a mark, or of one below it, and is known by nothing else.
func sweepCgroups(mark string, spare []string) {
	own := ownCgroup()
	if own == "" {
		return
	}
	dirs, _ := filepath.Glob(filepath.Join(own, groupsDir, "*")) // the pattern is a good one
	for _, dir := range dirs {
		name := filepath.Base(dir)
		isBelow := func(m string) bool { return marked(name, m) }
		if isBelow(mark) && !slices.ContainsFunc(spare, isBelow) {
			g := &cgroup{dir: dir}
			g.kill()
			g.remove()
		}
	}
}
