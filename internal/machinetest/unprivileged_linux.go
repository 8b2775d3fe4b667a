package machinetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is a user without rights.
const nobody = 65534

// Unprivileged calls f as a user who owns the machine in dir and has no other rights, so that a file without permissions cannot
// be read even where root runs the test.
func Unprivileged(t testing.TB, dir string, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	err := filepath.WalkDir(filepath.Dir(dir), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // rights on files are a thread's
	defer runtime.UnlockOSThread()
	if _, err := unix.SetfsuidRetUid(nobody); err != nil {
		t.Fatal(err)
	}
	defer func() { _, _ = unix.SetfsuidRetUid(0) }()
	f()
}

// Forbid takes all permissions off a file.
func Forbid(t testing.TB, dir, name string) {
	t.Helper()
	if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
		t.Fatal(err)
	}
}

// Pipe puts a pipe that nobody writes to in the place of a file.
func Pipe(t testing.TB, dir, name string) {
	t.Helper()
	if err := unix.Mkfifo(place(t, dir, name), 0o600); err != nil {
		t.Fatal(err)
	}
}
