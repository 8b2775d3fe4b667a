package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// kept is what we have of a process that survives us.
//
// Who reads a fifo has its lock: we for as long as we read, a guard for each read. So no byte goes to one and the next to
// another, and a guard knows when it is not needed any more.
type kept struct {
	dir    string
	pidfd  *os.File
	pipes  []*os.File
	copied sync.WaitGroup
}

// keep makes the fifos, and what is to be read from them ours.
func (p *Process) keep(c Command) error {
	if c.OnParentDeath != 0 {
		return errors.New("a kept process does not die with its parent: OnParentDeath must be 0")
	}
	if r, err := ReadRecord(c.KeepDir); err == nil && r.Alive() {
		return fmt.Errorf("keep: process %d is kept in %s already: resume it, or end it first", r.PID, c.KeepDir)
	}
	forgetKept(c.KeepDir)
	if err := os.MkdirAll(c.KeepDir, 0o700); err != nil {
		return fmt.Errorf("keep: %w", err)
	}
	p.kept = &kept{dir: c.KeepDir}
	p.cmd.Env = append(p.cmd.Env, keepDirName+"="+absolute(c.KeepDir))
	ends := make([]*os.File, 2)
	for i, name := range []string{stdoutName, stderrName} {
		end, err := makeFifo(filepath.Join(c.KeepDir, name), p.cmd.SysProcAttr.Credential)
		if err != nil {
			return fmt.Errorf("keep: %w", err)
		}
		ends[i] = end
		p.letGo = append(p.letGo, func() { end.Close() })
	}
	p.cmd.Stdout, p.cmd.Stderr = ends[0], ends[1]
	return p.kept.open(c.Stdout, c.Stderr)
}

// makeFifo makes a fifo and opens the end of the process: in both directions, and blocking.
func makeFifo(path string, c *syscall.Credential) (*os.File, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("make fifo %s: %w", path, err)
	}
	if c != nil { // it may open /dev/stderr, which is a path
		if err := os.Lchown(path, int(c.Uid), int(c.Gid)); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open fifo %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil // not os.OpenFile: that would not block
}

// open begins to read the fifos.
func (k *kept) open(stdout, stderr io.Writer) error {
	for _, name := range []string{stdoutName, stderrName} {
		f, err := openFifo(filepath.Join(k.dir, name))
		if err == nil {
			k.pipes = append(k.pipes, f)
			err = lock(f)
		}
		if err != nil {
			k.close()
			return fmt.Errorf("keep: %w", err)
		}
	}
	for i, w := range []io.Writer{stdout, stderr} {
		f := k.pipes[i]
		k.copied.Go(func() { drainTo(w, f) })
	}
	return nil
}

func openFifo(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open fifo %s: %w", path, err)
	}
	f := os.NewFile(uintptr(fd), path)
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		f.Close()
		return nil, errors.Join(fmt.Errorf("open fifo %s: it is none", path), err)
	}
	return f, nil
}

// lock waits for a guard that has the lock for one read. Who has it for longer is another agent.
func lock(f *os.File) error {
	const rounds, pause = 200, 5 * time.Millisecond
	for range rounds {
		if tryLock(f) {
			return nil
		}
		time.Sleep(pause)
	}
	return fmt.Errorf("lock fifo %s: another agent reads it", f.Name())
}

func tryLock(f *os.File) (ok bool) {
	conn, err := f.SyscallConn() // not Fd, which would make it block
	if err != nil {
		return false
	}
	_ = conn.Control(func(fd uintptr) { ok = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) == nil })
	return ok
}

func unlock(f *os.File) {
	if conn, err := f.SyscallConn(); err == nil {
		_ = conn.Control(func(fd uintptr) { _ = unix.Flock(int(fd), unix.LOCK_UN) })
	}
}

// record notes who was started, so that another agent can resume it.
func (p *Process) record(c Command) error {
	if p.kept == nil {
		return nil
	}
	err := p.kept.know(p.pid)
	if err == nil {
		var s stat
		s, err = readStat(p.pid)
		r := Record{PID: p.pid, Start: s.start, Mark: strings.TrimPrefix(p.mark, Mark+"="), Args: c.Args, Note: c.Note,
			Started: p.began, Limits: c.Limits}
		if p.group != nil {
			r.Cgroup, r.Controllers = p.group.dir, p.group.controllers
		}
		err = errors.Join(err, r.write(c.KeepDir))
	}
	if err != nil {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		_ = waitChild(p.cmd)
		return fmt.Errorf("keep process %d: %w", p.pid, err)
	}
	return nil
}

