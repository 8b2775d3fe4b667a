package process

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// childrenOf are the children of a process, the dead ones included.
func childrenOf(parent int) (all []stat) {
	for _, s := range processes() {
		if s.parent == parent {
			all = append(all, s)
		}
	}
	return all
}

// Zombies of others are reaped and no exit of ours is lost; those out of the sweep's reach end with the release.
func TestAdopt(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Dir, cmd.Env = t.TempDir(), []string{role + "=adopter", "PATH=" + os.Getenv("PATH")}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	out := bufio.NewReader(pipe)
	said := func(want string) {
		t.Helper()
		if line, err := out.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
			t.Errorf("it says %q, %v; want %q", line, err, want)
		}
	}
	said("good 101")
	eventually(t, "only the one without a mark is there, and no zombie", func() bool {
		all := childrenOf(cmd.Process.Pid)
		return len(all) == 1 && !all[0].dead
	})
	hidden, ready := readPids(filepath.Join(cmd.Dir, "hidden"))
	if len(hidden) != 1 || !ready {
		t.Fatalf("hidden are %v", hidden)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	gone(t, hidden...)
}

// A pid of ours that is given away again is not taken for the new one.
func TestStartedIsByCommand(t *testing.T) {
	old, next := exec.Command("true"), exec.Command("true")
	if err := startChild(old); err != nil {
		t.Fatal(err)
	}
	pid := old.Process.Pid
	started.Store(pid, next)
	t.Cleanup(func() { started.Delete(pid) })
	if err := waitChild(old); err != nil {
		t.Error(err)
	}
	if got, ok := started.Load(pid); !ok || got != next {
		t.Errorf("%v is in the list: %v", got, ok)
	}
	if err := startChild(exec.Command("/no/such/program")); err == nil {
		t.Error("no error")
	}
}
