package listen

import "golang.org/x/sys/unix"

// maxFiles returns how many files this process may have open at once; 0 if that is not known.
func maxFiles() int {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<30 {
		return 0
	}
	return int(l.Cur)
}
