package child

import (
	"errors"
	"io/fs"
	"os/exec"
	"syscall"
)

// Why a run has no exit code that the program itself has chosen.
const (
	NotFound      = "not_found"
	NotExecutable = "not_executable"
	Signalled     = "signal"
	TimedOut      = "timed_out"
)

// What a shell ends with when it cannot start what it should.
const (
	shellNotExecutable = 126
	shellNotFound      = 127
)

// Reason says why the exit code is not the program's own: one of the constants above, or "" where it is.
func (r Result) Reason() string {
	switch {
	case r.Late:
		return TimedOut
	case r.Exit.Code == shellNotFound:
		return NotFound
	case r.Exit.Code == shellNotExecutable:
		return NotExecutable
	case r.Exit.Code < 0:
		return Signalled
	}
	return ""
}

// ReasonOf says by one of the constants why a program could not be started; "" where none of them fits.
func ReasonOf(err error) string {
	switch {
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return NotFound
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOEXEC):
		return NotExecutable
	}
	return ""
}

// Shell is the command that has a shell read a line: for operators who ask for pipes and the like.
func Shell(line string) []string { return []string{"/bin/sh", "-c", line} }
