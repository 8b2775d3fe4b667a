package supervise

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests of this file have real processes: copies of the test binary, which
// the first variable of their environment tells what to play.
const role = "SUPERVISE_TEST_ROLE"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "guard" { // it has no environment of its own
		guard(os.Args[2])
		return
	}
	switch os.Getenv(role) {
	case "flooder":
		flooder()
	case "stubborn":
		stubborn()
	case "supervisor":
		supervisor()
	case "keeper":
		keeper()
	case "eater":
		eater()
	default:
		os.Exit(m.Run())
	}
}

func TestLinesAndEnvironment(t *testing.T) {
	t.Setenv("BUS_PASSWORD", "secret")
	var mu sync.Mutex
	var got []string
	c := run(t, Spec{
		Command: []string{"sh", "-c", `echo out; echo err >&2; env; printf end; exit 64`},
		Env:     []string{"PATH=/usr/bin:/bin", "A=1"},
		Line: func(stream string, line []byte) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, stream+" "+string(line))
		},
		NoRestart: func(code int) bool { return code == 64 },
	})
	st := await(t, c, "it has failed", func(st Status) bool { return st.State == Failed })
	if st.Reason != "exit code 64: err" || st.LastExit.CPU <= 0 {
		t.Errorf("status %+v", st)
	}
	for _, want := range []string{"stdout out", "stderr err", "stdout A=1", "stdout end"} {
		if !slices.Contains(got, want) {
			t.Errorf("no line %q in %q", want, got)
		}
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "secret") {
		t.Errorf("the environment leaks: %q", all)
	}
}

// Kill -9 from outside: back, and known to be so. That there is no pause before it is what the tests in a bubble show.
func TestBackAfterKill(t *testing.T) {
	c := run(t, Spec{Command: []string{"sleep", "60"}})
	old := await(t, c, "it runs", isRunning).PID
	begin := time.Now()
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	st := await(t, c, "it is back", func(st Status) bool { return isRunning(st) && st.PID != old })
	t.Logf("back after %v", time.Since(begin))
	if st.Restarts != 1 || st.LastExit.Signal != "SIGKILL" {
		t.Errorf("%+v", st)
	}
	if u, err := c.Usage(); err != nil || u.RSS == 0 {
		t.Errorf("Usage: %+v, %v", u, err)
	}
}

// Each kind of child that hangs is gone after the deadline, with all it has started: nobody waits for what sleeps. The scripts
// write the pids of what they start to the file $PIDS, "ready" last.
func TestStopLeavesNothing(t *testing.T) {
	const deadline = 200 * time.Millisecond
	f := func(name, script string, others int) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pids")
			c := run(t, Spec{
				Command:     []string{"sh", "-c", script},
				Env:         []string{"PATH=" + os.Getenv("PATH"), "PIDS=" + pids},
				TermTimeout: deadline,
			})
			var family []int
			await(t, c, "its family is there", func(Status) bool {
				var ready bool
				family, ready = readPids(pids)
				return ready
			})
			family = append(family, c.Status().PID)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if err := c.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			if len(family) != others+1 || slices.ContainsFunc(family, alive) {
				t.Errorf("of the processes %v some are left, or there were not %d others", family, others)
			}
		})
	}
	f("ignores TERM", `trap "" TERM; sleep 3600 & echo $! ready >$PIDS; while :; do sleep 3600; done`, 1)
	f("background grandchild holds stdout", `(trap "" TERM; sleep 3600) & echo $! ready >$PIDS; exec sleep 3600`, 1)
	f("setsid grandchild", `(trap "" TERM; exec setsid sh -c 'echo $$ ready >$PIDS; exec sleep 3600') & wait; wait`, 1)
	f("shell pipeline", `sleep 3600 | sh -c 'trap "" TERM; echo $$ ready >$PIDS; cat; sleep 3600' | cat`, 1)
	f("stopped", `(until grep -q 'State:.T' /proc/$$/status; do :; done; echo ready >$PIDS) & kill -STOP $$; sleep 3600`, 0)
	f("double fork", `(setsid sh -c 'echo $$ ready >$PIDS; exec sleep 3600' &); exec sleep 3600`, 1)
}

// readPids reads pids that end with "ready".
func readPids(path string) (pids []int, ready bool) {
	text, _ := os.ReadFile(path)
	for word := range strings.FieldsSeq(string(text)) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			return pids, word == "ready"
		}
		pids = append(pids, pid)
	}
	return pids, false
}

