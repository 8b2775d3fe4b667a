package supervise

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// keptSpec is a child that prints its pid again and again and is to be kept.
func keptSpec(line func(stream string, line []byte)) Spec {
	return Spec{
		Command: []string{"sh", "-c", "while :; do echo $$ >&2; sleep 0.01; done"}, Env: []string{"PATH=" + os.Getenv("PATH")},
		Keep: true, KeepDir: "keep", Line: line, TermTimeout: 200 * time.Millisecond,
	}
}

// keeper is an agent that runs it.
func keeper() {
	mark, _, err := process.Own(os.Getenv("ID"), 0)
	if err == nil {
		_, err = process.StartGuard([]string{os.Args[0], "guard", mark}, slog.New(slog.DiscardHandler))
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	spec := keptSpec(nil)
	spec.OnChange = func(st Status) {
		if st.State == Running {
			fmt.Println("ready")
		}
	}
	_ = New(spec).Run(context.Background())
}

func guard(mark string) {
	if process.AwaitParent(os.Stdin) {
		_ = process.CleanUp(mark, 0)
	}
}

// A child that an agent keeps survives its kill -9: the next one goes on with the same process, reads its lines, survives
// its end by ctx as well, and ends it with Stop.
func TestKeptChildSurvives(t *testing.T) {
	id := fmt.Sprintf("%s-%d", t.Name(), os.Getpid())
	t.Chdir(t.TempDir())
	cmd := exec.Command(os.Args[0])
	cmd.Env = []string{role + "=keeper", "ID=" + id, "PATH=" + os.Getenv("PATH")}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = process.Sweep(id, 0) })
	line, _ := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if line != "ready\n" {
		t.Fatalf("the agent says %q", line)
	}
	r, err := process.ReadRecord("keep")
	if err != nil {
		t.Fatal(err)
	}

	t.Setenv(process.Mark, "")
	if _, _, err := process.Own(id, 0, "keep"); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	c := New(keptSpec(func(stream string, line []byte) {
		select {
		case lines <- stream + " " + string(line):
		default: // enough
		}
	}))
	live := func() (end func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Run(ctx) })
		return func() { cancel(); wg.Wait() }
	}
	runs := func() {
		t.Helper()
		st := await(t, c, "it runs", isRunning)
		if st.PID != r.PID || st.Restarts != 0 || st.Started.After(time.Now()) || st.Started.IsZero() {
			t.Errorf("%+v; want process %d", st, r.PID)
		}
		want := fmt.Sprint("stderr ", r.PID)
		for got := ""; got != want; got = <-lines {
			if got != "" && !strings.HasSuffix(want, strings.TrimPrefix(got, "stderr ")) { // the first may be a part of one
				t.Fatalf("line %q", got)
			}
		}
	}
	end := live()
	runs()
	end()
	if !alive(r.PID) {
		t.Fatal("it has ended with ctx")
	}
	end = live()
	runs()
	if err := c.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	end()
	if st := c.Status(); alive(r.PID) || !st.LastExit.Unknown || st.State != Stopped {
		t.Errorf("%+v", st)
	}
	if left, err := filepath.Glob("keep/*"); err != nil || len(left) > 0 {
		t.Errorf("files %v, %v", left, err)
	}
}

// Over its limit of memory is what the status says, and another start follows as after any crash.
func TestOverMemory(t *testing.T) {
	c := run(t, Spec{Command: []string{os.Args[0]}, Env: []string{role + "=eater"}, Limits: Limits{Memory: 32 << 20}})
	st := await(t, c, "it is over", func(st Status) bool { return st.State == BackingOff && st.Restarts >= 1 })
	if st.Reason != "over its memory limit of 32 MiB" || !st.LastExit.OOM {
		t.Errorf("%+v", st)
	}
}

// eater takes 100 MiB and prints what is not the reason of its end.
func eater() {
	b := make([]byte, 100<<20)
	for i := range b {
		b[i] = byte(i)
	}
	fmt.Fprintln(os.Stderr, "all is well")
	time.Sleep(time.Hour)
	os.Exit(int(b[0]))
}

// A user that is not there is a reason that says what to do.
func TestUserThatIsNotThere(t *testing.T) {
	c := run(t, Spec{Command: []string{"true"}, User: "no-such-user"})
	st := await(t, c, "it backs off", func(st Status) bool { return st.State == BackingOff })
	if !strings.Contains(st.Reason, "run_as no-such-user: this machine has no such user") {
		t.Errorf("%+v", st)
	}
}
