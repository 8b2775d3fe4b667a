package process

import (
	"fmt"
	"slices"
	"syscall"
	"time"
)

// Sweep ends every process that carries the mark, or one below it: SIGTERM, and
// SIGKILL for what is left after the grace. It returns how many it met, and an
// error when some are there even then: those sleep in the kernel, and end when they wake.
func Sweep(mark string, grace time.Duration) (met int, err error) { return sweepMark(mark, nil, grace) }

// sweepMark spares those that carry one of the other marks.
func sweepMark(mark string, spare []string, grace time.Duration) (met int, err error) {
	entry, deadline := Mark+"="+mark, time.Now().Add(grace)
	spared := func(pid int) bool {
		return slices.ContainsFunc(spare, func(m string) bool { return hasMark(pid, Mark+"="+m) })
	}
	s := sweep{
		find: func() []int {
			pids := slices.DeleteFunc(survivors(noGroup, entry), spared)
			met = max(met, len(pids))
			return pids
		},
		signal: func(pids []int, sig syscall.Signal) {
			for _, pid := range pids {
				signalMarked(pid, entry, sig)
			}
		},
		inGrace: func() bool { return time.Now().Before(deadline) },
	}
	left := s.run()
	sweepCgroups(mark, spare)
	if len(left) > 0 {
		return met, fmt.Errorf("end processes %v: they are there after SIGKILL", left)
	}
	return met, nil
}

// noGroup is the group of no process.
const noGroup = -1

// A sweep ends processes until there are none.
type sweep struct {
	find    func() []int
	signal  func(pids []int, sig syscall.Signal) // may know more than was found
	inGrace func() bool
}

// run sends SIGTERM once, and SIGKILL after the grace until nobody is found. It
// returns who is left after a second of that.
func (s sweep) run() (left []int) {
	const shortest, longest, rounds = 5 * time.Millisecond, 100 * time.Millisecond, 200
	for pause := shortest; s.inGrace(); pause = min(2*pause, longest) {
		left = s.find()
		if len(left) == 0 {
			break
		}
		if pause == shortest {
			s.signal(left, syscall.SIGTERM)
		}
		time.Sleep(pause)
	}
	for range rounds {
		left = s.find()
		s.signal(left, syscall.SIGKILL)
		if len(left) == 0 {
			return nil
		}
		time.Sleep(shortest)
	}
	return left
}

// sweep ends what the process left behind. After Terminate the rest has what is
// left of the grace: the shell of a pipeline dies at once, its parts may still be draining.
func (p *Process) sweep() {
	sweep{p.survivors, p.signalRest, p.inGrace}.run()
}

// signalRest signals who is left. The group has heard SIGTERM already, from
// Terminate; SIGKILL it gets as a whole, for where we cannot look there is nothing else.
func (p *Process) signalRest(pids []int, sig syscall.Signal) {
	if sig == syscall.SIGKILL {
		_ = p.Signal(sig) // the only error is that there is no group
		p.group.kill()
	}
	for _, pid := range pids {
		// Of one that was resumed the group may have no leader that keeps its number.
		if group, err := syscall.Getpgid(pid); err == nil && (group != p.pid || p.cmd == nil) {
			signalMarked(pid, p.mark, sig)
		}
	}
}

func (p *Process) inGrace() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.deadline)
}

func (p *Process) survivors() []int {
	pids := append(survivors(p.pid, p.mark), p.group.pids()...)
	slices.Sort(pids)
	return slices.Compact(pids)
}
