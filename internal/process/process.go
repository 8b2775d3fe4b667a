// Package process starts commands in process groups of their own and ends them with all they left behind.
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// outputDelay is how long after the end of a process its pipes are still read:
// somebody the sweep could not reach may hold them open for ever.
const outputDelay = time.Second

// A Command says what to start. Nothing of the parent's environment is inherited.
type Command struct {
	// Args is the program and its arguments. A program without a slash is
	// looked for on the PATH of Env, not on the parent's.
	Args []string
	// Env is the whole environment, as "KEY=value". Start adds Mark.
	Env []string
	// Dir is the working directory, by default the parent's.
	Dir string
	// Stdin is what the process reads; nil is a pipe that Process.Stdin writes to.
	Stdin io.Reader
	// Stdout and Stderr take the output; nil discards it. A Write that blocks
	// blocks the process, one that fails closes the pipe.
	Stdout, Stderr io.Writer
	// OnParentDeath is the signal the process gets when its parent dies, however it
	// dies; 0 lets the process live on. Linux only: elsewhere the end of stdin
	// is all that tells it.
	OnParentDeath syscall.Signal
	// Limits bound the process and all it starts.
	Limits Limits
	// User is the name or the id of the user the process runs as, with the groups
	// of that user; empty is our own. Another one than our own takes root.
	User string
	// Groups, by name or id, are those of the process in the place of the user's;
	// the first is its main one. Others than our own take root.
	Groups []string
	// File is what is executed in the place of the program that Args names, which
	// stays its argv[0]: the bytes that were checked are the bytes that run. It is
	// not closed, does not reach the process, and is no script. Linux only.
	File *os.File
	// KeepDir, if not empty, makes it a process that survives us: see Resume. The
	// folder is its own, and there as long as the process. Its stdin is empty, and
	// OnParentDeath must be 0. Linux only.
	KeepDir string
	// Note is what the Record in KeepDir is to say to who reads it later.
	Note string
}

// An Exit is how a process ended.
type Exit struct {
	// Code is the exit code, -1 when a signal ended the process, or it was never started.
	Code int
	// Signal is the name of that signal, such as SIGKILL, or empty.
	Signal string
	// At is when the process ended.
	At time.Time
	// CPU is what the process and its waited-for children used.
	CPU time.Duration
	// MaxRSS is the peak resident memory in bytes, 0 when unknown. The kernel
	// counts the parent's peak at the time of the start as the child's, so
	// that for a smaller child it is the highest peak that Usage has seen.
	MaxRSS int64
	// Over is the limit it was ended for, such as "memory limit of 200 MiB", or
	// empty; OOM says that it is the one of memory.
	Over string
	OOM  bool
	// Left is how many processes it left behind when it ended. They are gone by now.
	Left int
	// Unknown says that nobody of us saw how it ended, as we were not its parent,
	// or that it has not ended: Detach. Code is -1 then.
	Unknown bool
}

