package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pacewire/pacewire/internal/atomicfile"
)

// What is in the folder of a kept process.
const (
	recordName = "process.json"
	stdoutName = "stdout" // fifos: the process has them open in both directions, so that it sees no end of them
	stderrName = "stderr"
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
	// Controllers are what that cgroup holds.
	Controllers []string `json:"controllers,omitempty"`
}

// ReadRecord reads the record of a folder. The error matches fs.ErrNotExist when there is none.
func ReadRecord(dir string) (Record, error) {
	text, err := os.ReadFile(filepath.Join(dir, recordName))
	if err != nil {
		return Record{}, fmt.Errorf("read record of a kept process: %w", err)
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, fmt.Errorf("read record of a kept process in %s: %w", dir, err)
	}
	if r.PID <= 1 || r.Start == 0 || r.Mark == "" {
		return Record{}, fmt.Errorf("read record of a kept process in %s: pid, start or mark is missing", dir)
	}
	return r, nil
}

// write replaces the record.
func (r Record) write(dir string) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write record of a kept process: %w", err)
	}
	if err := atomicfile.Swap(filepath.Join(dir, recordName), text, 0o600); err != nil {
		return fmt.Errorf("write record of a kept process: %w", err)
	}
	return nil
}

// forgetKept removes the folder of a process that is no more; what is not of it, and the folder then, stays.
func forgetKept(dir string) {
	for _, name := range []string{recordName, stdoutName, stderrName, ""} {
		_ = os.Remove(filepath.Join(dir, name)) // what is not there is gone
	}
}

// ClearKept removes the folders in dir that processes have left which were kept there and are no more, but for those that
// are listed in keep. What it cannot remove it tells, and goes on; a folder that is not there is no error.
func ClearKept(dir string, keep []string) error {
	all, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range all { // as far as it was read
		path := filepath.Join(dir, e.Name())
		if !e.IsDir() || slices.Contains(keep, path) {
			continue
		}
		if r, bad := ReadRecord(path); bad == nil && r.Alive() {
			continue
		}
		err = errors.Join(err, os.RemoveAll(path))
	}
	if err != nil {
		return fmt.Errorf("clear folders of kept processes: %w", err)
	}
	return nil
}

// drainTo reads all, whatever becomes of the reader's own reader: a process that is kept must never wait.
func drainTo(w io.Writer, r io.Reader) {
	if w != nil {
		_, _ = io.Copy(w, r)
	}
	_, _ = io.Copy(io.Discard, r)
}
