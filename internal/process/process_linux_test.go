package process

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
)

// A child survives the thread that asked for its start: the parent-death signal
// comes from a thread of its own.
func TestChildOutlivesTheAskingThread(t *testing.T) {
	threads := make(chan int, 1)
	var p *Process
	go onDyingThread(func() {
		p = start(t, Command{Args: []string{"cat"}, Stdout: &texttest.Buffer{}, OnParentDeath: syscall.SIGKILL})
		threads <- syscall.Gettid()
	})
	thread := <-threads
	eventually(t, "the thread has ended", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread))
		return os.IsNotExist(err)
	})
	p.Stdin().Close()
	if e := ended(t, p); e.Code != 0 {
		t.Errorf("%v, want exit code 0: it died with the thread", e)
	}
}

// onDyingThread runs f on a thread that ends with it. The main thread cannot end.
func onDyingThread(f func()) {
	runtime.LockOSThread() // and never unlocked
	if syscall.Gettid() == syscall.Getpid() {
		defer runtime.UnlockOSThread()
		done := make(chan struct{})
		go func() {
			defer close(done)
			onDyingThread(f)
		}()
		<-done
		return
	}
	f()
}

// Kill -9 of the parent: the child dies although it ignores the end of stdin
// and every signal that can be ignored, whoever its user is.
func TestChildDiesWithItsParent(t *testing.T) {
	f := func(user string) {
		t.Helper()
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{role + "=parent", "PATH=" + os.Getenv("PATH"), "RUN_AS=" + user}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var pid int
		if _, err := fmt.Fscanf(bufio.NewReader(out), "child %d\n", &pid); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, 0); err != nil {
			t.Fatalf("child %d: %v", pid, err)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		gone(t, pid)
	}
	f("")
	if os.Geteuid() == 0 {
		f("nobody")
	}
}

// Both ways to await an end return with the end, not before, and do not reap.
func TestAwaitExitDoesNotReap(t *testing.T) {
	f := func(name string, await func(pid int)) {
		t.Helper()
		cmd := exec.Command("cat")
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if hasEnded(cmd.Process.Pid) {
			t.Errorf("%s: ended before its stdin did", name)
		}
		stdin.Close()
		await(cmd.Process.Pid)
		if s, err := readStat(cmd.Process.Pid); err != nil || !s.dead {
			t.Errorf("%s: %+v, %v; want a zombie", name, s, err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: Wait: %v", name, err)
		}
	}
	f("pidfd", func(pid int) {
		if err := awaitPidfd(pid); err != nil {
			t.Skip("kernel before 5.10:", err)
		}
	})
	f("blocked", awaitBlocked)
}

// Fifty idle children cost no thread each.
func TestIdleChildrenCostNoThread(t *testing.T) {
	threads := func() int {
		t.Helper()
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			t.Fatal(err)
		}
		return len(tasks)
	}
	before := threads()
	for range 50 {
		start(t, Command{Args: []string{"sleep", "60"}, Stdout: &texttest.Buffer{}})
	}
	if now := threads(); now > before+25 {
		t.Errorf("%d threads, %d before", now, before)
	}
}

func TestParseStat(t *testing.T) {
	const rest = " 1 4303 1963 0 -1 4194304 25964 51 0 1 30 7 0 0 20 0 4 0 69551"
	f := func(text string, want stat, ok bool) {
		t.Helper()
		if got, err := parseStat(text); (err == nil) != ok || got != want {
			t.Errorf("parseStat(%q) = %+v, %v; want %+v", text, got, err, want)
		}
	}
	alive := stat{parent: 1, group: 4303, cpu: 370 * time.Millisecond, threads: 4, start: 69551}
	with := func(change func(*stat)) stat {
		s := alive
		change(&s)
		return s
	}
	f("4851 (main) S"+rest, alive, true)
	f("4851 (a) Z 1 (b) S"+rest, alive, true) // the name is the process's own choice
	f("4851 (main) Z"+rest, with(func(s *stat) { s.dead = true }), true)
	f("2 (kthreadd) S"+rest+" 0 0", with(func(s *stat) { s.kernel = true }), true)
	memory := rest + " 8192 0" + strings.Repeat(" 1", 26)
	f("4851 (main) S"+memory+" 1 0", alive, true)
	f("4851 (main) R"+memory+" 0 0", with(func(s *stat) { s.blank = true }), true)
	f("", stat{}, false)
	f("4851 (main) S 1", stat{}, false)
	f("4851 (main) S"+strings.TrimSuffix(rest, " 69551"), stat{}, false)
	f("4851 (main) S"+strings.ReplaceAll(rest, "30", "x"), stat{}, false)
}

func FuzzParseStat(f *testing.F) {
	f.Add("4851 (main) S 1 4303 1963 0 -1 4194304 25964 51 0 1 30 7 0 0 20 0 4 0 69551")
	f.Add(")))")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := parseStat(text); err != nil && s != (stat{}) {
			t.Errorf("%+v beside error %v", s, err)
		}
	})
}

func TestParseStatus(t *testing.T) {
	f := func(text string, rss, peak int64) {
		t.Helper()
		if r, p := parseStatus(text); r != rss || p != peak {
			t.Errorf("parseStatus(%q) = %d, %d; want %d, %d", text, r, p, rss, peak)
		}
	}
	f("Name:\tsh\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t1\n", 1<<20, 2<<20)
	f("Name:\tsh\nState:\tZ (zombie)\n", 0, 0)
	f("VmRSS:\tmuch kB", 0, 0)
}

func TestMarks(t *testing.T) {
	f := func(environ, mark string, want bool) {
		t.Helper()
		if got := marked(environ, mark); got != want {
			t.Errorf("marked(%q, %q) = %v", environ, mark, got)
		}
	}
	f("A=1\x00PACEWIRE_MARK=x\x00", "PACEWIRE_MARK=x", true)
	f("PACEWIRE_MARK=x.y\x00", "PACEWIRE_MARK=x", true) // started by what we started
	f("PACEWIRE_MARK=xy\x00", "PACEWIRE_MARK=x", false)
	f("PACEWIRE_MARK=x\x00", "PACEWIRE_MARK=x.y", false) // the one above
	f("B=PACEWIRE_MARK=x\x00", "PACEWIRE_MARK=x", false)
	f("", "PACEWIRE_MARK=x", false)

	t.Setenv(Mark, "")
	if a, b := newMark(false), newMark(false); a == b || !strings.HasPrefix(a, Mark+"=") {
		t.Errorf("marks %q, %q", a, b)
	}
	t.Setenv(Mark, "above")
	if m := newMark(false); !strings.HasPrefix(m, Mark+"=above.") {
		t.Errorf("mark %q is not below ours", m)
	}
	if m := newMark(true); !strings.HasPrefix(m, Mark+"=kept.") {
		t.Errorf("mark %q is of our life", m)
	}
	t.Setenv(Mark, "id.life")
	if m := newMark(true); !strings.HasPrefix(m, Mark+"=id.kept.") {
		t.Errorf("mark %q is not beside ours", m)
	}
}
