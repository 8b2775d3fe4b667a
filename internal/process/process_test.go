package process

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
)

// role tells a copy of the test binary what to play instead of the tests.
const role = "PROCESS_TEST_ROLE"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "guard" { // it has no environment
		guard(os.Args[2])
		return
	}
	switch os.Getenv(role) {
	case "parent":
		parent()
	case "owner":
		owner()
	case "tender":
		tender()
	case "adopter":
		adopter()
	case "eater":
		eater()
	case "keeper":
		keeper()
	case "flooder":
		flooder()
	default:
		os.Exit(m.Run())
	}
}

// A command may say what it reads; then nobody writes to it.
func TestStdinOfTheCommand(t *testing.T) {
	var out texttest.Buffer
	p := start(t, Command{Args: []string{"cat"}, Stdin: strings.NewReader("given"), Stdout: &out})
	if e := ended(t, p); e.Code != 0 || out.String() != "given" || p.Stdin() != nil {
		t.Errorf("%v, output %q, stdin %v", e, out.String(), p.Stdin())
	}
}

func TestExit(t *testing.T) {
	f := func(script string, code int, signal, text string) {
		t.Helper()
		e := ended(t, shell(t, script, nil))
		if e.Code != code || e.Signal != signal || e.String() != text {
			t.Errorf("%s: %d %q %q, want %d %q %q", script, e.Code, e.Signal, e, code, signal, text)
		}
		if time.Since(e.At) > time.Minute {
			t.Errorf("%s: ended at %v", script, e.At)
		}
	}
	f("exit 0", 0, "", "exit code 0")
	f("exit 78", 78, "", "exit code 78")
	f("kill -9 $$", -1, "SIGKILL", "signal SIGKILL")
	f("kill -SEGV $$", -1, "SIGSEGV", "signal SIGSEGV")
}

func TestExitInWords(t *testing.T) {
	f := func(e Exit, want string) {
		t.Helper()
		if got := e.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(Exit{Code: -1, Unknown: true}, "exit code unknown")
	f(Exit{Code: -1}, "not started")
	f(Exit{}, "exit code 0")
	f(Exit{Code: -1, Signal: "SIGKILL", Over: memoryLimit(Limits{Memory: 200 << 20}), OOM: true}, "over its memory limit of 200 MiB")
	f(Exit{Code: -1, Unknown: true, Over: processLimit(Limits{Processes: 64})}, "over its limit of 64 processes and threads")
}

func TestSize(t *testing.T) {
	f := func(n int64, want string) {
		t.Helper()
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	f(0, "0 B")
	f(1000, "1000 B")
	f(1<<10, "1 KiB")
	f(1536<<10, "1536 KiB")
	f(200<<20, "200 MiB")
	f(3<<40, "3072 GiB")
}

func TestEnvironmentIsOnlyWhatIsGiven(t *testing.T) {
	t.Setenv("BUS_PASSWORD", "secret")
	var out bytes.Buffer
	p := start(t, Command{Args: []string{"env"}, Env: []string{"TZ=UTC", Mark + "=forged"}, Stdout: &out})
	ended(t, p)
	got := strings.Fields(out.String())
	slices.Sort(got)
	if want := []string{p.mark, "TZ=UTC"}; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}

func TestStartErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "locked"), "#!/bin/sh\n", 0o644)
	f := func(want error, args ...string) {
		t.Helper()
		p, err := Start(Command{Args: args, Env: []string{"PATH=" + dir}})
		if p != nil || !errors.Is(err, want) {
			t.Errorf("Start(%q) = %v, %v; want %v", args, p, err, want)
		}
	}
	f(exec.ErrNotFound, "ls") // on our PATH, not on its own
	f(fs.ErrPermission, "locked")
	f(fs.ErrPermission, dir+"/locked")
	f(fs.ErrNotExist, dir+"/absent")
	if _, err := Start(Command{}); err == nil {
		t.Error("an empty command started")
	}
}

func TestProgramIsFoundOnItsOwnPath(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "tool"), "#!/bin/sh\nexit 42\n", 0o755)
	p := start(t, Command{Args: []string{"tool"}, Env: []string{"PATH=relative:" + dir}})
	if e := ended(t, p); e.Code != 42 {
		t.Errorf("exit %v, want 42", e)
	}
}

