package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"syscall"
)

// A scanner reads the stat of every process. It works with file descriptors: an os.File for each of thousands of files is
// most of the cost.
type scanner struct {
	proc    string
	entries []byte // of the folder, as the kernel writes them
	text    []byte
	name    []byte
}

func newScanner(proc string) *scanner {
	return &scanner{proc: proc, entries: make([]byte, 32<<10), text: make([]byte, 4<<10)}
}

// scan counts the processes that are there now.
func (s *scanner) scan(ctx context.Context) (t tally, err error) {
	dir, err := syscall.Open(s.proc, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return t, &fs.PathError{Op: "open", Path: s.proc, Err: err}
	}
	defer func() { _ = syscall.Close(dir) }() // it was only read
	for {
		n, err := syscall.ReadDirent(dir, s.entries)
		if err != nil {
			return t, &fs.PathError{Op: "read", Path: s.proc, Err: err}
		}
		if n == 0 {
			return t, nil
		}
		if err := s.add(ctx, &t, dir, s.entries[:n]); err != nil {
			return t, err
		}
	}
}

// add counts the processes among entries of dir.
func (s *scanner) add(ctx context.Context, t *tally, dir int, entries []byte) error {
	for len(entries) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		var pid []byte
		if pid, entries = nextEntry(entries); !isPID(pid) {
			continue
		}
		text, err := s.read(dir, pid)
		if err := t.missed(err); err != nil {
			return &fs.PathError{Op: "read", Path: s.path(pid), Err: err}
		}
		if err != nil {
			continue
		}
		if err := t.add(text); err != nil {
			return fmt.Errorf("parse %s: %w", s.path(pid), err)
		}
	}
	return nil
}

// missed takes the error of reading the stat of a process, and returns it when it is no ordinary one.
func (t *tally) missed(err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ESRCH):
		return nil // it has ended since
	case errors.Is(err, fs.ErrPermission):
		t[counted]++ // procfs is mounted with hidepid=1
		t[unknown]++
		return nil
	}
	return err
}

// nextEntry returns the name of the first of entries, and the entries behind it: struct linux_dirent64 has the length of the
// entry at 16 and the name, ended by a zero, at 19.
func nextEntry(entries []byte) (name, rest []byte) {
	const lengthAt, nameAt = 16, 19
	if len(entries) < nameAt {
		return nil, nil
	}
	length := int(binary.NativeEndian.Uint16(entries[lengthAt:]))
	if length < nameAt || length > len(entries) {
		return nil, nil
	}
	name = entries[nameAt:length]
	for i, b := range name {
		if b == 0 {
			name = name[:i]
			break
		}
	}
	return name, entries[length:]
}

func isPID(name []byte) bool { return len(name) > 0 && '1' <= name[0] && name[0] <= '9' }

func (s *scanner) read(dir int, pid []byte) ([]byte, error) {
	s.name = append(append(s.name[:0], pid...), "/stat"...)
	fd, err := syscall.Openat(dir, string(s.name), syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = syscall.Close(fd) }() // it was only read
	n, err := syscall.Read(fd, s.text)
	if err != nil {
		return nil, err
	}
	return s.text[:n], nil
}

func (s *scanner) path(pid []byte) string { return filepath.Join(s.proc, string(pid), "stat") }
