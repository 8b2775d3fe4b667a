package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pacewire/pacewire/agent/trust"
)

// A scratch is a temporary folder of this process for the copies of scripts, which are asked what they are. Its lock ends with
// the process, however that ends: what is left then the next one removes.
type scratch struct {
	dir  string
	lock *os.File // nil on file systems without locks
}

const (
	scratchPrefix = "pacewire-copies-"
	scratchCopies = "programs" // all that is in it
)

// newScratch makes one, and removes those whose processes are gone.
func newScratch() (*scratch, error) {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), scratchPrefix+"*")) // with a bad pattern in its name there are none
	for _, dir := range old {
		if lock, err := take(dir); err == nil {
			(&scratch{dir, lock}).remove()
		}
	}
	for {
		dir, err := os.MkdirTemp("", scratchPrefix)
		if err != nil {
			return nil, err
		}
		lock, err := take(dir)
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, fs.ErrNotExist) {
			continue // another process has found it before it was locked, and removes it
		}
		return &scratch{dir, lock}, nil // without a lock nobody else gets one
	}
}

// take locks a folder of ours that no process has. The error matches EWOULDBLOCK when one has it, and ErrNotExist when it is gone.
func take(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	var held, named unix.Stat_t
	if err == nil {
		err = errors.Join(unix.Fstat(int(f.Fd()), &held), unix.Lstat(dir, &named))
	}
	switch {
	case err != nil:
	case held.Ino != named.Ino || held.Dev != named.Dev:
		err = fs.ErrNotExist
	case int(held.Uid) != os.Geteuid():
		err = fs.ErrPermission
	default:
		return f, nil
	}
	f.Close()
	return nil, err
}

// checker makes one that keeps its copies here.
func (s *scratch) checker() (*trust.Checker, error) {
	return trust.New(filepath.Join(s.dir, scratchCopies))
}

// remove takes the copies away, and the folder unless there is something else in it.
func (s *scratch) remove() {
	_ = os.RemoveAll(filepath.Join(s.dir, scratchCopies))
	_ = os.Remove(s.dir)
	if s.lock != nil {
		s.lock.Close()
	}
}
