package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const hungUp = "collect: { host: { every: 200ms, only: [load] } }\npublish: { file: { use: lines, from: host, path: points.lp } }\n"

// A terminal that is closed drains the agent: no note and no process are left, and a second hang-up does not cut it short.
func TestHangUp(t *testing.T) {
	t.Parallel()
	heedHangUps(t)
	p := newPlace(t)
	window, tty := openTerminal(t)
	c := p.command(context.Background(), "up", "--plain", p.write("pacewire.yaml", hungUp))
	c.Stdin, c.Stdout = tty, tty
	c.SysProcAttr.Setsid, c.SysProcAttr.Setctty = true, true
	s := p.launch(c, "up")
	tty.Close()
	s.awaitRunning()
	pids := s.pidsOf()
	s.hangUp() // by itself it only asks for a reload
	s.await(readyWithin, "the config is in force", func() bool { return strings.Contains(s.text(), "config in force") })
	others(t, "a hang-up of a terminal that is there", pids, s.pidsOf())

	window.Close()
	_ = s.cmd.Process.Signal(syscall.SIGHUP) // as shells send one more; it may have ended by now
	if code := s.exit(endWithin); code != 0 {
		t.Errorf("hung up with exit code %d", code)
	}
	contains(t, "the log", s.text(), "the terminal was closed", "draining")
	if _, err := os.Stat(s.path("run/agent.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its note is left: %v", err)
	}
	for name, pid := range pids {
		if alive(pid) {
			t.Errorf("%s, process %d, is left", name, pid)
		}
	}
}

// heedHangUps makes what we start heed them, also where our own parent ignores them.
func heedHangUps(t testing.TB) {
	caught := make(chan os.Signal, 1) // what is caught here is default there
	signal.Notify(caught, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(caught) })
}

// openTerminal opens a terminal: its window, as a person has it, and the end of the programs in it.
func openTerminal(t testing.TB) (window, tty *os.File) {
	t.Helper()
	window, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { window.Close() })
	number, err := unix.IoctlGetInt(int(window.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(window.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return window, tty
}

// Under nohup it goes on.
func TestNoHangUp(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	c := p.command(context.Background(), "up", "--plain", p.write("pacewire.yaml", hungUp))
	c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" HUP; exec "$0" "$@"`}, c.Args...)
	s := p.launch(c, "up")
	s.awaitRunning()
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	had := len(lines(t, s.path("points.lp")))
	s.await(readyWithin, "more points", func() bool { return len(lines(t, s.path("points.lp"))) > had+2 })
	s.drain()
}
