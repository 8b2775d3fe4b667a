package child

import (
	"os"

	"golang.org/x/sys/unix"
)

// widen makes a pipe hold more. It stays as it is where our user has too many wide ones.
func widen(f *os.File, size int) {
	control(f, func(fd int) { _, _ = unix.FcntlInt(uintptr(fd), unix.F_SETPIPE_SZ, size) })
}

// waiting returns how many bytes are in a pipe, whichever end of it f is.
func waiting(f *os.File) (n int) {
	control(f, func(fd int) {
		if got, err := unix.IoctlGetInt(fd, unix.TIOCINQ); err == nil {
			n = got
		}
	})
	return n
}

// control calls do with the descriptor of f, unless f is closed.
func control(f *os.File, do func(fd int)) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { do(int(fd)) })
	}
}
