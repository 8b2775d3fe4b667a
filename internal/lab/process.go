package lab

import (
	"fmt"
	"os/exec"
	"syscall"
	"time"
)

// A Process is one that runs, or has run. Only its creator ends it.
type Process struct {
	Log  *Log // what it wrote to standard error, and to standard output unless the command had a place for that
	cmd  *exec.Cmd
	done chan struct{}
}

// Start starts a command. The process is killed when this one is.
func Start(c *exec.Cmd) (*Process, error) {
	p := &Process{Log: new(Log), cmd: c, done: make(chan struct{})}
	c.Stderr = p.Log
	if c.Stdout == nil {
		c.Stdout = p.Log
	}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = c.Wait() // the state tells
		close(p.done)
	}()
	return p, nil
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended reports whether the process has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ExitCode returns how the process has ended: -1 by a signal, or not at all yet.
func (p *Process) ExitCode() int {
	if !p.Ended() {
		return -1
	}
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends a signal; one that has ended gets none.
func (p *Process) Signal(sig syscall.Signal) error { return p.cmd.Process.Signal(sig) }

// Kill ends the process at once, and returns when it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop asks the process to end, and kills it when it has not within limit.
func (p *Process) Stop(limit time.Duration) error {
	_ = p.Signal(syscall.SIGCONT) // one that is halted would never hear it
	_ = p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-time.After(limit):
		p.Kill()
		return fmt.Errorf("%s had to be killed: it did not end within %v", p.cmd.Args[0], limit)
	}
}
