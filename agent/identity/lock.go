package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockName is the file beside that of the identity, which is replaced with each start and cannot be locked itself.
const lockName = "identity.lock"

// ErrInUse says that another agent has the state folder: two with one id would each count the other's starts for their own. Stop
// that one, or give this one a folder of its own.
var ErrInUse = errors.New("state folder is in use by another agent")

// lock takes the folder dir for this process, until the file is closed. The kernel gives it back however the process ends.
func lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w, %s (%s): stop that one, or set PACEWIRE_STATE to another folder than %s", ErrInUse, holder(f), path, dir)
		}
		return nil, fmt.Errorf("lock %s: %w: set PACEWIRE_STATE to a folder of a file system that has locks", path, err)
	}
	if err := errors.Join(f.Truncate(0), writeHolder(f)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// writeHolder notes in a lock file who has it.
func writeHolder(f *os.File) error {
	_, err := f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	return err
}

// holder says who has a lock file.
func holder(f *os.File) string {
	var text [20]byte
	n, _ := f.ReadAt(text[:], 0)
	pid, _, whole := strings.Cut(string(text[:n]), "\n")
	if !whole {
		return "a process that has just started"
	}
	return "process " + pid
}
