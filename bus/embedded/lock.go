package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	lockName   = "LOCK"
	childTries = 100
	childPause = 20 * time.Millisecond
)

// lockStore makes dir if needed and takes its lock: the server itself does not,
// and two of them on one store lose what they acknowledged.
func lockStore(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("store %s: %w: set bus.store to a directory this user can write", dir, err)
	}
	path := filepath.Join(dir, lockName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("store %s is not writable: %w: give it to this user or set bus.store", dir, err)
	}
	if err := lock(file, path); err != nil {
		defer file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("store %s is in use by process %s: stop that one or set another bus.store", dir, holder(path))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := note(file); err != nil {
		return nil, errors.Join(fmt.Errorf("store %s is not writable: %w", dir, err), file.Close())
	}
	return file, nil
}

// lock takes the lock of file. One that was ours a moment ago may still be held by a child of ours that has not become another
// program yet: until then it has all that we had open.
func lock(file *os.File, path string) error {
	for tries := 0; ; tries++ {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) || tries == childTries || holder(path) != strconv.Itoa(os.Getpid()) {
			return err
		}
		time.Sleep(childPause)
	}
}

// note writes our pid for whoever finds the lock held.
func note(file *os.File) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holder(path string) string {
	text, err := os.ReadFile(path)
	if pid := strings.TrimSpace(string(text)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}

// freeBytes is what this user may still write on the disk of dir.
func freeBytes(dir string) (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

// Sync brings the whole store to disk, unless each write does. Without sync
// "always" a power cut within seconds of making a stream loses the stream, so who
// makes one calls it after.
func (s *Server) Sync() error {
	if every, err := s.opts.syncInterval(); every == 0 {
		return err
	}
	dir, err := os.Open(s.opts.Dir)
	if err != nil {
		return fmt.Errorf("sync store: %w", err)
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		return fmt.Errorf("sync store %s: %w", s.opts.Dir, err)
	}
	return nil
}
