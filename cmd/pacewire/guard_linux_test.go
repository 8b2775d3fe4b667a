package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// leftBy starts a process as an agent with the mark has left it.
func leftBy(t *testing.T, mark, keepDir string) *process.Process {
	t.Helper()
	t.Setenv(process.Mark, mark)
	p, err := process.Start(process.Command{Args: []string{"sleep", "60"}, KeepDir: keepDir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Signal(syscall.SIGKILL)
		<-p.Done()
	})
	t.Setenv(process.Mark, "")
	return p
}

func runs(p *process.Process) bool {
	select {
	case <-p.Done():
		return false
	default:
		return syscall.Kill(p.PID(), 0) == nil
	}
}

func testID(t *testing.T) string { return fmt.Sprintf("%s-%d", t.Name(), os.Getpid()) }

// The guard ends what its agent has left when the pipe from that ends, and nothing when it is dismissed.
func TestGuardVerb(t *testing.T) {
	t.Cleanup(func() { // the guard ignores them, and Reset alone leaves it so for the programs that other tests start
		ended := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
		signal.Notify(make(chan os.Signal, 1), ended...)
		signal.Reset(ended...)
	})
	life := testID(t) + ".life"
	left, other := leftBy(t, life, ""), leftBy(t, testID(t)+".other", "")
	guard := func(in io.Reader) {
		t.Helper()
		var out bytes.Buffer
		a := &app{in: in, out: &out, err: &out}
		if code := a.run(t.Context(), func() {}, []string{"guard", life}); code != 0 {
			t.Errorf("exit code %d, %s", code, out.String())
		}
	}
	guard(strings.NewReader("\n"))
	if !runs(left) || !runs(other) {
		t.Error("a dismissed guard has ended a process")
	}
	guard(strings.NewReader(""))
	select {
	case <-left.Done():
	case <-time.After(soon):
		t.Error("what the agent has left is there")
	}
	if !runs(other) {
		t.Error("the next life has lost a process")
	}
}

// The next agent ends what is left and not wanted, spares what it is to take over, and leaves nothing itself.
func TestLeaveNothing(t *testing.T) {
	id, dir := testID(t), t.TempDir()
	left := leftBy(t, id+".before", "")
	wanted, unwanted := leftBy(t, id+".before", filepath.Join(dir, "wanted")), leftBy(t, id+".before", filepath.Join(dir, "unwanted"))
	pid := wanted.PID()
	if !wanted.Detach() {
		t.Fatal("it is not kept")
	}
	var text bytes.Buffer
	done, err := leaveNothing(id, slog.New(slog.NewTextHandler(&text, nil)), filepath.Join(dir, "wanted"), filepath.Join(dir, "absent"))
	if err != nil {
		t.Fatal(err)
	}
	<-left.Done()
	<-unwanted.Done()
	if !strings.Contains(text.String(), "processes of an earlier agent were ended") || !strings.Contains(text.String(), "count=2") {
		t.Errorf("log %s", text.String())
	}
	again, err := process.Resume(filepath.Join(dir, "wanted"), nil, nil)
	if err != nil || again.PID() != pid {
		t.Fatalf("%v, %v; want process %d", again, err, pid)
	}
	again.Terminate(0)
	<-again.Done()
	done()
	if met, err := process.Sweep(id, 0); met != 0 || err != nil {
		t.Errorf("%d were left, %v", met, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "wanted")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
}
