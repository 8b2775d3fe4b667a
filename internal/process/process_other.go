//go:build unix && !linux

package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// The plain version: process groups, and nothing that needs /proc, a
// parent-death signal or a zombie that waits.

// Adopt does nothing here: orphans are the init process's.
func Adopt() (release func(), err error) { return func() {}, nil }

// Tend does nothing here either.
func Tend() (release func(), err error) { return Adopt() }

// finish reaps first, for want of a wait that does not: what is left of the
// group keeps its number, and only an empty group's could go to a stranger.
func (p *Process) finish() time.Time {
	_ = waitChild(p.cmd)
	at := time.Now()
	p.sweep()
	p.retire()
	return at
}

// signalGroup reaches the group of the process.
func (p *Process) signalGroup(sig syscall.Signal) error { return syscall.Kill(-p.pid, sig) }

// Resume is for Linux alone.
func Resume(string, io.Writer, io.Writer) (*Process, error) {
	return nil, fmt.Errorf("resume a kept process: %w", errors.ErrUnsupported)
}

// Detach does nothing: nobody is kept.
func (p *Process) Detach() bool { return false }

// CleanUp does nothing: nobody is known by a mark.
func CleanUp(string, time.Duration) error { return nil }

type kept struct{}

func (*kept) forget() {}

func (p *Process) keep(Command) error {
	return fmt.Errorf("keep a process when the agent ends: %w: use on_agent_exit: stop", errors.ErrUnsupported)
}

func (p *Process) record(Command) error { return nil }

// Alive is false: nobody is kept.
func (r Record) Alive() bool { return false }

func (p *Process) openPath(*os.File) (string, error) {
	return "", fmt.Errorf("it takes /proc: %w", errors.ErrUnsupported)
}

// A cgroup is there on Linux alone; a nil one does nothing.
type cgroup struct{}

func newCgroup(string, Limits) *cgroup { return nil }

func (p *Process) enter(*syscall.SysProcAttr) {}

func (*cgroup) holds(string) bool { return false }
func (*cgroup) pids() []int       { return nil }
func (*cgroup) kill()             {}
func (*cgroup) remove()           {}

func sweepCgroups(string, []string) {}

func confine(int, Limits) {}

func (p *Process) watchLimits() (stop func()) { return func() {} }

func hasMark(int, string) bool { return false }

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
