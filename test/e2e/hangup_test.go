package e2e

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

const hungUp = "collect: { host: { every: 200ms, only: [load] } }\npublish: { file: { use: lines, from: host, path: points.lp } }\n"

// A terminal that is closed drains the agent: no note and no process are left, and a second hang-up does not cut it short.
func TestHangUp(t *testing.T) {
	t.Parallel()
	caught := make(chan os.Signal, 1) // caught here, it is default in what we start, also where our own parent ignores it
	signal.Notify(caught, syscall.SIGHUP)
	defer signal.Stop(caught)
	s := up(t, hungUp)
	pids := s.pidsOf()
	for range 2 {
		if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	if code := s.exit(endWithin); code != 0 {
		t.Errorf("hung up with exit code %d", code)
	}
	contains(t, "the log", s.text(), "hang-up ends the agent", "draining")
	if _, err := os.Stat(s.path("run/agent.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its note is left: %v", err)
	}
	for name, pid := range pids {
		if alive(pid) {
			t.Errorf("%s, process %d, is left", name, pid)
		}
	}
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
