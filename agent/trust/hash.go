package trust

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// An Identity tells one state of one file from all others: whoever writes to the file, or puts another one in its place,
// makes a new one.
type Identity struct {
	Dev, Inode        uint64
	Size              int64
	Modified, Changed int64 // ns since 1970
}

// Identify returns the identity of the file that path leads to.
func Identify(path string) (Identity, error) {
	var s unix.Stat_t
	if err := again(func() error { return unix.Stat(path, &s) }); err != nil {
		return Identity{}, &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return identity(&s), nil
}

// Settled reports whether a write from now on is sure to change the identity: clocks of file systems go in steps.
func (id Identity) Settled() bool {
	const steps = 50 * time.Millisecond
	age := time.Since(time.Unix(0, id.Changed))
	return age > steps || age < -steps // the clock of another machine
}

func identify(f *os.File) (Identity, error) {
	var s unix.Stat_t
	if err := again(func() error { return unix.Fstat(int(f.Fd()), &s) }); err != nil {
		return Identity{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return identity(&s), nil
}

func identity(s *unix.Stat_t) Identity {
	return Identity{uint64(s.Dev), uint64(s.Ino), s.Size, s.Mtim.Nano(), s.Ctim.Nano()}
}

// again calls what a signal may interrupt.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// maxSums bounds the sums that are remembered.
const maxSums = 1024

// sum returns the SHA-256 of a file in hex, from memory if it is the same as before.
func (c *Checker) sum(f *os.File) (string, error) {
	before, err := identify(f)
	if err != nil {
		return "", err
	}
	settled := before.Settled()
	if known := c.known(before); known != "" {
		return known, nil
	}
	h := sha256.New()
	n, err := io.Copy(h, io.NewSectionReader(f, 0, before.Size+1)) // who writes for ever does not keep us
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	if after, err := identify(f); err != nil || after != before || n != before.Size {
		return "", ErrBusy
	}
	text := hex.EncodeToString(h.Sum(nil))
	if settled {
		c.remember(before, text)
	}
	return text, nil
}

func (c *Checker) known(id Identity) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sums[id]
}

func (c *Checker) remember(id Identity, sum string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sums) >= maxSums {
		clear(c.sums)
	}
	c.sums[id] = sum
}
