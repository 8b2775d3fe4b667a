package process

import (
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// orphans reaps the adopted that have ended, and returns those that live and that we may end.
func orphans() (live []int) {
	starting.Lock() // whom we start now is not adopted
	defer starting.Unlock()
	for pid, s := range processes() {
		if !isAdopted(pid, s) {
			continue
		}
		if s.dead {
			_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // nobody wants to know how it ended
			continue
		}
		if syscall.Kill(pid, 0) == nil { // else it is another user's, and stays
			live = append(live, pid)
		}
	}
	return live
}

// isAdopted reports whether a process is a child that we have not started. Who was started past this package is in our own group,
// which no descendant of what this package starts is in.
func isAdopted(pid int, s stat) bool {
	_, ours := started.Load(pid)
	return !ours && s.parent == os.Getpid() && s.group != syscall.Getpgrp()
}

// unkept leaves those out that are to survive us.
func unkept() []int {
	entry := Mark + "=" + beside(os.Getenv(Mark), keptPart)
	return slices.DeleteFunc(orphans(), func(pid int) bool { return hasMark(pid, entry) })
}

// killOrphans needs no pidfd: who is adopted still is so until we reap it, which nobody does meanwhile.
func killOrphans(pids []int, sig syscall.Signal) {
	starting.Lock()
	defer starting.Unlock()
	for _, pid := range pids {
		if s, err := readStat(pid); err == nil && isAdopted(pid, s) {
			_ = syscall.Kill(pid, sig) // it may have ended
		}
	}
}

// tending is whether strays end with the next of our processes that does.
var tending atomic.Bool

// Tend is Adopt for who runs programs of others: when one of them has ended, what is adopted and carries no mark ends too. It has
// left its group and wiped its environment, so nobody knows which of them has started it: it may be one that still runs.
func Tend() (release func(), err error) {
	disown, err := Adopt()
	if err != nil {
		return nil, err
	}
	tending.Store(true)
	return func() {
		tending.Store(false)
		disown()
	}, nil
}

// sweepStrays ends the adopted without a mark, for who tends.
func sweepStrays() {
	if tending.Load() {
		sweep{strays, killOrphans, func() bool { return false }}.run()
	}
}

// strays are the adopted without a mark.
func strays() []int {
	return slices.DeleteFunc(orphans(), func(pid int) bool { return strings.Contains("\x00"+environ(pid), "\x00"+Mark+"=") })
}
