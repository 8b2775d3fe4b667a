package process

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrUnheeded says that a process has no ear for a signal: it would end of it.
var ErrUnheeded = errors.New("the program does not handle the signal (yet), and would end of it")

// Poke sends a signal to the process alone, and not to what it has started. It returns ErrUnheeded where the process would end of it,
// as far as the system tells, and os.ErrProcessDone when it has ended.
func (p *Process) Poke(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.over:
		return os.ErrProcessDone
	case !heeds(p.pid, sig):
		return ErrUnheeded
	}
	if err := syscall.Kill(p.pid, sig); err != nil {
		return fmt.Errorf("signal %s to process %d: %w", unix.SignalName(sig), p.pid, err)
	}
	return nil
}
