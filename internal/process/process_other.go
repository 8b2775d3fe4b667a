//go:build unix && !linux

package process

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// The plain version: process groups, and nothing that needs /proc, a
// parent-death signal or a zombie that waits.

// Adopt does nothing here: orphans are the init process's.
func Adopt() (release func(), err error) { return func() {}, nil }

// finish reaps first, for want of a wait that does not: what is left of the
// group keeps its number, and only an empty group's could go to a stranger.
func (p *Process) finish() time.Time {
	_ = waitChild(p.cmd)
	at := time.Now()
	p.sweep()
	p.retire()
	return at
}

func attributes(syscall.Signal) *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func onSpawner(job func()) { job() }

func ownPeak() int64 { return 0 }

func survivors(int, string) []int { return nil }

func signalMarked(int, string, syscall.Signal) {}

func usage(int) (Usage, error) { return Usage{}, errors.ErrUnsupported }

func peakRSS(state *os.ProcessState) int64 {
	r, ok := state.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0
	}
	return int64(r.Maxrss) // in bytes on darwin
}
