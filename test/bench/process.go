package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/bus"
)

// A system is a running pacewire: the agent with the bus in it, and its plugins.
type system struct {
	cmd    *exec.Cmd
	env    []string
	binary string
	dir    string
	log    *log
	pids   map[string]int // by plugin; "agent" is the agent and the bus
}

// startWithin is how long the start of a system may take: of one with many plugins on a slow machine.
const startWithin = time.Minute

// start runs the program with a config, and returns when every plugin works.
func start(ctx context.Context, s settings, name, config string) (*system, error) {
	dir := filepath.Join(s.dir, name)
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "pacewire.yaml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		return nil, err
	}
	sys := &system{binary: s.binary, dir: dir, log: &log{}, env: append(os.Environ(),
		"PACEWIRE_STATE="+filepath.Join(dir, "state"), "PACEWIRE_RUN="+filepath.Join(dir, "run"), "PACEWIRE_BUS=", "PACEWIRE_CONFIG=")}
	sys.cmd = exec.CommandContext(ctx, s.binary, "up", "--plain", path)
	sys.cmd.Env, sys.cmd.Dir, sys.cmd.Stderr = sys.env, dir, sys.log
	sys.cmd.Cancel = func() error { return sys.cmd.Process.Signal(syscall.SIGTERM) }
	if err := sys.cmd.Start(); err != nil {
		return nil, err
	}
	for end := time.Now().Add(startWithin); ; time.Sleep(50 * time.Millisecond) {
		ready, err := sys.look(ctx)
		if ready {
			return sys, nil
		}
		if time.Now().After(end) {
			sys.stop()
			return nil, fmt.Errorf("plugins do not work (%w)\n%s", err, sys.log)
		}
	}
}

// look asks for the plugins, and reports whether all are running.
func (sys *system) look(ctx context.Context) (bool, error) {
	out, err := sys.verb(ctx, "plugin", "list", "-o", "json")
	if err != nil {
		return false, err
	}
	var list []struct {
		Name, State string
		PID         int
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return false, err
	}
	sys.pids = map[string]int{"agent": sys.cmd.Process.Pid}
	for _, p := range list {
		if p.State != "running" {
			return false, fmt.Errorf("plugin %s is %s", p.Name, p.State)
		}
		sys.pids[p.Name] = p.PID
	}
	return len(list) > 0, nil
}

// verb runs a verb of the program, and returns what it prints.
func (sys *system) verb(ctx context.Context, args ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, sys.binary, args...)
	c.Env = sys.env
	out, err := c.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("pacewire %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(e.Stderr))
	}
	return out, err
}

// connect dials the bus of the system as an operator, and returns the name of its host too.
func (sys *system) connect(ctx context.Context) (conn *bus.Conn, host string, err error) {
	text, err := os.ReadFile(filepath.Join(sys.dir, "run", "agent.json"))
	if err != nil {
		return nil, "", err
	}
	var note struct{ URL, Creds, Host string }
	if err := json.Unmarshal(text, &note); err != nil {
		return nil, "", fmt.Errorf("note of the agent: %w", err)
	}
	conn, err = bus.Dial(ctx, bus.Options{URL: note.URL, CredsFile: note.Creds, User: "operator", Wait: 10 * time.Second})
	return conn, note.Host, err
}

// stop drains the system.
func (sys *system) stop() {
	_ = sys.cmd.Process.Signal(syscall.SIGTERM)
	_ = sys.cmd.Wait()
}

// usage is what processes have used.
type usage struct {
	cpu  map[string]time.Duration
	peak map[string]int64 // bytes, resident
	rss  map[string]int64 // now
	pss  map[string]int64 // now, what is shared counted in parts
}

func (sys *system) usage() (usage, error) {
	u := usage{map[string]time.Duration{}, map[string]int64{}, map[string]int64{}, map[string]int64{}}
	var faults []error
	for name, pid := range sys.pids {
		cpu, err := cpuOf(pid)
		faults = append(faults, err)
		u.cpu[name] = cpu
		u.peak[name] = memoryOf(pid, "status", "VmHWM:")
		u.rss[name] = memoryOf(pid, "status", "VmRSS:")
		u.pss[name] = memoryOf(pid, "smaps_rollup", "Pss:")
	}
	return u, errors.Join(faults...)
}

// since returns the CPU of each process since before, and the sum.
func (u usage) since(before usage) (each map[string]time.Duration, sum time.Duration) {
	each = map[string]time.Duration{}
	for name, cpu := range u.cpu {
		each[name] = cpu - before.cpu[name]
		sum += each[name]
	}
	return each, sum
}

// cpuOf returns what a process has used of the CPU, user and system: of its threads that live, to the nanosecond. Where the
// kernel does not tell that, it is of all threads, to 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	if ran, err := ranOf(pid); err == nil {
		return ran, nil
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Linux runs Go
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// ranOf sums up what the threads of a process have run.
func ranOf(pid int) (sum time.Duration, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, errors.Join(err, os.ErrNotExist)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the thread has ended
		}
		ran, _, _ := strings.Cut(string(text), " ")
		ns, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += time.Duration(ns)
	}
	return sum, nil
}

// memoryOf returns a line of /proc in bytes; 0 when it is not there.
func memoryOf(pid int, file, key string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == key {
			kb, _ := strconv.ParseInt(f[1], 10, 64)
			return kb << 10
		}
	}
	return 0
}

// freePort returns a TCP port of the loopback that nobody uses.
func freePort() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// machine says what the figures were measured on.
func machine() string {
	model := "unknown CPU"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(v)
			break
		}
	}
	return fmt.Sprintf("%s, %d cores, %s, %s", model, runtime.NumCPU(), runtime.Version(), time.Now().UTC().Format("2006-01-02"))
}
