package process

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openPath is a path under which the process finds the open file, and nothing else finds it: a descriptor that is closed
// when it becomes the program.
func (p *Process) openPath(f *os.File) (string, error) {
	const folder = "/proc/self/fd"
	open, err := os.ReadDir(folder)
	if err != nil {
		return "", errors.New("it takes " + folder + ", which is not there: mount /proc")
	}
	// Between fork and exec the lowest descriptors are moved about, one beyond the highest of them at most. One far above is
	// not in the way; if it ever were, the start would fail, and not run something else.
	const gap = 64
	highest := 0
	for _, entry := range open {
		if n, err := strconv.Atoi(entry.Name()); err == nil {
			highest = max(highest, n)
		}
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, highest+gap)
	if err != nil {
		return "", err
	}
	p.letGo = append(p.letGo, func() { _ = unix.Close(fd) }) // it was open
	return fmt.Sprintf("%s/%d", folder, fd), nil
}
