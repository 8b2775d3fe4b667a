package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
)

const (
	readyWithin = 30 * time.Second // a loaded machine; a fifth of a second is usual
	verbWithin  = 60 * time.Second
	drainWithin = 5 * time.Second
)

// A place is a folder with the state, the run folder and the files of one test.
type place struct {
	t   testing.TB
	dir string
}

func newPlace(t testing.TB) place {
	t.Helper()
	return place{t, t.TempDir()}
}

// path returns the path of a file of the place.
func (p place) path(name string) string { return filepath.Join(p.dir, name) }

// write makes a file and returns its path.
func (p place) write(name, text string) string {
	p.t.Helper()
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return p.path(name)
}

// command is the program with args, in this place and with nothing of our environment that it could trip over.
func (p place) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, binary, args...)
	c.Dir = p.dir
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + p.dir, "PACEWIRE_STATE=" + p.path("state"), "PACEWIRE_RUN=" + p.path("run")}
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test binary that is killed has no Cleanup
	return c
}

// A result is what a verb printed and how it ended.
type result struct {
	out, err string
	code     int
}

// verb runs the program to its end.
func (p place) verb(args ...string) result {
	p.t.Helper()
	return p.verbWith("", args...)
}

// verbWith is verb with text on standard input.
func (p place) verbWith(stdin string, args ...string) result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), verbWithin)
	defer cancel()
	c := p.command(ctx, args...)
	var out, err bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &err
	_ = c.Run() // the code tells
	if ctx.Err() != nil {
		p.t.Fatalf("pacewire %s does not end:\n%s%s", strings.Join(args, " "), tail(out.String()), tail(err.String()))
	}
	return result{out.String(), err.String(), c.ProcessState.ExitCode()}
}

// do is verb for what has to succeed.
func (p place) do(args ...string) string {
	p.t.Helper()
	r := p.verb(args...)
	if r.code != 0 {
		p.t.Fatalf("pacewire %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.err)
	}
	return r.out
}

// A note is what a running agent leaves in its run folder.
type note struct {
	URL, Creds, Host string
	PID              int
}

// note reads it; ok is false while there is none of an agent that runs.
func (p place) note() (n note, ok bool) {
	text, err := os.ReadFile(filepath.Join(p.dir, "run", "agent.json"))
	return n, err == nil && json.Unmarshal(text, &n) == nil && alive(n.PID)
}

// A plugin is one as plugin list shows it.
type plugin struct {
	Name, State, Reason string
	PID                 int
	Restarts            int
}

// plugins asks for them; nil while nobody answers.
func (p place) plugins() map[string]plugin {
	p.t.Helper()
	if _, ok := p.note(); !ok {
		return nil
	}
	r := p.verb("plugin", "list", "-o", "json")
	var list []plugin
	if r.code != 0 || json.Unmarshal([]byte(r.out), &list) != nil {
		return nil
	}
	byName := map[string]plugin{}
	for _, one := range list {
		byName[one.Name] = one
	}
	return byName
}

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
	s := &system{place: p, cmd: p.command(context.Background(), args...), out: p.path(args[0] + ".out"), log: p.path(args[0] + ".log"), done: make(chan struct{})}
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
	s.cmd.Stdout, s.cmd.Stderr = out, log
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
	case <-time.After(40 * time.Second):
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
	if code := s.exit(40 * time.Second); code != 0 {
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
	Reason                          string
}

// records are the records of the log; a line that is none is an error.
func (s *system) records() (list []record) {
	s.t.Helper()
	for line := range strings.Lines(s.text()) {
		var r record
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

// connect is a connection to the bus of the system, as an operator's.
func (s *system) connect() (*bus.Conn, string) {
	s.t.Helper()
	n, ok := s.note()
	if !ok {
		s.t.Fatal("no agent runs")
	}
	conn, err := bus.Dial(s.t.Context(), bus.Options{URL: n.URL, CredsFile: n.Creds, User: "operator", Wait: 5 * time.Second})
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

// tail returns the end of a text.
func tail(text string) string {
	const most = 16 << 10
	return text[max(0, len(text)-most):]
}

// lines are the lines of a file; none when it is not there.
func lines(t testing.TB, path string) (all []string) {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	for {
		line, err := r.ReadString('\n')
		if errors.Is(err, io.EOF) { // what has no end yet is being written
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.TrimSuffix(line, "\n"))
	}
}

// freeAddress is a TCP address of the loopback that nobody listens on.
func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// contains complains about each part that a text lacks.
func contains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s does not say %q:\n%s", what, part, text)
		}
	}
}

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(text), ") ")
	return state != "" && state[0] != 'Z' && state[0] != 'X'
}
