package process

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Adopt makes this process the parent of its descendants that lose theirs, and
// reaps them when they end: no zombie stays while it lives. Release stops that
// and kills those that are left, also the ones that carry no mark, but for kept ones.
//
// Between the two all children must come from this package: the exit of another
// one could be taken from who waits for it.
func Adopt() (release func(), err error) {
	if err := adoptOrphans(1); err != nil {
		return nil, err
	}
	ended := make(chan os.Signal, 1) // one look is for all that ended before it
	signal.Notify(ended, unix.SIGCHLD)
	stop := make(chan struct{})
	var reaper sync.WaitGroup
	reaper.Go(func() { reap(ended, stop) })
	return func() {
		signal.Stop(ended)
		close(stop)
		reaper.Wait()
		sweep{unkept, killOrphans, func() bool { return false }}.run()
		_ = adoptOrphans(0) // what worked with 1 works with 0
	}, nil
}

func adoptOrphans(on uintptr) error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, on, 0, 0, 0); err != nil {
		return fmt.Errorf("adopt orphans: %w", err)
	}
	return nil
}

// reap looks for adopted zombies after a child has ended. A look reads all of
// /proc, a zombie costs an entry there: so one look a second is often enough.
func reap(ended <-chan os.Signal, stop <-chan struct{}) {
	const gather = time.Second
	for {
		select {
		case <-stop:
			return
		case <-ended:
		}
		select {
		case <-stop:
			return
		case <-time.After(gather):
		}
		orphans()
	}
}

// orphans reaps the adopted that have ended, and returns those that live.
func orphans() (live []int) {
	starting.Lock() // whom we start now is not adopted
	defer starting.Unlock()
	for pid, s := range processes() {
		if _, ours := started.Load(pid); ours || s.parent != os.Getpid() {
			continue
		}
		if s.dead {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // nobody wants to know how it ended
			continue
		}
		live = append(live, pid)
	}
	return live
}

// unkept leaves those out that are to survive us.
func unkept() []int {
	entry := Mark + "=" + beside(os.Getenv(Mark), keptPart)
	return slices.DeleteFunc(orphans(), func(pid int) bool { return hasMark(pid, entry) })
}

// killOrphans needs no pidfd: only we reap them, so their numbers stay theirs.
func killOrphans(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // not ours to signal: then it is another user's, and stays
	}
}
