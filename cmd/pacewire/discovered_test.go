package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/discovery"
)

// TestMemory follows files of two plugin directories: what could be run before keeps its description as long as it is there.
func TestMemory(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	dirs := []string{second, first} // not in the order of their names
	fan, dice := filepath.Join(second, "fan"), filepath.Join(first, "dice.sh")
	touch := func(path string) {
		t.Helper()
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	touch(fan)
	touch(dice)
	in := func(path, name string, state discovery.State, reason string) discovery.Program {
		p := discovery.Program{Name: name, Path: path, State: state, Reason: reason}
		if state == discovery.Available {
			p.Kind = config.Collector
		}
		return p
	}
	m := memory{}
	f := func(what string, list []discovery.Program, want ...config.Program) {
		t.Helper()
		got := m.programs(dirs, list)
		if len(got) != len(want) {
			t.Fatalf("%s: got %+v, want %+v", what, got, want)
		}
		for i, w := range want {
			if g := got[i]; g.Name != w.Name || g.Kind != w.Kind || g.Path != w.Path || g.Unavailable != w.Unavailable {
				t.Errorf("%s: got %+v, want %+v", what, g, w)
			}
		}
	}
	known := config.Program{Kind: config.Collector, Name: "dice", Path: dice}
	but := func(p config.Program, why string) config.Program { p.Unavailable = why; return p }
	list := func(p ...discovery.Program) []discovery.Program { return p }

	f("refused from the first", list(in(dice, "dice.sh", discovery.Refused, "refused: unsigned: so it is")),
		config.Program{Name: "dice.sh", Path: dice, Unavailable: "unsigned: so it is"})
	f("two", list(in(dice, "dice", discovery.Available, ""), in(fan, "fan", discovery.Available, "")),
		config.Program{Kind: config.Collector, Name: "fan", Path: fan}, known)
	f("a new signature", list(in(dice, "dice.sh", discovery.Refused, "refused: bad_signature: of others"), in(fan, "fan", discovery.Busy, "")),
		config.Program{Kind: config.Collector, Name: "fan", Path: fan, Unavailable: "busy"}, but(known, "bad_signature: of others"))
	f("not to be executed", list(in(fan, "fan", discovery.Available, "")),
		config.Program{Kind: config.Collector, Name: "fan", Path: fan}, but(known, "it may not be executed, or cannot be looked at"))
	if got := m.programs([]string{second}, list(in(fan, "fan", discovery.Available, ""))); len(got) != 1 {
		t.Errorf("of another config: %+v", got)
	}
	f("unusable", list(in(dice, "dice.sh", discovery.Unusable, "--describe prints nothing"), in(fan, "fan", discovery.Shadowed, "")),
		but(known, "--describe prints nothing"))
	f("it is well again", list(in(dice, "dice", discovery.Available, ""), in(fan, "fan", discovery.Refused, "refused: x")),
		config.Program{Name: "fan", Path: fan, Unavailable: "x"}, known)
	if err := os.Remove(dice); err != nil {
		t.Fatal(err)
	}
	f("it is gone", nil)
	touch(dice)
	f("another one", list(in(dice, "dice.sh", discovery.Refused, "refused: unsigned")), config.Program{Name: "dice.sh", Path: dice, Unavailable: "unsigned"})
}

// TestNewVersionOfProgram moves another file to where a program is that the config names.
func TestNewVersionOfProgram(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	script := filepath.Join(dir, "fan")
	put := func(text string) {
		t.Helper()
		next := filepath.Join(dir, ".next")
		if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(next, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, script); err != nil {
			t.Fatal(err)
		}
	}
	a := &app{found: newFinder()}
	t.Cleanup(a.found.close)
	d := config.Discovery{Dirs: []string{dir}, Trust: config.TrustOff}
	look := func() config.Program {
		t.Helper()
		list := a.discovered(d)
		if now, _ := a.found.current(); now != nil {
			now.Scan(t.Context())
			list = a.discovered(d)
		}
		if len(list) != 1 {
			t.Fatalf("found %+v", list)
		}
		return list[0]
	}
	put("#!/bin/sh\necho '{\"kind\":\"collector\",\"program\":\"wind\",\"api\":1}'\n")
	if p := look(); p.Kind != config.Collector || p.Name != "wind" || p.Unavailable != "" {
		t.Errorf("got %+v", p)
	}
	put("#!/bin/sh\necho out of order >&2; exit 3\n")
	if p := look(); p.Kind != config.Collector || p.Name != "wind" || p.Unavailable != `--describe ends with exit code 3: "out of order"` {
		t.Errorf("got %+v", p)
	}
}

// A program that the config names and that is refused is told as that, and its directory can be looked at all the same.
func TestRefusedProgram(t *testing.T) {
	run := place(t)
	file := configFor(t, "mine")
	program := filepath.Join(filepath.Dir(file), "plugins", "mine")
	text := "collect: { host: , mine: , gone: }\ndiscover: { dirs: [" + filepath.Dir(program) + "], trust: enforce }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, run("validate", file), exitConfig, "the collector program mine cannot be used: unsigned: ",
		"pacewire plugin list --programs shows it: "+program, "there is no collector program gone")
	expect(t, run("plugin", "list", "--programs", "-c", file), 0, "refused", program, "unsigned")
}
