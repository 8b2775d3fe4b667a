package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// TestMain is a raw bus where a test asks for one.
func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if was, err := ServeRawBus(ctx, os.Args[1:]); was {
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	stop()
	os.Exit(m.Run())
}

func start(t *testing.T, script string) *Process {
	t.Helper()
	p, err := Start(exec.Command("sh", "-c", script))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("not within a minute: " + what)
		}
	}
}

func TestProcess(t *testing.T) {
	if _, err := Start(exec.Command("/no/such/program")); err == nil {
		t.Error("a program that is not there has started")
	}
	p := start(t, "echo out; echo err >&2; exit 3")
	<-p.Done()
	if !p.Ended() || p.ExitCode() != 3 || !strings.Contains(p.Log.String(), "out") || !strings.Contains(p.Log.String(), "err") {
		t.Errorf("ended %v with %d and said %q", p.Ended(), p.ExitCode(), p.Log)
	}
	p = start(t, "exec sleep 1000")
	if p.Ended() || p.ExitCode() != -1 {
		t.Error("it has ended")
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(time.Minute); err != nil || !p.Ended() { // though it is halted
		t.Errorf("stop: %v", err)
	}
	p = start(t, "trap '' TERM; echo deaf; while :; do sleep 0.01; done")
	await(t, "it is deaf", func() bool { return p.Log.String() != "" })
	if err := p.Stop(20 * time.Millisecond); err == nil || !p.Ended() {
		t.Errorf("one that is deaf: %v", err)
	}
}

func TestBelow(t *testing.T) {
	p := start(t, "sleep 1000 & wait")
	var below []int
	await(t, "it has a child", func() bool {
		below = Below(p.PID())
		return len(below) == 1
	})
	if all := Below(os.Getpid()); !slices.Contains(all, p.PID()) || !slices.Contains(all, below[0]) {
		t.Errorf("below us are %v, not %d and %d", all, p.PID(), below[0])
	}
	if err := syscall.Kill(below[0], syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func TestUsage(t *testing.T) {
	self := os.Getpid()
	if n := Memory(self, "status", "VmRSS:"); n < 1<<20 {
		t.Errorf("we have %d bytes", n)
	}
	if n := Memory(self, "status", "Nonsense:") + Memory(-1, "status", "VmRSS:"); n != 0 {
		t.Errorf("what is not there has %d bytes", n)
	}
	if cpu, err := CPU(self); err != nil || cpu <= 0 {
		t.Errorf("we have used %v, %v", cpu, err)
	}
	if _, err := CPU(-1); err == nil {
		t.Error("nobody has used CPU")
	}
	if a, b := FreePort(), FreePort(); a <= 0 || b <= 0 {
		t.Errorf("ports %d and %d", a, b)
	}
	if text := Machine(); !strings.Contains(text, "cores") {
		t.Errorf("the machine is %q", text)
	}
}

// A raw bus that is killed has what it acknowledged when it is started again in its place.
func TestRawBus(t *testing.T) {
	b := RawBus{Dir: t.TempDir()}
	p, url, err := b.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	conn := dial(t, url)
	if err := conn.EnsureStreams(t.Context(), bus.DefaultStreams()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a second one on the store: %v", err)
	}
	p.Kill()
	b.Listen = strings.TrimPrefix(url, "nats://")
	p, again, err := b.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	if again != url {
		t.Errorf("it is at %s now, and was at %s", again, url)
	}
	if _, err := dial(t, again).StreamInfo(t.Context(), bus.StreamMetrics); err != nil {
		t.Error(err)
	}
	if err := p.Stop(time.Minute); err != nil {
		t.Error(err)
	}
}

func dial(t *testing.T, url string) *bus.Conn {
	t.Helper()
	conn, err := bus.Dial(t.Context(), bus.Options{URL: url, User: "test", Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}
