package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// A lostAgent is why a verb does not find an agent that is there.
type lostAgent struct{ pid int }

func (e *lostAgent) Error() string {
	run, _ := runDir()
	state, _ := stateDir()
	if _, err := os.Stat(run); err != nil {
		return fmt.Sprintf("process %d holds the state folder %s, its run folder %s is gone: restart it", e.pid, state, run)
	}
	return fmt.Sprintf("process %d holds the state folder %s, and has left no word in the run folder %s: restart it, or set PACEWIRE_RUN to its own", e.pid, state, run)
}

// stateLock is the file that an agent holds as long as it runs; see package identity.
const stateLock = "identity.lock"

// homeless returns the agent that holds the state folder; 0: none does, or it cannot be told.
func homeless() (pid int) {
	state, err := stateDir()
	if err != nil {
		return 0
	}
	path := filepath.Join(state, stateLock)
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	text, err := os.ReadFile(path)
	if _, bad := fmt.Sscan(string(text), &pid); err != nil || bad != nil {
		return 0
	}
	locks, err := os.ReadFile("/proc/locks") // to try it would take the lock from an agent that starts now
	if err != nil || !locked(string(locks), pid, st.Ino) {
		return 0
	}
	return pid
}

// locked reports whether a process holds the lock of a file, by the table of the kernel. The device is not looked at: some file
// systems have another one there.
func locked(table string, pid int, inode uint64) bool {
	for line := range strings.Lines(table) {
		f := strings.Fields(line) // 1: FLOCK ADVISORY WRITE 700 fe:00:1234 0 EOF
		if len(f) > 5 && f[1] == "FLOCK" && f[4] == fmt.Sprint(pid) && strings.HasSuffix(f[5], fmt.Sprintf(":%d", inode)) {
			return true
		}
	}
	return false
}
