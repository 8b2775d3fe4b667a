package process

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func attributes(onParentDeath syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: onParentDeath}
}

// spawner is the one thread that starts processes. The kernel sends the
// parent-death signal when the *thread* that started the child ends, and Go's
// threads come and go: so one goroutine keeps one thread until we end.
var spawner = sync.OnceValue(func() chan<- func() {
	jobs := make(chan func())
	go spawn(jobs)
	return jobs
})

// spawn never returns; leak checks know it by its name. Its thread has a umask of
// its own, which the processes inherit.
func spawn(jobs <-chan func()) {
	runtime.LockOSThread()
	if unix.Unshare(unix.CLONE_FS) == nil { // else the umask would be the whole agent's: then it stays
		unix.Umask(0o077)
	}
	for job := range jobs {
		job()
	}
}

// onSpawner runs the job on the spawning thread. Starts queue here: one takes
// about a millisecond.
func onSpawner(job func()) {
	done := make(chan struct{})
	spawner() <- func() {
		// Our own are closed at an exec; those that we inherited may not be.
		_ = unix.CloseRange(3, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC) // Linux 5.11
		job()
		close(done)
	}
	<-done
}

// finish waits for the end, sweeps and reaps, in this order: while the zombie
// keeps the pid no signal can hit a stranger.
func (p *Process) finish() time.Time {
	if p.kept == nil {
		awaitExit(p.pid)
	} else if !p.kept.await() {
		p.retire()
		p.abandon()
		return time.Now()
	}
	at := time.Now()
	p.behind = len(p.survivors())
	p.sweep()
	sweepStrays()
	if p.group.oomKilled() {
		p.exceed(memoryLimit(p.limits))
	}
	p.group.remove()
	p.retire()
	// The error repeats the exit code, or is exec.ErrWaitDelay: the output so
	// far is what there is.
	if p.cmd != nil {
		_ = waitChild(p.cmd)
	}
	p.kept.end()
	return at
}

// signalGroup reaches the group of a process. That of one that is not our child is known by its pidfd: no zombie keeps the number.
func (p *Process) signalGroup(sig syscall.Signal) error {
	if p.cmd != nil {
		return syscall.Kill(-p.pid, sig)
	}
	return p.kept.signal(p.pid, sig)
}

// awaitExit blocks until the child has ended and leaves its zombie be. It waits
// in the poller: a thread for each idle child would cost more than the child's entry here.
func awaitExit(pid int) {
	if awaitPidfd(pid) != nil {
		awaitBlocked(pid) // a kernel before 5.10
	}
}

func awaitBlocked(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

func awaitPidfd(pid int) error {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	return conn.Read(func(uintptr) (done bool) { return hasEnded(pid) })
}

func hasEnded(pid int) bool {
	var info unix.Siginfo
	err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
	return err == nil && info.Signo != 0 // 0: it runs
}

// survivors lists the live processes of the group and those with the mark.
// A process that wiped its environment and left the group is not found, nor is
// the environment of another user's process readable.
func survivors(group int, mark string) []int {
	var pids []int
	for pid, s := range processes() {
		if !s.dead && (s.group == group || hasMark(pid, mark)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// processes gives all but the threads of the kernel.
func processes() iter.Seq2[int, stat] {
	return func(yield func(int, stat) bool) {
		names, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a good one
		for _, name := range names {
			pid, err := strconv.Atoi(filepath.Base(name))
			if err != nil {
				continue
			}
			s, err := readStat(pid)
			if err != nil || s.kernel {
				continue // gone while we looked, or never ours
			}
			if !yield(pid, s) {
				return
			}
		}
	}
}

// hasMark reports whether a process carries the mark.
func hasMark(pid int, mark string) bool { return marked(environ(pid), mark) }

// environ reads the environment of a process, "" if we may not or there is none. While one becomes another program its
// environment reads as empty: empty counts when it stays so. That takes a moment, on a busy machine a long one.
func environ(pid int) string {
	const longest, enough = 2 * time.Second, 3
	begin := time.Now()
	for empty := 0; empty < enough && time.Since(begin) < longest; {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || len(text) > 0 {
			return string(text)
		}
		s, err := readStat(pid)
		if err != nil {
			return ""
		}
		if s.blank {
			time.Sleep(100 * time.Microsecond)
			continue
		}
		empty++
	}
	return ""
}

// signalMarked signals the process if it carries the mark. The mark is checked
// through a pidfd's lifetime: a number that went to a stranger in between is not hit.
func signalMarked(pid int, mark string, sig syscall.Signal) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // gone, or a kernel before 5.3: then only the group is swept
	}
	defer unix.Close(fd)
	if hasMark(pid, mark) {
		_ = unix.PidfdSendSignal(fd, sig, nil, 0) // it may end first
	}
}

// stat is what we need of /proc/PID/stat.
type stat struct {
	dead   bool
	parent int
	group  int
	cpu    time.Duration

	kernel bool // a thread of the kernel
	blank  bool // exec has begun, and has not come to the environment

	threads int
	start   uint64 // in ticks since the machine started: with the pid it tells two processes apart
}

func readStat(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(text))
}

// parseStat reads from the last ")" on: the name before it may hold anything.
func parseStat(text string) (stat, error) {
	const tick = time.Second / 100 // USER_HZ, the same on every Linux that Go knows
	// Field n of proc(5) is f[n-3].
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 20 {
		return stat{}, fmt.Errorf("parse /proc/PID/stat: %d fields after the name, want 20 or more", len(f))
	}
	parent, err1 := strconv.Atoi(f[1])
	group, err2 := strconv.Atoi(f[2])
	user, err3 := strconv.ParseInt(f[11], 10, 64)
	system, err4 := strconv.ParseInt(f[12], 10, 64)
	threads, err5 := strconv.Atoi(f[17])
	start, err6 := strconv.ParseUint(f[19], 10, 64)
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return stat{}, fmt.Errorf("parse /proc/PID/stat: %w", err)
	}
	dead := f[0] == "Z" || f[0] == "X"
	const memory, environment = 20, 48                     // the fields vsize and env_end
	kernel := !dead && len(f) > memory && f[memory] == "0" // a zombie has none either
	blank := !dead && !kernel && len(f) > environment && f[environment] == "0"
	return stat{dead, parent, group, time.Duration(user+system) * tick, kernel, blank, threads, start}, nil
}

func usage(pid int) (Usage, error) {
	s, err := readStat(pid)
	if err != nil {
		return Usage{}, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, err
	}
	rss, peak := parseStatus(string(text))
	return Usage{CPU: s.cpu, RSS: rss, PeakRSS: peak}, nil
}

// parseStatus finds VmRSS and VmHWM, in bytes; a zombie has neither.
func parseStatus(text string) (rss, peak int64) {
	for line := range strings.Lines(text) {
		key, rest, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		switch key {
		case "VmRSS":
			rss = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	return rss, peak
}

// ownPeak is what the kernel takes as a child's peak when it is started now.
func ownPeak() int64 {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return r.Maxrss << 10
}

func peakRSS(state *os.ProcessState) int64 {
	if r, ok := state.SysUsage().(*syscall.Rusage); ok {
		return r.Maxrss << 10
	}
	return 0
}
