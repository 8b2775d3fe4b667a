package exec

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestConform(t *testing.T) {
	if _, err := child.Run(t.Context(), child.Spec{Command: []string{"true"}}, nil, 0, 0); err != nil { // which leaves who starts processes
		t.Fatal(err)
	}
	plugintest.Conform(t, Define(), plugintest.With(`{"command": ["true"]}`))
}

var noon = time.Unix(1700000000, 0)

// collector makes the collector of a command line, or of what change makes of it.
func newExec(t *testing.T, change func(*Config)) collector.Collector {
	t.Helper()
	cfg := Defaults()
	change(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), cfg, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// collect returns the points of one run as line protocol.
func collect(t *testing.T, c collector.Collector) (string, *telemetry.Drops, error) {
	t.Helper()
	var b telemetry.Batch
	b.At(noon)
	err := c.Collect(t.Context(), &b)
	return string(b.AppendLines(nil)), b.Drops(), err
}

func line(s string) func(*Config) {
	return func(c *Config) { c.Command, c.Shell = []string{s}, true }
}

func TestCollect(t *testing.T) {
	got, _, err := collect(t, newExec(t, func(c *Config) { c.Command = []string{"echo", "load one=0.5,n=3i"} }))
	if want := "load n=3i,one=0.5 1700000000000000000\n"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	got, _, err = collect(t, newExec(t, line("echo a b=1 | sed s/a/c/; echo c b=2 5")))
	if want := "c b=1 1700000000000000000\nc b=2 5\n"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// A run that fails says why, and its points do not count unless the operator wants them.
func TestFailure(t *testing.T) {
	f := func(change func(*Config), points int, says string) {
		t.Helper()
		got, _, err := collect(t, newExec(t, change))
		if n := strings.Count(got, "\n"); n != points || says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q, %v; want %d points and %q", got, err, points, says)
		}
	}
	f(line("echo a b=1; echo no disk >&2; exit 3"), 0, "exit code 3: no disk")
	f(line("echo a b=1; exit 3"), 0, "exit code 3")
	f(func(c *Config) { line("echo a b=1; exit 3")(c); c.IgnoreError = true }, 1, "")
	f(func(c *Config) { line("echo a b=1; /no/such/program")(c); c.IgnoreError = true }, 0, "exit code 127")
	f(func(c *Config) { c.Command = []string{"/no/such/program"}; c.IgnoreError = true }, 0, "write the whole path")
	f(line("echo nonsense"), 0, "what it prints is no influx: line 1")
	f(line("echo nonsense; echo a b=1"), 1, "")
	f(line("true"), 0, "")
}

// What is left out is counted by reason.
func TestDrops(t *testing.T) {
	_, drops, err := collect(t, newExec(t, line("echo bad; echo a b=1,c=NaN")))
	if err != nil || drops.Count(telemetry.CodeLine) != 1 || drops.Count(telemetry.CodeNaN) != 1 {
		t.Errorf("%v, %v", drops, err)
	}
}

// A pattern is looked up at each run, and each program it finds is run.
func TestPattern(t *testing.T) {
	dir := t.TempDir()
	add := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c := newExec(t, func(c *Config) { c.Command = []string{filepath.Join(dir, "*.sh"), "arg"} })
	if got, _, err := collect(t, c); got != "" || err == nil || !strings.Contains(err.Error(), "no file is called so") {
		t.Errorf("%q, %v", got, err)
	}
	add("a.sh", "echo a,arg=$1 v=1")
	add("b.sh", "exit 1")
	add("c.sh", "echo c v=2")
	add("d.txt", "echo d v=3")
	got, _, err := collect(t, c)
	if want := "a,arg=arg v=1 1700000000000000000\nc v=2 1700000000000000000\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err == nil || !strings.Contains(err.Error(), "b.sh: exit code 1") {
		t.Errorf("%v", err)
	}
}
