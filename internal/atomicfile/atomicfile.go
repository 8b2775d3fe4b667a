// Package atomicfile replaces a file as a whole: who reads it finds the old text or the new one.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Ending is that of the file beside the other one which a process that is killed may leave. The next write takes its place.
const Ending = ".new"

// Write puts text in place of the file at path, with the permissions of a new one, and brings it to disk: after a power cut there
// is the old text or the new one, and once Write has returned without an error the new one. One writer of a path at a time: two
// would share what they write to.
func Write(path string, text []byte, perm fs.FileMode) error {
	if err := replace(path, text, perm, (*os.File).Sync); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// Swap is Write which does not wait for the disk. What a power cut leaves may be half of the text, or none: it is for what its
// reader can tell from a whole one, or nobody needs after a start of the machine.
func Swap(path string, text []byte, perm fs.FileMode) error {
	return replace(path, text, perm, func(*os.File) error { return nil })
}

// replace fills the file beside path, and gives it that name when it is whole.
func replace(path string, text []byte, perm fs.FileMode, sync func(*os.File) error) error {
	fresh := path + Ending
	err := fill(fresh, text, perm, sync)
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		_ = os.Remove(fresh) // half a file on a full disk
	}
	return err
}

func fill(path string, text []byte, perm fs.FileMode, sync func(*os.File) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err == nil {
		err = sync(f)
	}
	return errors.Join(err, f.Close())
}

// SyncDir makes the names in dir outlast a power cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
