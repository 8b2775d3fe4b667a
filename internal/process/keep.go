package process

import (
	"errors"
	"io"
	"time"
)

// A Record is what KeepDir says about a process that survives us. It is there from the start of the process to its end.
type Record struct {
	PID     int       `json:"pid"`
	Start   uint64    `json:"start"` // field 22 of /proc/PID/stat: when it started, as the kernel counts
	Mark    string    `json:"mark"`  // what its environment says
	Args    []string  `json:"args"`
	Note    string    `json:"note,omitempty"` // of the Command
	Started time.Time `json:"started"`
	Limits  Limits    `json:"limits"`
	Cgroup  string    `json:"cgroup,omitempty"` // its folder, empty without one
}

// ReadRecord reads the record of a folder. The error matches fs.ErrNotExist when there is none.
func ReadRecord(dir string) (Record, error) { return Record{}, errors.ErrUnsupported }

// Resume follows a process again that an earlier agent, or this one, has kept in the folder: its output goes to stdout and
// stderr from now on. It has no Stdin, and its exit code will be Unknown.
//
// The error matches fs.ErrNotExist when nothing is kept there, and os.ErrProcessDone when it has ended meanwhile, or when
// the pid belongs to another now: then what it left behind is gone, and so is the record.
func Resume(dir string, stdout, stderr io.Writer) (*Process, error) {
	return nil, errors.ErrUnsupported
}

// Detach leaves a kept process to itself: nothing is read from it and nothing awaited any more. Done is closed, and Exit
// is Unknown. Who is not kept is not detached: then it does nothing.
func (p *Process) Detach() {}

// Started is when the process was started.
func (p *Process) Started() time.Time { return time.Time{} }

// DrainKept reads what the kept processes of a dead agent print, so that none of them blocks, until each of them has
// ended or was resumed by another agent. The mark is the one of the dead agent, as Own gave it.
func DrainKept(mark string) error { return errors.ErrUnsupported }