// know opens what tells the end of the process, whoever its parent is.
func (k *kept) know(pid int) error {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("open pidfd, which takes Linux 5.10: %w", err)
	}
	k.pidfd = os.NewFile(uintptr(fd), "pidfd")
	return nil
}

// Alive reports whether the process of the record is there, and not another one with its pid.
func (r Record) Alive() bool {
	s, err := readStat(r.PID)
	return err == nil && !s.dead && s.start == r.Start && hasMark(r.PID, Mark+"="+r.Mark)
}

// Resume follows a process again that an earlier agent, or this one, has kept in the folder: its output goes to stdout and
// stderr from now on. It has no Stdin, and its exit code will be Unknown.
//
// The error matches fs.ErrNotExist when nothing is kept there, and os.ErrProcessDone when it has ended meanwhile, or when
// the pid belongs to another now: then what it left behind is gone, and so is the record.
func Resume(dir string, stdout, stderr io.Writer) (*Process, error) {
	r, err := ReadRecord(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err != nil { // whoever it was cannot be known again
		forgetKept(dir)
		return nil, fmt.Errorf("%w: %w", os.ErrProcessDone, err)
	}
	p := &Process{pid: r.PID, mark: Mark + "=" + r.Mark, began: r.Started, limits: r.Limits, done: make(chan struct{}), kept: &kept{dir: dir}}
	if r.Cgroup != "" {
		p.group = &cgroup{dir: r.Cgroup, controllers: r.Controllers}
	}
	// First the pidfd, then the look: what we look at is what we hold.
	if err := p.kept.know(r.PID); err != nil || !r.Alive() {
		p.kept.close()
		_, err := Sweep(r.Mark, 0)
		forgetKept(dir)
		return nil, errors.Join(fmt.Errorf("resume process %d: %w", r.PID, os.ErrProcessDone), err)
	}
	if err := p.kept.open(stdout, stderr); err != nil {
		return nil, fmt.Errorf("resume process %d: %w", r.PID, err)
	}
	go p.watch()
	return p, nil
}

// Detach leaves a kept process to itself: nothing is read from it and nothing awaited any more. Done is closed, and Exit
// is Unknown. It reports false when the process has ended, or is not kept: then nothing has changed.
func (p *Process) Detach() bool {
	if p.kept == nil {
		return false
	}
	_ = p.kept.pidfd.SetReadDeadline(time.Now()) // an error says that it is closed: the process has ended
	<-p.done
	return p.left
}

// await waits for the end of the process; it reports false after Detach.
func (k *kept) await() bool {
	conn, err := k.pidfd.SyscallConn()
	if err != nil {
		return false
	}
	return conn.Read(func(fd uintptr) (done bool) {
		look := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(look, 0)
		return err == nil && n == 1
	}) == nil
}

// abandon gives up what we have of the process; if it is our child it is like an adopted one from now on.
func (p *Process) abandon() {
	p.left = true
	if p.cmd != nil {
		started.CompareAndDelete(p.pid, p.cmd)
		_ = p.cmd.Process.Release() // it never fails here
	}
	for _, f := range p.kept.pipes {
		_ = f.SetReadDeadline(time.Now())
	}
	p.kept.copied.Wait()
	p.kept.close()
}

// end reads what is left of the output, for as long as that of another process, and removes the folder.
func (k *kept) end() {
	if k == nil {
		return
	}
	for _, f := range k.pipes {
		_ = f.SetReadDeadline(time.Now().Add(outputDelay))
	}
	k.copied.Wait()
	k.forget()
}

// forget is for one that has not started, or has ended.
func (k *kept) forget() {
	if k != nil {
		k.close()
		forgetKept(k.dir)
	}
}

func (k *kept) close() {
	if k.pidfd != nil {
		k.pidfd.Close()
	}
	for _, f := range k.pipes {
		f.Close()
	}
}

// signal reaches the group of the process, through its pidfd.
func (k *kept) signal(pid int, sig syscall.Signal) error {
	conn, err := k.pidfd.SyscallConn()
	if err != nil {
		return err
	}
	unheard := conn.Control(func(fd uintptr) {
		err = unix.PidfdSendSignal(int(fd), sig, nil, unix.PIDFD_SIGNAL_PROCESS_GROUP) // Linux 6.9
		if !errors.Is(err, unix.EINVAL) {
			return
		}
		// Signal 0 asks whether it is there. If so its number is its own, and its group's.
		if err = unix.PidfdSendSignal(int(fd), 0, nil, 0); err == nil {
			err = syscall.Kill(-pid, sig)
		}
	})
	return errors.Join(unheard, err)
}
