package host

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// A machine is a copy of a folder of testdata and a collector that takes it for the machine it runs on.
type machine struct {
	*host
	dir string
	log *bytes.Buffer
}

// newMachine returns the machine called name after its CPUs have worked for a while.
func newMachine(t testing.TB, name string, change func(*Config)) machine {
	t.Helper()
	m := machine{dir: t.TempDir(), log: &bytes.Buffer{}}
	if err := os.CopyFS(m.dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	cfg := defaults()
	cfg.Proc, cfg.Sys = filepath.Join(m.dir, "proc"), filepath.Join(m.dir, "sys")
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), cfg, plugin.Env{Log: slog.New(slog.NewTextHandler(m.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	m.host = c.(*host)
	t.Cleanup(func() { _ = m.Close() })
	for _, p := range m.parts {
		if c, ok := p.section.(*cpu); ok {
			c.began = time.Time{} // the time has passed already
		}
	}
	if d := m.disk(); d != nil {
		d.statfs = readStatfs(t, filepath.Join(m.dir, "statfs"))
	}
	m.copy(t, "next/stat", "proc/stat")
	return m
}

func (m machine) copy(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, from))
	if err != nil {
		t.Fatal(err)
	}
	m.write(t, to, string(text))
}

// write puts text into a file of the machine, the same file as before: procfs does not make new ones either.
func (m machine) write(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m machine) remove(t testing.TB, name string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(m.dir, name)); err != nil {
		t.Fatal(err)
	}
}

// disk returns the section of that name.
func (m machine) disk() *disk {
	for _, p := range m.parts {
		if d, ok := p.section.(*disk); ok {
			return d
		}
	}
	return nil
}

// points returns what one collection finds, a line for each point.
func (m machine) points(t testing.TB) (string, error) {
	t.Helper()
	var b telemetry.Batch
	b.At(time.Unix(1763559525, 0))
	err := m.Collect(t.Context(), &b)
	if n := b.Drops().Total(); n > 0 {
		t.Errorf("%d dropped: %v", n, b.Drops())
	}
	return show(&b), err
}

func show(b *telemetry.Batch) string {
	var text strings.Builder
	for p := range b.Points() {
		text.WriteString(p.Series)
		for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
			fmt.Fprintf(&text, " %s=%q", key, p.Tags[key])
		}
		for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
			fmt.Fprintf(&text, "\n  %s %v", name, p.Fields[name])
		}
		text.WriteString("\n")
	}
	return text.String()
}

// readStatfs returns a statfs that answers from a file of lines: path, total, free, available, inodes, free inodes.
func readStatfs(t testing.TB, file string) func(string) (usage, error) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]usage{}
	for _, line := range lines(text) {
		path, rest := word(line)
		var n [5]uint64
		if _, err := parseUints(rest, n[:]); err != nil {
			t.Fatal(err)
		}
		known[unescape(path)] = usage{n[0], n[1], n[2], n[3], n[4]}
	}
	return func(path string) (usage, error) {
		u, ok := known[path]
		if !ok {
			return u, syscall.ENOENT
		}
		return u, nil
	}
}

// realHost returns a collector of this machine.
func realHost(t testing.TB, change func(*Config)) *host {
	t.Helper()
	if _, err := os.Stat("/proc/stat"); err != nil {
		t.Skip("mount procfs at /proc to run this test: ", err)
	}
	cfg := defaults()
	if change != nil {
		change(&cfg)
	}
	c, err := New(context.Background(), cfg, plugin.Env{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := c.(*host)
	t.Cleanup(func() { _ = h.Close() })
	return h
}
