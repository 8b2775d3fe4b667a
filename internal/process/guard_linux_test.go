package process

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// An owned is an owner as the test sees it.
type owned struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	family []int // all that came from its child
}

// startOwner starts one, which ends with the test.
func startOwner(t *testing.T, id string) owned {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Dir, cmd.Env = t.TempDir(), []string{role + "=owner", "ID=" + id, "PATH=" + os.Getenv("PATH")}
	stdin, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_, _ = Sweep(id, 0)
	})
	return owned{cmd, stdin, family(t, out)}
}

// family reads the pids that wild says.
func family(t *testing.T, out io.Reader) []int {
	t.Helper()
	pids := make([]any, 6)
	for i := range pids {
		pids[i] = new(int)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, bad := fmt.Sscan(strings.TrimPrefix(line, "ready"), pids...); err != nil || bad != nil {
		t.Fatalf("the child says %q: %v, %v", line, err, bad)
	}
	var list []int
	for _, pid := range pids {
		list = append(list, *pid.(*int))
	}
	return list
}

// marks returns who carries the mark or one below it.
func marks(mark string) []int { return survivors(noGroup, Mark+"="+mark) }

// testID is one that only this run of this test has.
func testID(t *testing.T) string {
	return fmt.Sprintf("%s-%d", strings.ReplaceAll(t.Name(), "/", "-"), os.Getpid())
}

// Kill -9 of one process ends all that came from it, wherever they went, and the guard last. Another one is undisturbed.
func TestGuardAfterKill(t *testing.T) {
	id, other := testID(t), testID(t)+"-other"
	o, neighbour := startOwner(t, id), startOwner(t, other)
	for mark, of := range map[string]owned{id: o, other: neighbour} {
		eventually(t, "all have the mark, and the guard", func() bool { return len(marks(mark)) == len(of.family)+1 })
	}
	before := marks(other)
	begin := time.Now()
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
	gone(t, o.family...)
	eventually(t, "the guard is gone", func() bool { return len(marks(id)) == 0 })
	t.Logf("nothing was left after %v", time.Since(begin).Round(time.Millisecond))
	if after := marks(other); !slices.Equal(after, before) || len(after) != len(neighbour.family)+1 {
		t.Errorf("processes of the neighbour %v, before %v", after, before)
	}
}

func TestGuardAfterTheEnd(t *testing.T) {
	id := testID(t)
	o := startOwner(t, id)
	o.stdin.Close()
	if err := o.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if left := marks(id); len(left) > 0 { // it has waited for the guard
		t.Errorf("processes %v are left", left)
	}
}

// Who comes after a killed one whose guard was killed too ends what that left, once.
func TestOwnSweepsTheLifeBefore(t *testing.T) {
	id := testID(t)
	o := startOwner(t, id)
	for _, pid := range marks(id) {
		if !slices.Contains(o.family, pid) {
			_ = syscall.Kill(o.cmd.Process.Pid, syscall.SIGSTOP) // it is not to start another one
			_ = syscall.Kill(pid, syscall.SIGKILL)
			gone(t, pid)
		}
	}
	_ = o.cmd.Process.Kill()
	_ = o.cmd.Wait()
	gone(t, o.family[len(o.family)-1]) // the child itself, with its parent
	left := len(marks(id))
	if left == 0 {
		t.Fatal("INVALID: nothing is left")
	}
	t.Setenv(Mark, "")
	first, met, err := Own(id, 200*time.Millisecond)
	if err != nil || met != left || len(marks(id)) > 0 {
		t.Errorf("met %d, %v; %d were left, now %v", met, err, left, marks(id))
	}
	if os.Getenv(Mark) != first || !strings.HasPrefix(first, id+".") {
		t.Errorf("mark %q, in the environment %q", first, os.Getenv(Mark))
	}
	t.Setenv(Mark, "")
	if second, met, err := Own(id, 0); err != nil || met != 0 || second == first {
		t.Errorf("mark %q after %q, met %d, %v", second, first, met, err)
	}
}

// Ending a process that has a guard ends the guard too.
func TestGuardBelowAnother(t *testing.T) {
	r, w := io.Pipe()
	p := start(t, Command{Args: []string{os.Args[0]}, Dir: t.TempDir(), Stdout: w,
		Env: []string{role + "=owner", "ID=" + testID(t), "PATH=" + os.Getenv("PATH")}})
	pids := family(t, r)
	go func() { _, _ = io.Copy(io.Discard, r) }()
	eventually(t, "all are there, the owner and its guard", func() bool { return len(p.survivors()) == len(pids)+2 })
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ended(t, p)
	if left := p.survivors(); len(left) > 0 {
		t.Errorf("processes %v are left", left)
	}
}

// A guard that somebody kills gets a successor, no signal but KILL moves it, and who is dismissed runs nothing.
func TestGuardStays(t *testing.T) {
	t.Setenv(Mark, testID(t)+".life")
	ran := filepath.Join(t.TempDir(), "ran")
	g, err := StartGuard([]string{"/bin/sh", "-c", "echo >" + ran}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	stop := context.AfterFunc(t.Context(), g.Stop) // before Cleanup
	find := func() (pid int) {
		eventually(t, "a guard waits", func() bool {
			all := marks(testID(t))
			if len(all) != 1 {
				return false
			}
			pid = all[0]
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			return strings.Contains(string(args), "read -r") && ignores(string(status), 0x4003)
		})
		return pid
	}
	old := find()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		if err := syscall.Kill(old, sig); err != nil {
			t.Fatal(err)
		}
	}
	if now := find(); now != old {
		t.Errorf("guard %d is now %d", old, now)
	}
	if err := syscall.Kill(old, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return !slices.Contains(marks(testID(t)), old) })
	if now := find(); now == old {
		t.Errorf("guard %d has no successor", old)
	}
	if stop() {
		g.Stop()
	}
	if left := marks(testID(t)); len(left) > 0 {
		t.Errorf("guard %v is left", left)
	}
	if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the command ran: %v", err)
	}
}

// ignores reports whether a status of /proc says that at least the signals of mask are ignored: who started us may have
// ignored others too.
func ignores(status string, mask uint64) bool {
	_, rest, _ := strings.Cut(status, "SigIgn:\t")
	set, err := strconv.ParseUint(strings.Fields(rest + " -")[0], 16, 64)
	return err == nil && set&mask == mask
}

// Where there is no shell the command waits by itself.
func TestGuardWithoutShell(t *testing.T) {
	args := []string{"pacewire", "guard"}
	if got := guardArgs("/no/shell", args); !slices.Equal(got, args) {
		t.Errorf("%q", got)
	}
	if got := guardArgs(guardShell, args); got[0] != guardShell || !slices.Equal(got[3:], args) {
		t.Errorf("%q", got)
	}
	f := func(stdin string, want bool) {
		t.Helper()
		if got := AwaitParent(strings.NewReader(stdin)); got != want {
			t.Errorf("AwaitParent(%q) = %v", stdin, got)
		}
	}
	f("", true)
	f("\n", false)
}
