package trust

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// runsByDescriptor reports whether the kernel can execute the file by its descriptor: a binary. For all else it starts
// another program with that name, when the descriptor is closed already.
func runsByDescriptor(f *os.File) bool {
	magic := make([]byte, 4)
	_, err := f.ReadAt(magic, 0)
	return err == nil && string(magic) == "\x7fELF"
}

// descriptor is the name by which the child of ours that has not become another program yet can execute f.
func descriptor(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }

// openForWriting reports whether somebody has the file open for writing: only without one there is a lease for readers.
// On others' files, and on some file systems, nobody can tell.
func openForWriting(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}