func TestStdinStaysOpenUntilClosed(t *testing.T) {
	var out texttest.Buffer
	p := start(t, Command{Args: []string{"cat"}, Stdout: &out})
	if _, err := io.WriteString(p.Stdin(), "still here\n"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "cat answers", func() bool { return out.String() == "still here\n" })
	if err := p.Stdin().Close(); err != nil {
		t.Fatal(err)
	}
	if e := ended(t, p); e.Code != 0 {
		t.Errorf("exit %v, want 0", e)
	}
}

func TestTerminateOnlyShortensTheGrace(t *testing.T) {
	var out texttest.Buffer
	p := start(t, Command{Args: []string{"sh", "-c", `trap "" TERM; echo up; while :; do sleep 60; done`}, Stdout: &out})
	eventually(t, "the script is up", func() bool { return out.String() == "up\n" })
	p.Terminate(time.Hour)
	p.Terminate(time.Millisecond)
	p.Terminate(time.Hour)
	if e := ended(t, p); e.Signal != "SIGKILL" {
		t.Errorf("%v, want signal SIGKILL", e)
	}
}

func TestSignalAfterTheEnd(t *testing.T) {
	p := shell(t, "exit 0", nil)
	ended(t, p)
	if err := p.Signal(syscall.SIGTERM); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Signal: %v, want os.ErrProcessDone", err)
	}
	if _, err := p.Usage(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("Usage: %v, want os.ErrProcessDone", err)
	}
	p.Terminate(0) // nothing to do, nothing to crash on
}

func TestUsageAndPeak(t *testing.T) {
	const eaten = 200 << 20
	var out texttest.Buffer
	p := start(t, Command{Args: []string{os.Args[0]}, Env: []string{role + "=eater"}, Stdout: &out})
	eventually(t, "it has eaten", func() bool { return strings.Contains(out.String(), "full") })
	u, err := p.Usage()
	if err != nil || u.RSS < eaten || u.PeakRSS < u.RSS || u.CPU <= 0 {
		t.Errorf("Usage() = %+v, %v; want more than %d bytes and some CPU", u, err, eaten)
	}
	p.Stdin().Close()
	if e := ended(t, p); e.MaxRSS < eaten || e.CPU < u.CPU {
		t.Errorf("exit %+v, want a peak above %d", e, eaten)
	}
}

// The kernel charges our own peak to each child; what we cannot know we do not say.
func TestPeakOfASmallChildIsNotOurs(t *testing.T) {
	p := shell(t, "exit 0", nil)
	if e := ended(t, p); e.MaxRSS >= p.base {
		t.Errorf("peak of sh is %d, our own is %d", e.MaxRSS, p.base)
	}
}

// parent starts a stubborn child, says its pid and waits to be killed.
func parent() {
	up := &texttest.Buffer{}
	p, err := Start(Command{
		Args:          []string{"sh", "-c", `trap "" TERM HUP INT; echo up; while :; do sleep 1; done`},
		Stdout:        up,
		OnParentDeath: syscall.SIGKILL,
		User:          os.Getenv("RUN_AS"),
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for up.String() == "" {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("child", p.PID())
	<-p.Done()
}

// eater takes 200 MiB and holds it until its stdin ends.
func eater() {
	b := make([]byte, 200<<20)
	for i := 0; i < len(b); i += 1 << 10 {
		b[i] = byte(i)
	}
	fmt.Println("full")
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(int(b[0]))
}

// The helpers.

func start(t *testing.T, c Command) *Process {
	t.Helper()
	p, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Signal(syscall.SIGKILL)
		<-p.Done()
	})
	return p
}

func shell(t *testing.T, script string, env []string) *Process {
	t.Helper()
	return start(t, Command{Args: []string{"sh", "-c", script}, Env: env})
}

const limit = time.Minute // of any wait in these tests

func ended(t *testing.T, p *Process) Exit {
	t.Helper()
	select {
	case <-p.Done():
		return p.Exit()
	case <-time.After(limit):
		t.Fatalf("process %d has not ended after %v", p.PID(), limit)
		return Exit{}
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

func write(t *testing.T, path, text string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
