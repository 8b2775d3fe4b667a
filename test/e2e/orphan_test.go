package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// wild has plugins whose processes leave them in every way there is: to the background, to another session, by a double fork,
// deaf to TERM; and one that sheds processes that end.
const wild = `
collect:
  host: { every: 1s, only: [load] }
  back: { run: [sh, -c, "sleep 1000 & exec sleep 1000"] }
  away: { run: [sh, -c, "setsid sleep 1000 & exec sleep 1000"] }
  twice: { run: [sh, -c, "(setsid sh -c 'sleep 1000 & exec sleep 1000' &); exec sleep 1000"] }
  deaf: { run: [sh, -c, "trap '' TERM HUP INT; (exec setsid sleep 1000) & while :; do sleep 1; done"] }
  sheds: { run: [sh, -c, "for i in 1 2 3; do (setsid sh -c 'echo gone >>shed' &); done; exec sleep 1000"] }
publish: { file: { use: lines, from: [host, send], path: points.lp } }
`

// wildCount is how many processes that are: seven plugins, what they started, and the guard.
const wildCount = 7 + 1 + 1 + 2 + 2 + 1

// upWild runs it and returns the mark of its processes, which are all there.
func upWild(t *testing.T) (*system, string) {
	t.Helper()
	s := up(t, wild, "back", "away", "twice", "deaf", "sheds")
	mark, _, _ := strings.Cut(markOf(s.pidsOf()["host"]), ".")
	if mark == "" {
		t.Fatal("a plugin has no mark")
	}
	s.await(readyWithin, "all processes are there", func() bool { return len(marked(t, mark)) == wildCount })
	return s, mark
}

// markOf is the mark in the environment of a process, "" without one.
func markOf(pid int) string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if mark, ok := strings.CutPrefix(entry, "PACEWIRE_MARK="); ok {
			return mark
		}
	}
	return ""
}

// marked are the processes that have a mark or one below it.
func marked(t testing.TB, mark string) (pids []int) {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if m := markOf(pid); err == nil && alive(pid) && (m == mark || strings.HasPrefix(m, mark+".")) {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// guardOf is the guard, which has the agent's mark without the part of its life.
func guardOf(t testing.TB, mark string) (guard int) {
	t.Helper()
	for _, pid := range marked(t, mark) {
		if markOf(pid) == mark+".guard" {
			guard = pid
		}
	}
	return guard
}

// Kill -9 of an agent ends every process that came from it, and its guard. The agent beside it is undisturbed, and the next
// one in the same place works.
func TestNothingSurvivesKill(t *testing.T) {
	t.Parallel()
	s, mark := upWild(t)
	other, otherMark := upWild(t)
	if mark == otherMark {
		t.Fatalf("two agents have the mark %q", mark)
	}
	before := other.pidsOf()
	begin := time.Now()
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-s.done
	await(t, readyWithin, "no process is left", func() bool { return len(marked(t, mark)) == 0 })
	t.Logf("%d processes were gone %v after the agent", wildCount, time.Since(begin).Round(time.Millisecond))

	if after := other.pidsOf(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("plugins of the other agent %v, before %v", after, before)
	}
	other.await(readyWithin, "all processes of the other are there", func() bool { return len(marked(t, otherMark)) == wildCount })

	next := s.start("up", "--plain", "pacewire.yaml")
	next.await(readyWithin, "the next agent has all its processes", func() bool { return len(marked(t, mark)) == wildCount })
}

// The guard costs next to nothing; an agent that loses it has another one; no zombie stays; an agent that is started
// after one was killed together with its guard ends what is left; and one that drains leaves nothing.
func TestGuard(t *testing.T) {
	t.Parallel()
	s, mark := upWild(t)
	guard := guardOf(t, mark)
	pss, cpu := cost(t, guard)
	t.Logf("the guard has %d kB (PSS) and has used %d ticks of the CPU", pss, cpu)
	if pss > 2<<10 || cpu > 100 { // hundredths of a second; one is usual
		t.Errorf("the guard has %d kB and used %d ticks", pss, cpu)
	}
	s.await(readyWithin, "three processes are shed", func() bool { return len(lines(t, s.path("shed"))) == 3 })
	s.await(readyWithin, "no zombie is left", func() bool {
		return !slices.ContainsFunc(below(t, []int{s.cmd.Process.Pid}), func(pid int) bool { return !alive(pid) })
	})

	signal := func(pid int, sig syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(pid, sig); err != nil {
			t.Fatal(err)
		}
	}
	signal(guard, syscall.SIGKILL)
	second := 0
	s.await(readyWithin, "there is another guard", func() bool {
		second = guardOf(t, mark)
		return second != 0 && second != guard
	})

	signal(s.cmd.Process.Pid, syscall.SIGSTOP) // so that there is no third
	signal(second, syscall.SIGKILL)
	await(t, readyWithin, "the guard is gone", func() bool { return !alive(second) })
	signal(s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
	left := marked(t, mark)
	if len(left) == 0 {
		t.Error("INVALID: nothing was left")
	}
	next := s.start("up", "--plain", "pacewire.yaml")
	next.await(readyWithin, "the next agent has all its processes", func() bool { return len(marked(t, mark)) == wildCount })
	await(t, readyWithin, "none of the earlier agent is left", func() bool { return !slices.ContainsFunc(left, alive) })
	next.awaitLog("processes of an earlier agent were ended")
	next.interrupt()
	if code := next.exit(endWithin); code != 0 {
		t.Errorf("exit code %d", code)
	}
	await(t, readyWithin, "no process is left", func() bool { return len(marked(t, mark)) == 0 })
}

// cost is the memory of a process in kB, with its part of what is shared, and its CPU in hundredths of a second.
func cost(t testing.TB, pid int) (pss, cpu int) {
	t.Helper()
	rollup, err1 := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	stat, err2 := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err1 != nil || err2 != nil {
		t.Fatalf("guard %d: %v, %v", pid, err1, err2)
	}
	_, after, _ := strings.Cut(string(rollup), "\nPss:")
	_, _ = fmt.Sscan(after, &pss)
	_, after, _ = strings.Cut(string(stat), ") ")
	f := strings.Fields(after)
	for _, ticks := range f[11:13] {
		n, _ := strconv.Atoi(ticks)
		cpu += n
	}
	return pss, cpu
}
