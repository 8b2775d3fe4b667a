package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
)

// configFor writes a config whose plugin directory has one program, and returns its file.
func configFor(t *testing.T, program string) string {
	t.Helper()
	dir := t.TempDir()
	plugins := filepath.Join(dir, "plugins")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	describe := "#!/bin/sh\necho '{\"kind\":\"collector\",\"program\":\"" + program + "\",\"api\":1}'\n"
	if err := os.WriteFile(filepath.Join(plugins, program), []byte(describe), 0o755); err != nil { //nolint:gosec // it is to be run
		t.Fatal(err)
	}
	file := filepath.Join(dir, "c.yaml")
	text := "collect: { host: {} }\ndiscover: { dirs: [" + plugins + "], trust: off }\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// The programs are those of the agent that runs here, wherever somebody asks; -c names others.
func TestProgramsOfAgent(t *testing.T) {
	run := place(t)
	mine, other := configFor(t, "mine"), configFor(t, "other")
	expect(t, run("plugin", "list", "--programs"), 0, "filter", "!mine")
	leave(t, note{URL: "nats://127.0.0.1:1", Host: "h1", PID: os.Getpid(), Config: []string{mine}})
	expect(t, run("plugin", "list", "--programs"), 0, "filter", "plugins/mine", "!plugins/other")
	expect(t, run("plugin", "list", "--programs", "-c", other), 0, "plugins/other", "!plugins/mine")
	leave(t, note{URL: "nats://127.0.0.1:1", Host: "h1", PID: ended(t), Config: []string{mine}})
	expect(t, run("plugin", "list", "--programs"), 0, "filter", "!mine")
}

// So are the collectors that once runs.
func TestOnceOfAgent(t *testing.T) {
	run := place(t)
	if err := os.WriteFile("c.yaml", []byte("collect: { fan: { use: host } }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := filepath.Abs("c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	leave(t, note{URL: "nats://127.0.0.1:1", Host: "h1", PID: os.Getpid(), Config: []string{file}})
	t.Chdir(t.TempDir())
	expect(t, run("once", "nobody"), exitUsage, `no collector "nobody": the config has fan`)
}

// What an agent notes of its config can be read from any folder.
func TestNoteOfConfig(t *testing.T) {
	place(t)
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	f := func(a *app, named []string, want ...string) {
		t.Helper()
		var p station
		defer p.leave()
		if err := p.tell(&configured{app: a, named: named, Settings: &config.Settings{}}, "h1"); err != nil {
			t.Fatal(err)
		}
		if n, err := readNote(); err != nil || !slices.Equal(n.Config, want) || n.gone() {
			t.Errorf("%+v, %v; want %q", n, err, want)
		}
	}
	f(&app{}, []string{"a.yaml", "/etc/x"}, filepath.Join(here, "a.yaml"), "/etc/x")
	f(&app{flags: flags{config: "b.yaml"}}, []string{"a.yaml"}, filepath.Join(here, "b.yaml"), filepath.Join(here, "a.yaml"))
}