// String says it as an operator would: "exit code 1", "signal SIGKILL", "not started".
func (e Exit) String() string {
	if e.Over != "" {
		return "over its " + e.Over
	}
	if e.Unknown {
		return "exit code unknown"
	}
	if e.Signal != "" {
		return "signal " + e.Signal
	}
	if e.Code < 0 {
		return "not started"
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Usage is what a running process, without its children, uses.
type Usage struct {
	CPU     time.Duration // since its start
	RSS     int64         // resident memory now, in bytes
	PeakRSS int64         // the highest so far
}

// A Process is a started command. Its methods may be called at any time, by anybody.
type Process struct {
	pid    int
	mark   string
	began  time.Time
	limits Limits
	cmd    *exec.Cmd      // nil if it was resumed
	stdin  io.WriteCloser // nil if it is kept
	kept   *kept          // nil unless it survives us
	group  *cgroup        // nil without one
	base   int64          // our own peak memory when it started; see Exit.MaxRSS
	letGo  []func()       // of what is for the start alone
	done   chan struct{}
	left   bool // by Detach; set before done

	mu       sync.Mutex
	over     bool // the process is about to be reaped, or was: its pid may belong to another
	deadline time.Time
	killer   *time.Timer
	peak     int64
	exceeded string // the limit for which it was killed
	behind   int    // processes that it left behind
	exit     Exit
}

// Start starts the command. Its stdin, unless the command says another one, is a
// pipe that stays open until Stdin is closed or the parent dies. It has no other descriptor of ours, leaves no core,
// and what it makes is its user's alone (umask 077).
//
// The error matches exec.ErrNotFound or fs.ErrNotExist when there is no such
// program, and fs.ErrPermission when it is not executable.
func Start(c Command) (*Process, error) {
	if len(c.Args) == 0 || c.Args[0] == "" {
		return nil, errors.New("start: command is empty")
	}
	p := &Process{mark: newMark(c.KeepDir != ""), limits: c.Limits, done: make(chan struct{})}
	p.cmd = &exec.Cmd{
		Args: c.Args, Dir: absolute(c.Dir), Env: append(withoutMark(c.Env), p.mark),
		SysProcAttr: attributes(c.OnParentDeath),
		WaitDelay:   outputDelay,
	}
	if err := p.start(c); err != nil {
		p.group.remove()
		p.kept.forget()
		return nil, fmt.Errorf("start: %w", err) // it names the program
	}
	go p.watch()
	return p, nil
}

// start prepares what the command asks for, and starts it.
func (p *Process) start(c Command) error {
	defer func() {
		for _, f := range p.letGo {
			f()
		}
		p.letGo = nil
	}()
	for _, step := range []func(Command) error{p.setProgram, p.setUser, p.setStreams, p.setGroup, p.spawn} {
		if err := step(c); err != nil {
			return err
		}
	}
	return p.record(c)
}

// setProgram finds what is executed.
func (p *Process) setProgram(c Command) (err error) {
	if c.File == nil {
		p.cmd.Path, err = lookPath(c.Args[0], c.Env)
		return err
	}
	if p.cmd.Path, err = p.openPath(c.File); err != nil {
		return fmt.Errorf("run the open file %s: %w", c.File.Name(), err)
	}
	return nil
}

func (p *Process) setUser(c Command) error {
	credential, err := credentialOf(c.User)
	if err == nil && len(c.Groups) > 0 {
		credential, err = inGroups(credential, c.Groups)
	}
	p.cmd.SysProcAttr.Credential = credential
	return err
}

func (p *Process) setStreams(c Command) (err error) {
	if c.KeepDir != "" {
		return p.keep(c)
	}
	p.cmd.Stdout, p.cmd.Stderr = c.Stdout, c.Stderr
	if p.cmd.Stdin = c.Stdin; c.Stdin == nil {
		p.stdin, err = p.cmd.StdinPipe()
	}
	return err
}

// setGroup gives it a cgroup of its own, where there are any; its limits are held all the same, if less well.
func (p *Process) setGroup(c Command) error {
	if c.Limits == (Limits{}) || os.Getenv(Mark) == "" { // without Own nobody would remove it after us
		return nil
	}
	p.group = newCgroup(strings.TrimPrefix(p.mark, Mark+"="), c.Limits)
	p.enter(p.cmd.SysProcAttr)
	return nil
}

func (p *Process) spawn(c Command) (err error) {
	onSpawner(func() {
		if err = startChild(p.cmd); err == nil {
			confine(p.cmd.Process.Pid, c.Limits)
		}
	})
	if err != nil {
		return err
	}
	p.pid, p.began, p.base = p.cmd.Process.Pid, time.Now(), ownPeak()
	return nil
}

// absolute makes a folder independent of the thread that starts: it has a working directory of its own.
func absolute(dir string) string {
	if path, err := filepath.Abs(dir); err == nil {
		return path
	}
	return dir
}

// PID is the process's id, and its group's.
func (p *Process) PID() int { return p.pid }

// Started is when the process was started.
func (p *Process) Started() time.Time { return p.began }

// Stdin is the write end of the process's standard input, nil if it is kept or
// the command said what it reads.
func (p *Process) Stdin() io.WriteCloser { return p.stdin }

// Done is closed when the process has ended, all it left behind is gone, and
// its output has been written.
func (p *Process) Done() <-chan struct{} { return p.done }

// Exit is how the process ended. Call it after Done.
func (p *Process) Exit() Exit {
	<-p.done
	return p.exit
}

// Signal sends a signal to the whole group; SIGKILL ends it at once.
// It returns os.ErrProcessDone when the process has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signal(sig)
}

// Terminate sends SIGTERM to the group, and SIGKILL to what is left of it after
// the grace. It does not wait: Done tells. Called again it shortens the grace,
// and never lengthens it.
func (p *Process) Terminate(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return
	}
	deadline := time.Now().Add(grace)
	if !p.deadline.IsZero() && p.deadline.Before(deadline) {
		return
	}
	if p.killer != nil {
		p.killer.Stop()
	}
	p.deadline = deadline
	_ = p.signal(syscall.SIGTERM) // the only error is that it has ended
	p.killer = time.AfterFunc(grace, func() { _ = p.Signal(syscall.SIGKILL) })
}

// Usage reads what the process uses now.
func (p *Process) Usage() (Usage, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return Usage{}, os.ErrProcessDone
	}
	u, err := usage(p.pid)
	p.peak = max(p.peak, u.PeakRSS)
	return u, err
}

// signal needs the lock: after the process is reaped its number may be another's.
func (p *Process) signal(sig syscall.Signal) error {
	if p.over {
		return os.ErrProcessDone
	}
	if err := p.signalGroup(sig); err != nil {
		return fmt.Errorf("signal %s to group %d: %w", unix.SignalName(sig), p.pid, err)
	}
	return nil
}

// exceed ends the process for a limit that it does not keep.
func (p *Process) exceed(limit string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over || p.exceeded != "" {
		return
	}
	p.exceeded = limit
	_ = p.signal(syscall.SIGKILL) // the only error is that it has ended
}

// watch follows the process to its end.
func (p *Process) watch() {
	defer close(p.done)
	stop := p.watchLimits()
	at := p.finish()
	stop()
	p.exit = p.summary(at)
	p.exit.Left = p.behind
}

// retire forbids signals from now on: the pid is about to be free.
func (p *Process) retire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	if p.killer != nil {
		p.killer.Stop()
	}
}

func (p *Process) summary(at time.Time) Exit {
	if p.cmd == nil || p.cmd.ProcessState == nil { // not our child, or somebody else reaped it
		return Exit{Code: -1, At: at, Unknown: true, MaxRSS: p.peak, Over: p.exceeded, OOM: p.exceeded == memoryLimit(p.limits)}
	}
	state := p.cmd.ProcessState
	e := Exit{Code: state.ExitCode(), At: at, CPU: state.UserTime() + state.SystemTime(), MaxRSS: p.peak}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		e.Signal = unix.SignalName(status.Signal())
	}
	if e.Signal == "SIGKILL" && p.exceeded != "" {
		e.Over, e.OOM = p.exceeded, p.exceeded == memoryLimit(p.limits)
	}
	if peak := peakRSS(state); peak > p.base {
		e.MaxRSS = peak
	}
	return e
}
