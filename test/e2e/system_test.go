package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
)

const (
	readyWithin = 2 * time.Minute  // for what takes a fifth of a second, on a machine that has other things to do
	drainWithin = 30 * time.Second // half a second is usual
	endWithin   = 2 * time.Minute  // of a program that drains as long as it may
)

// A system is a running pacewire: an agent, the bus in it, and its plugins.
type system struct {
	place
	cmd  *exec.Cmd
	out  string        // the file with all it printed
	log  string        // the file with all it logged
	done chan struct{} // closed when the process has ended
}

// up runs a config in a place of its own, and returns when every plugin works but for those that are not to.
func up(t testing.TB, config string, but ...string) *system {
	t.Helper()
	p := newPlace(t)
	s := p.start("up", "--plain", p.write("pacewire.yaml", config))
	s.awaitRunning(but...)
	return s
}

// start starts the program, which ends with the test. What it prints is in files named after the verb.
func (p place) start(args ...string) *system {
	p.t.Helper()
	return p.launch(p.command(context.Background(), args...), args[0])
}

// launch starts a command that is the program with a verb.
func (p place) launch(cmd *exec.Cmd, verb string) *system {
	p.t.Helper()
	s := &system{place: p, cmd: cmd, out: p.path(verb + ".out"), log: p.path(verb + ".log"), done: make(chan struct{})}
	open := func(path string) *os.File {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			p.t.Fatal(err)
		}
		return f
	}
	out, log := open(s.out), open(s.log)
	defer out.Close()
	defer log.Close()
	if s.cmd.Stderr = log; s.cmd.Stdout == nil { // else it is a terminal
		s.cmd.Stdout = out
	}
	if err := s.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // the state tells
		close(s.done)
	}()
	p.t.Cleanup(s.end)
	return s
}

// end ends what still runs, and shows the log of a test that failed.
func (s *system) end() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(endWithin):
		s.t.Errorf("pacewire does not end by TERM and is killed")
		_ = s.cmd.Process.Kill()
		<-s.done
	}
	if s.t.Failed() {
		s.t.Logf("log of %s:\n%s", s.cmd.Args[1], tail(s.text()))
	}
}

// exit waits for the end and returns the exit code.
func (s *system) exit(limit time.Duration) int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(limit):
		s.t.Fatalf("pacewire does not end within %v", limit)
	}
	return s.cmd.ProcessState.ExitCode()
}

// interrupt sends what Ctrl-C sends.
func (s *system) interrupt() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(os.Interrupt); err != nil {
		s.t.Fatal(err)
	}
}

// drain interrupts the program, which has to end well and soon.
func (s *system) drain() {
	s.t.Helper()
	begin := time.Now()
	s.interrupt()
	if code := s.exit(endWithin); code != 0 {
		s.t.Errorf("drained with exit code %d", code)
	}
	if took := time.Since(begin); took > drainWithin {
		s.t.Errorf("draining took %v", took)
	}
}

// awaitRunning waits until every plugin works but for those that are not to.
func (s *system) awaitRunning(but ...string) {
	s.t.Helper()
	s.await(readyWithin, "every plugin is running", func() bool {
		list := s.plugins()
		for _, p := range list {
			if p.State != "running" && !slices.Contains(but, p.Name) {
				return false
			}
		}
		return len(list) > 0
	})
}

// await is await that ends early when the program does.
func (s *system) await(limit time.Duration, what string, cond func() bool) {
	s.t.Helper()
	await(s.t, limit, what, func() bool {
		select {
		case <-s.done:
			s.t.Fatalf("pacewire has ended, %s", s.cmd.ProcessState)
		default:
		}
		return cond()
	})
}

// now returns the plugins as somebody sees them who asks again where there is no answer in time.
func (s *system) now() (all map[string]plugin) {
	s.t.Helper()
	s.await(readyWithin, "the agent tells of its plugins", func() bool {
		all = s.plugins()
		return all != nil
	})
	return all
}

// pidsOf are the processes of the plugins.
func (s *system) pidsOf() map[string]int {
	s.t.Helper()
	pids := map[string]int{}
	for name, one := range s.now() {
		pids[name] = one.PID
	}
	return pids
}

// awaitLog waits until the log has each of the parts.
func (s *system) awaitLog(parts ...string) {
	s.t.Helper()
	for _, part := range parts {
		s.await(readyWithin, fmt.Sprintf("the log says %q", part), func() bool { return strings.Contains(s.text(), part) })
	}
}

// awaitPlugin waits until a plugin is as cond says, and returns it.
func (s *system) awaitPlugin(name string, limit time.Duration, what string, cond func(plugin) bool) (p plugin) {
	s.t.Helper()
	s.await(limit, name+" "+what, func() bool {
		p = s.plugins()[name]
		return p.Name != "" && cond(p)
	})
	return p
}

// text is the log so far.
func (s *system) text() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Errorf("log: %v", err)
	}
	return string(text)
}

// A record is one of the log.
type record struct {
	Time                            time.Time
	Level, Msg, Plugin, Line, Error string
	Listen                          string
}

// records are the records of the log; a line that is none is an error.
func (s *system) records() (list []record) {
	s.t.Helper()
	for line := range strings.Lines(s.text()) {
		var r record
		if !strings.HasSuffix(line, "\n") { // it is being written
			break
		}
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			s.t.Errorf("a line of the log is no record: %v: %q", err, line)
		}
		list = append(list, r)
	}
	return list
}

// logged returns when a plugin's record was logged first after a time.
func (s *system) logged(after time.Time, plugin, message string) (at time.Time, ok bool) {
	for line := range strings.Lines(s.text()) {
		var r record
		if json.Unmarshal([]byte(line), &r) == nil && r.Plugin == plugin && r.Msg == message && r.Time.After(after) {
			return r.Time, true
		}
	}
	return at, false
}

// tap starts a tap that shows points as JSON until the test ends, and returns when it reads.
func (s *system) tap(args ...string) *system {
	s.t.Helper()
	consumers := func() int { return metrics(s).Consumers }
	before := consumers()
	tap := s.start(append([]string{"tap"}, args...)...)
	s.await(readyWithin, "tap reads the stream", func() bool { return consumers() > before })
	return tap
}

// listening returns the TCP address that a plugin listens on, as the log tells it.
func (s *system) listening(plugin string) (address string) {
	s.t.Helper()
	s.await(readyWithin, plugin+" says where it listens", func() bool {
		for _, r := range s.records() {
			if r.Plugin == plugin && r.Msg == "listening" {
				address = strings.TrimPrefix(r.Listen, "tcp://")
			}
		}
		return address != ""
	})
	return address
}

// connect is a connection to the bus of the system, as an operator's.
func (s *system) connect() (*bus.Conn, string) {
	s.t.Helper()
	n, ok := s.note()
	if !ok {
		s.t.Fatal("no agent runs")
	}
	conn, err := bus.Dial(s.t.Context(), bus.Options{URL: n.URL, CredsFile: n.Creds, User: "operator", Wait: readyWithin})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(conn.Close)
	return conn, n.Host
}

// send puts points on the bus as pacewire send does.
func (s *system) send(lines string, args ...string) {
	s.t.Helper()
	if r := s.verbWith(lines, append([]string{"send"}, args...)...); r.code != 0 {
		s.t.Fatalf("send: exit code %d: %s", r.code, r.err)
	}
}
