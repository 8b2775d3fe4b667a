package process

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// A Guard is a process beside this one that runs a command when this one has
// ended, however it ended.
type Guard struct {
	args []string
	log  *slog.Logger
	// The pipe that tells: the guard reads one end, only we have the other.
	ear, voice *os.File
	stop, done chan struct{}
}

const (
	guardShell = "/bin/sh"
	// guardWait lets a shell wait and then become the command: it takes a tenth of the memory of a Go program. A line on its
	// standard input dismisses it, the end without one is ours. A service manager that signals us all does not mean it.
	guardWait = `trap "" HUP INT TERM; read -r _ && exit; exec "$0" "$@"`
	// guardPause is before a guard takes the place of the first that somebody killed.
	guardPause = time.Second
)

// StartGuard starts a guard that runs args, which begin with the path of a
// program, in a session of its own, so that nothing that is meant for our group
// or terminal reaches it. Somebody who ends it gets another one. This process has
// a mark already, by Own.
//
// The program has to call AwaitParent first: without a shell it is started at once.
func StartGuard(args []string, log *slog.Logger) (*Guard, error) {
	g := &Guard{args: args, log: log, stop: make(chan struct{}), done: make(chan struct{})}
	var err error
	if g.ear, g.voice, err = os.Pipe(); err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	cmd, err := g.start()
	if err != nil {
		g.ear.Close()
		g.voice.Close()
		return nil, err
	}
	go g.keep(cmd)
	return g, nil
}

// Stop dismisses the guard and waits for its end: the command does not run. If
// there are kept processes it runs: somebody has to read what they print.
func (g *Guard) Stop() {
	close(g.stop)
	if len(survivors(noGroup, Mark+"="+beside(os.Getenv(Mark), keptPart))) > 0 {
		g.voice.Close()
		g.ear.Close()
		return
	}
	_, _ = io.WriteString(g.voice, "\n") // we read the other end too: it is open
	g.voice.Close()
	<-g.done
	g.ear.Close()
}

// AwaitParent is how the program of a guard waits. It reports whether the parent
// has ended, rather than dismissed the guard.
func AwaitParent(stdin io.Reader) (ended bool) {
	n, _ := stdin.Read(make([]byte, 1)) // an error is an end
	return n == 0
}

func (g *Guard) start() (*exec.Cmd, error) {
	args := guardArgs(guardShell, g.args)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Dir, cmd.Stdin = guardEnv(), "/", g.ear
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := startChild(cmd); err != nil {
		return nil, fmt.Errorf("start guard: %w", err)
	}
	return cmd, nil
}

// guardArgs puts the shell before args, if it is there.
func guardArgs(shell string, args []string) []string {
	if _, err := os.Stat(shell); err != nil {
		return args
	}
	return append([]string{shell, "-c", guardWait}, args...)
}

// guardEnv has a mark beside ours. So the guard does not end itself, nor does the
// next life of ours, and who sweeps us and what we left has it too.
func guardEnv() []string {
	return []string{Mark + "=" + beside(os.Getenv(Mark), guardPart)}
}

// keep starts the guard again when it ends, until Stop.
func (g *Guard) keep(cmd *exec.Cmd) {
	defer close(g.done)
	for pause := guardPause; ; pause = min(2*pause, time.Minute) {
		err := waitChild(cmd)
		for cmd = nil; cmd == nil; cmd, err = g.start() {
			select {
			case <-g.stop:
				return
			case <-time.After(pause):
				g.log.Warn("guard ended and is started again", "error", err)
			}
		}
	}
}
