package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
)

// The scripts write the pids of what they start to the file $PIDS, and "ready"
// last, once TERM finds them as it should. All of it must be gone: at once if it obeys, after the grace if it does not.
func TestTerminateLeavesNothing(t *testing.T) {
	const plenty, some = time.Hour, 500 * time.Millisecond // who obeys needs none of it
	f := func(name, script string, grace time.Duration) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pids := filepath.Join(t.TempDir(), "pids")
			p := shell(t, script, []string{"PIDS=" + pids})
			var family []int
			eventually(t, "the script is ready", func() bool {
				var ready bool
				family, ready = readPids(pids)
				return ready
			})
			begin := time.Now()
			p.Terminate(grace)
			ended(t, p)
			if took := time.Since(begin); grace == some && took < grace {
				t.Errorf("took %v, want %v at least", took, grace)
			}
			gone(t, append(family, p.PID())...)
		})
	}
	f("obeys", `echo ready >$PIDS; exec sleep 3600`, plenty)
	f("shell and child", `sleep 3600 & echo $! ready >$PIDS; wait`, plenty)
	f("pipeline", `sleep 3600 | cat & echo $! ready >$PIDS; wait`, plenty)
	f("ignores TERM", `trap "" TERM; sleep 3600 & echo $! ready >$PIDS; wait; wait`, some)
	f("stopped", `(until grep -q 'State:.T' /proc/$$/status; do :; done; echo ready >$PIDS) & kill -STOP $$`, some)
	f("grandchild ignores TERM", `(trap "" TERM; sh -c 'echo $$ ready >$PIDS; sleep 3600; :') & wait`, some)
	f("setsid grandchild", `setsid sleep 3600 & echo $! ready >$PIDS; wait`, plenty)
	f("setsid grandchild ignores TERM", `(trap "" TERM; exec setsid sh -c 'echo $$ ready >$PIDS; exec sleep 3600') & wait`, some)
	f("double fork", `(setsid sh -c 'echo $$ ready >$PIDS; exec sleep 3600' &); sleep 3600`, plenty)
}

// Who drains when told to has the grace even if its shell is gone at once.
func TestRestOfTheGroupHasTheGrace(t *testing.T) {
	var out texttest.Buffer
	p := start(t, Command{
		Args:   []string{"sh", "-c", `(trap 'sleep 0.2; echo drained; exit' TERM; echo up; while :; do sleep 0.01; done) & wait`},
		Stdout: &out,
	})
	eventually(t, "the script is up", func() bool { return out.String() == "up\n" })
	p.Terminate(time.Hour)
	ended(t, p)
	if got := out.String(); got != "up\ndrained\n" {
		t.Errorf("output %q, want up, drained", got)
	}
}

// A leader that ends by itself takes all it started along, and its exit code and output count.
func TestLeaderEnds(t *testing.T) {
	f := func(script string) {
		t.Helper()
		var out texttest.Buffer
		p := start(t, Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
		e := ended(t, p)
		if e.Code != 3 || !strings.HasPrefix(out.String(), "done") {
			t.Errorf("%s: %v, output %q; want exit code 3, done", script, e, out.String())
		}
		if left := p.survivors(); len(left) > 0 {
			t.Errorf("%s: left %v", script, left)
		}
	}
	f("sleep 3600 & echo done; exit 3")
	f("setsid sleep 3600 & echo done; exit 3")
	f("(trap '' TERM HUP; sleep 3600; sleep 3600) & echo done; exit 3")
	f(hides(t) + "echo done; exit 3")
}

// hides is the begin of a script: it starts one that is out of reach, with no mark and no group, and has the script's output. It
// ends with the test.
func hides(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "hidden")
	t.Cleanup(func() {
		pids, _ := readPids(path)
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
	return fmt.Sprintf("env -i setsid sh -c 'echo $$ ready >%[1]s; exec sleep 3600' & until [ -s %[1]s ]; do sleep 0.01; done; ", path)
}

// A process that becomes another program has no environment for a moment. It must not slip through then.
func TestMarkWhileProgramsChange(t *testing.T) {
	script := filepath.Join(t.TempDir(), "again")
	if err := os.WriteFile(script, []byte(`exec sh "$0"`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, Command{Args: []string{"sh", script}})
	for i := range 5000 {
		if !hasMark(p.PID(), p.mark) {
			t.Fatalf("look %d: no mark", i)
		}
	}
}

// gone waits until the processes are dead; a zombie awaits only its reaper.
func gone(t *testing.T, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		eventually(t, fmt.Sprintf("process %d is gone", pid), func() bool {
			s, err := readStat(pid)
			return err != nil || s.dead
		})
	}
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
