package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLocked(t *testing.T) {
	const table = "1: POSIX  ADVISORY  WRITE 700 fe:01:55 0 EOF\n2: FLOCK  ADVISORY  WRITE 701 fe:01:55 0 EOF\n2: -> FLOCK  ADVISORY  WRITE 702 fe:01:55 0 EOF\n"
	f := func(pid int, inode uint64, want bool) {
		t.Helper()
		if got := locked(table, pid, inode); got != want {
			t.Errorf("%d %d: %v", pid, inode, got)
		}
	}
	f(701, 55, true)
	f(701, 5, false)
	f(700, 55, false)
	f(702, 55, false)
}

// An agent whose run folder was removed is found by what it holds.
func TestRunFolderGone(t *testing.T) {
	run := place(t)
	state, _ := stateDir()
	lock := filepath.Join(state, stateLock)
	if err := os.WriteFile(lock, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, run("doctor"), exitFailed, "agent: no agent runs here: nothing is collected  →  pacewire up")
	f, err := os.Open(lock)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	who := fmt.Sprintf("process %d holds the state folder %s, ", os.Getpid(), state)
	expect(t, run("doctor"), exitFailed, "run folder: "+who+"and has left no word in the run folder "+state, "!pacewire up\npacewire")
	t.Setenv("PACEWIRE_RUN", filepath.Join(state, "gone"))
	expect(t, run("doctor"), exitFailed, "run folder: "+who+"its run folder "+filepath.Join(state, "gone")+" is gone: restart it", fmt.Sprintf("→  kill %d; pacewire up", os.Getpid()), "!no agent runs here")
	expect(t, run("status"), exitNoBus, "is gone: restart it", "!start pacewire up")
	expect(t, run("plugin", "stop", "x"), exitNoBus, who)
}