// A gigabyte without a newline passes through, and stays nowhere: what is allocated meanwhile, also by what other tests have left to
// be tidied, is less than a hundredth.
func TestFlood(t *testing.T) {
	var mu sync.Mutex
	longest, count := 0, 0
	before, ended := allocated(), make(chan struct{})
	c := run(t, Spec{
		Command: []string{os.Args[0]},
		Env:     []string{role + "=flooder"},
		Line: func(_ string, line []byte) {
			mu.Lock()
			defer mu.Unlock()
			longest, count = max(longest, len(line)), count+1
		},
		OnChange: func(st Status) {
			if st.State == Failed {
				close(ended)
			}
		},
		NoRestart: func(code int) bool { return code == 64 },
	})
	<-ended // to ask again and again takes memory too
	st := c.Status()
	if st.Reason != "exit code 64" || longest > 9<<10 || count != 1 {
		t.Errorf("%d lines, the longest of %d bytes, %+v", count, longest, st)
	}
	if grown := allocated() - before; grown > 8<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

func flooder() {
	chunk := bytes.Repeat([]byte("x"), 1<<20)
	for range 1 << 10 {
		if _, err := os.Stdout.Write(chunk); err != nil {
			os.Exit(1)
		}
	}
	os.Exit(64)
}

func TestDrainIsHonoured(t *testing.T) {
	dir := t.TempDir()
	c := run(t, Spec{
		Command: []string{"sh", "-c", `trap "" TERM; while [ ! -e drain ]; do sleep 0.01; done; echo >drained`},
		Dir:     dir,
		Drain: func(context.Context) error {
			return os.WriteFile(filepath.Join(dir, "drain"), nil, 0o644)
		},
	})
	await(t, c, "it runs", isRunning)
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := c.Status(); st.LastExit.Signal != "" || st.LastExit.Code != 0 {
		t.Errorf("%+v, want exit code 0", st.LastExit)
	}
	if _, err := os.Stat(filepath.Join(dir, "drained")); err != nil {
		t.Error(err)
	}
}

// Kill -9 of the supervisor leaves nothing, be the child ever so stubborn.
func TestKilledSupervisorLeavesNothing(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{role + "=supervisor"}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	_, err = fmt.Fscanf(bufio.NewReader(out), "child %d\n", &pid)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(limit); alive(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("child %d is left", pid)
		}
	}
}

// supervisor says the pid of its child when that is ready, and waits to be killed.
func supervisor() {
	ready := make(chan struct{})
	c := New(Spec{
		Command: []string{os.Args[0]},
		Env:     []string{role + "=stubborn"},
		Line:    func(string, []byte) { close(ready) },
	})
	go func() {
		<-ready
		fmt.Println("child", c.Status().PID)
	}()
	_ = c.Run(context.Background())
}

// stubborn does not read its stdin and is deaf to all signals it can be deaf to.
func stubborn() {
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGPIPE)
	fmt.Println("ready")
	for {
		time.Sleep(time.Hour)
	}
}

func TestNothingLeaks(t *testing.T) {
	c := run(t, Spec{Command: []string{"sleep", "60"}, Healthy: time.Nanosecond, Drain: func(context.Context) error {
		return errors.New("not asked")
	}})
	await(t, c, "it runs", isRunning)
	rounds := func(n int) {
		for range n / 2 {
			if err := c.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			st := c.Status()
			_ = c.Signal(syscall.SIGKILL)
			await(t, c, "it is back", func(now Status) bool { return isRunning(now) && now.PID != st.PID })
		}
	}
	rounds(10) // what is made once is made now
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	rounds(200)
	const young = 5 // that were not there yet in the moment of the count
	await(t, c, fmt.Sprintf("%d goroutines, %d files as before", goroutines, files), func(Status) bool {
		return runtime.NumGoroutine() <= goroutines+young && openFiles(t) <= files+young
	})
	if st := c.Status(); st.Restarts != 105 { // half of them were asked for
		t.Errorf("%d restarts, want 105", st.Restarts)
	}
}

// run starts a child whose Run ends with the test.
func run(t *testing.T, spec Spec) *Child {
	t.Helper()
	c := New(spec)
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	wg.Go(func() {
		if err := c.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return c
}

const limit = time.Minute // of any wait in these tests

func await(t *testing.T, c *Child, what string, f func(Status) bool) Status {
	t.Helper()
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		st := c.Status()
		if f(st) {
			return st
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s: %+v", limit, what, st)
		}
	}
}

func isRunning(st Status) bool { return st.State == Running }

// alive is false for a zombie: that only awaits its reaper.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(after, "Z")
}

// allocated is all that ever was, whether it is free again or not.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
