package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The scripts write the pids of what they start to the file $PIDS, and "ready"
// last, once TERM finds them as it should. All of it must be gone within the limit, counted from Terminate.
func TestTerminateLeavesNothing(t *testing.T) {
	const grace = 2 * time.Second
	f := func(name, script string, atLeast, atMost time.Duration) {
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
			ended(t, p, 20*time.Second)
			if took := time.Since(begin); took < atLeast || took > atMost {
				t.Errorf("took %v, want %v to %v", took, atLeast, atMost)
			}
			gone(t, append(family, p.PID())...)
		})
	}
	const soon, slow = grace - 100*time.Millisecond, 15 * time.Second // soon is before the grace is over
	f("obeys", `echo ready >$PIDS; exec sleep 60`, 0, soon)
	f("shell and child", `sleep 60 & echo $! ready >$PIDS; wait`, 0, soon)
	f("pipeline", `sleep 60 | cat & echo $! ready >$PIDS; wait`, 0, soon)
	f("ignores TERM", `trap "" TERM; sleep 60 & echo $! ready >$PIDS; wait; wait`, grace, slow)
	f("stopped", `(until grep -q 'State:.T' /proc/$$/status; do :; done; echo ready >$PIDS) & kill -STOP $$`, grace, slow)
	f("grandchild ignores TERM", `(trap "" TERM; sh -c 'echo $$ ready >$PIDS; sleep 60; :') & wait`, grace, slow)
	f("setsid grandchild", `setsid sleep 60 & echo $! ready >$PIDS; wait`, 0, soon)
	f("setsid grandchild ignores TERM", `(trap "" TERM; exec setsid sh -c 'echo $$ ready >$PIDS; exec sleep 60') & wait`, grace, slow)
	f("double fork", `(setsid sh -c 'echo $$ ready >$PIDS; exec sleep 60' &); sleep 60`, 0, soon)
}

// Who drains when told to has the grace even if its shell is gone at once.
func TestRestOfTheGroupHasTheGrace(t *testing.T) {
	var out buffer
	p := start(t, Command{
		Args:   []string{"sh", "-c", `(trap 'sleep 0.2; echo drained; exit' TERM; echo up; while :; do sleep 0.01; done) & wait`},
		Stdout: &out,
	})
	eventually(t, "the script is up", func() bool { return out.String() == "up\n" })
	p.Terminate(5 * time.Second)
	ended(t, p, 4*time.Second)
	if got := out.String(); got != "up\ndrained\n" {
		t.Errorf("output %q, want up, drained", got)
	}
}

// A leader that ends by itself takes all it started along, at once, and its
// exit code and output count.
func TestLeaderEnds(t *testing.T) {
	f := func(script string, within time.Duration) {
		t.Helper()
		var out buffer
		begin := time.Now()
		p := start(t, Command{Args: []string{"sh", "-c", script}, Stdout: &out, Stderr: &out})
		e := ended(t, p, 5*time.Second)
		if took := time.Since(begin); took > within {
			t.Errorf("%s: took %v, want at most %v", script, took, within)
		}
		if e.Code != 3 || !strings.HasPrefix(out.String(), "done") {
			t.Errorf("%s: %v, output %q; want exit code 3, done", script, e, out.String())
		}
		if left := p.survivors(); len(left) > 0 {
			t.Errorf("%s: left %v", script, left)
		}
	}
	f("sleep 60 & echo done; exit 3", 500*time.Millisecond)
	f("setsid sleep 60 & echo done; exit 3", 500*time.Millisecond)
	f("(trap '' TERM HUP; sleep 60; sleep 60) & echo done; exit 3", 500*time.Millisecond)
	// Out of reach: no mark, no group. It cannot block us for longer than outputDelay.
	f("env -i setsid sh -c 'sleep 3' & sleep 0.1; echo done; exit 3", outputDelay+time.Second)
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
