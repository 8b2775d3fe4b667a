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

// An actor is a copy of the test binary that plays a role in a folder of its own, until end.
type actor struct {
	t   *testing.T
	dir string
	pid int
	out *bufio.Reader
	end func()
}

func play(t *testing.T, name string) actor {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Dir, cmd.Env = t.TempDir(), []string{role + "=" + name, "PATH=" + os.Getenv("PATH")}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
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
	return actor{t, cmd.Dir, cmd.Process.Pid, bufio.NewReader(out), func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}}
}

// says waits for a line.
func (a actor) says(want string) {
	a.t.Helper()
	if line, err := a.out.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
		a.t.Errorf("it says %q, %v; want %q", line, err, want)
	}
}

// pidIn returns the one pid in a file.
func (a actor) pidIn(name string) int {
	a.t.Helper()
	pids, ready := readPids(filepath.Join(a.dir, name))
	if len(pids) != 1 || !ready {
		a.t.Fatalf("%s are %v", name, pids)
	}
	return pids[0]
}

// Zombies of others are reaped and no exit of ours is lost; those out of the sweep's reach end with the release.
func TestAdopt(t *testing.T) {
	a := play(t, "adopter")
	a.says("good 101")
	eventually(t, "only the one without a mark is there, and no zombie", func() bool {
		all := childrenOf(a.pid)
		return len(all) == 1 && !all[0].dead
	})
	hidden := a.pidIn("hidden")
	a.end()
	gone(t, hidden)
}

// Who tends ends with a program what that has left without a mark; what a mark says is of another one stays.
func TestTend(t *testing.T) {
	a := play(t, "tender")
	a.says("exit code 7")
	gone(t, a.pidIn("hidden"))
	marked := a.pidIn("marked")
	if s, err := readStat(marked); err != nil || s.dead {
		t.Errorf("the other program has lost its process: %v", err)
	}
	a.end()
	gone(t, marked)
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
