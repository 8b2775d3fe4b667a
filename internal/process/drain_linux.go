package process

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// CleanUp is what a guard does when its agent, whose mark that is, has ended: it sweeps what that has left behind, but for
// the kept processes. What those print it reads, so that none of them blocks, until each has ended or another agent has
// resumed it; then it returns.
func CleanUp(mark string, grace time.Duration) error {
	var drained sync.WaitGroup
	drained.Go(func() { drainKept(beside(mark, keptPart)) })
	_, err := Sweep(mark, grace)
	drained.Wait()
	return err
}

// drainKept drains those that carry the mark. It takes only what exceeds a quarter of a fifo: the last words stay for the
// agent that resumes.
func drainKept(mark string) {
	const shortest, longest, rescan = 5 * time.Millisecond, 100 * time.Millisecond, time.Second
	dirs, scanned := keptDirs(mark), time.Now()
	fifos := keptFifos(dirs)
	for pause := shortest; len(fifos) > 0; pause = min(2*pause, longest) {
		// The fifo itself does not say that its writers are gone, to who has opened it after that.
		if time.Since(scanned) > rescan {
			dirs, scanned = keptDirs(mark), time.Now()
		}
		var left []*os.File
		for _, f := range fifos {
			took, over := relieve(f)
			if over || !dirs[filepath.Dir(f.Name())] {
				f.Close()
				continue
			}
			left = append(left, f)
			if took {
				pause = shortest
			}
		}
		fifos = left
		time.Sleep(pause)
	}
}

// keptDirs finds the folders of those that carry the mark, in their environment.
func keptDirs(mark string) map[string]bool {
	dirs := map[string]bool{}
	for _, pid := range survivors(noGroup, Mark+"="+mark) {
		for entry := range strings.SplitSeq(environ(pid), "\x00") {
			if dir, ok := strings.CutPrefix(entry, keepDirName+"="); ok {
				dirs[filepath.Clean(dir)] = true
			}
		}
	}
	return dirs
}

func keptFifos(dirs map[string]bool) (fifos []*os.File) {
	for dir := range dirs {
		for _, name := range []string{stdoutName, stderrName} {
			if f, err := openFifo(filepath.Join(dir, name)); err == nil {
				fifos = append(fifos, f)
			}
		}
	}
	return fifos
}

// relieve takes what is too much out of a fifo. It is over when somebody else reads it.
func relieve(f *os.File) (took, over bool) {
	if !tryLock(f) {
		return false, true
	}
	defer unlock(f)
	conn, err := f.SyscallConn()
	if err != nil {
		return false, true
	}
	const keep = 16 << 10 // a quarter: each two of the 16 pages of a full one have more than a page
	_ = conn.Control(func(fd uintptr) {
		waiting, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ) // FIONREAD by another name
		if err == nil && waiting > keep {
			_, err = unix.Read(int(fd), make([]byte, waiting-keep))
			took = true
		}
		over = err != nil
	})
	return took, over
}
