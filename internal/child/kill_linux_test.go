package child

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/process"
)

// However a program hangs, it is ended in time with all that it has started, and its output so far is there. The cases are those
// of whom simpler ways to end a program leave something, or wait for ever.
func TestKillTable(t *testing.T) {
	release, err := process.Tend() // so that a zombie that nobody reaps would be ours
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	const (
		timeout  = 200 * time.Millisecond
		patience = 200 * time.Millisecond // instead of two seconds, so that the test is quick
		promised = timeout + patience + 1500*time.Millisecond
		slack    = 20 // times what is promised, for a machine that is busy
	)
	f := func(t *testing.T, name, script string, late bool) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mark := "KILL_CASE=" + t.Name() + strconv.Itoa(os.Getpid())
			s := shell("echo begun; " + script)
			s.Env, s.Grace = append(s.Env, mark), patience
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			if !late {
				ctx = t.Context()
			}
			begin := time.Now()
			r, err := Run(ctx, s, nil, 100, 0)
			took := time.Since(begin)
			if err != nil || r.Late != late || took > slack*promised {
				t.Errorf("it took %v, promised are %v; late %v, %v, %v", took, promised, r.Late, r.Exit, err)
			}
			if !late && (r.Exit.Code != 4 || string(r.Stdout) != "begun\n") {
				t.Errorf("%q, %v; want exit code 4", r.Stdout, r.Exit)
			}
			if left := carriers(mark); len(left) > 0 {
				t.Errorf("left are %q", left)
			}
		})
	}
	t.Run("all", func(t *testing.T) {
		f(t, "child", "exec sleep 3600", true)
		f(t, "shell and child", "sleep 3600; :", true)
		f(t, "background grandchild", "sleep 3600 & wait", true)
		f(t, "setsid grandchild", "setsid sleep 3600 & wait", true)
		f(t, "setsid grandchild ignores TERM", `(trap "" TERM; exec setsid sleep 3600) & wait`, true)
		f(t, "daemon", "(setsid sh -c 'sleep 3600 & wait' & ) ; sleep 3600", true)
		f(t, "ignores TERM", `trap "" TERM; while :; do sleep 1; done`, true)
		f(t, "all ignore TERM", `trap "" TERM; setsid sleep 3600 & wait; sleep 3600`, true)
		f(t, "stops itself", "kill -STOP $$", true)
		f(t, "leaves a child", "sleep 3600 & exit 4", false)
		f(t, "leaves a setsid grandchild", "setsid sleep 3600 & sleep 0.05; exit 4", false)
		f(t, "leaves a daemon", "(setsid sh -c 'sleep 3600 & wait' & ) ; exit 4", false)
		f(t, "hidden grandchild", hidden+" sleep 3600 & wait", true)
		f(t, "hidden daemon", "("+hidden+" sh -c 'sleep 3600 & wait' & ) ; sleep 3600", true)
		f(t, "leaves a hidden grandchild", hidden+" sleep 3600 & sleep 0.05; exit 4", false)
		f(t, "leaves a hidden daemon", "("+hidden+" sh -c 'sleep 3600 & wait' & ) ; sleep 0.05; exit 4", false)
	})
	await(t, func() bool { return zombies() == 0 })
}

// hidden begins a command that is in no group of ours and has no mark but that of its case.
const hidden = `env -i PATH="$PATH" KILL_CASE="$KILL_CASE" setsid`

// carriers are the command lines of the processes with an entry in their environment.
func carriers(entry string) (left []string) {
	names, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a good one
	for _, name := range names {
		environ, _ := os.ReadFile(name + "/environ") // gone, or another's
		if bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+entry+"\x00")) {
			line, _ := os.ReadFile(name + "/cmdline")
			left = append(left, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return left
}

// zombies counts the children of ours that have ended and that nobody has reaped.
func zombies() (n int) {
	names, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is a good one
	for _, name := range names {
		text, _ := os.ReadFile(name)
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(os.Getpid()) {
			n++
		}
	}
	return n
}
