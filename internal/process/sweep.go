package process

import (
	"fmt"
	"syscall"
	"time"
)

// Sweep ends every process that carries the mark, or one below it: SIGTERM, and
// SIGKILL for what is left after the grace. It returns how many it met, and an
// error when some are there even then: those sleep in the kernel, and end when they wake.
func Sweep(mark string, grace time.Duration) (met int, err error) {
	entry, deadline := Mark+"="+mark, time.Now().Add(grace)
	s := sweep{
		find: func() []int {
			pids := survivors(noGroup, entry)
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
	if left := s.run(); len(left) > 0 {
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
	}
	for _, pid := range pids {
		if group, err := syscall.Getpgid(pid); err == nil && group != p.PID() {
			signalMarked(pid, p.mark, sig)
		}
	}
}

func (p *Process) inGrace() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Now().Before(p.deadline)
}

func (p *Process) survivors() []int { return survivors(p.PID(), p.mark) }
