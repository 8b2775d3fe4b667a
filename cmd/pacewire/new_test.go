package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/internal/scaffold"
)

// What is wrong with a command line is told with the way out, and nothing is written.
func TestNewPluginMisuse(t *testing.T) {
	run := place(t)
	f := func(line string, want ...string) {
		t.Helper()
		expect(t, run(append([]string{"new", "plugin"}, strings.Fields(line)...)...), exitUsage, want...)
	}
	f("", "which plugin?", "--help")
	f("fan", "which --lang? one of go, python, node or sh")
	f("fan --lang go", "which --kind? one of collector, processor or publisher")
	f("fan --lang pyton --kind collector", `--lang "pyton": did you mean python?`)
	f("fan --lang javascript --kind collector", "did you mean node?")
	f("fan --lang cobol --kind collector", `--lang "cobol": want go, python, node or sh`)
	f("fan --lang go --kind colector", `--kind "colector": did you mean collector?`)
	f("fan --lang go --kind sink", "did you mean publisher?")
	f("fan --lang go --kind collector fan2", "one plugin at a time")
	f("Fan --lang go --kind collector", "did you mean fan?")
	f("influxdb --lang go --kind publisher", "a program of pacewire is called so", "such as my-influxdb")
	f("agent --lang go --kind publisher", "it is reserved")
	f("json --lang python --kind publisher", "module json of Python")
	f("fan --lang go --kind collector --pacewire .", "no checkout of pacewire")
	f("fan --language go", "unknown flag: --language")
	for _, name := range []string{"fan", "Fan"} {
		if _, err := os.Stat(name); err == nil {
			t.Errorf("%s has been written", name)
		}
	}
	expect(t, run("new", "plugins"), exitUsage, "did you mean pacewire new plugin?")
}

// A folder that is there is left alone unless it is said otherwise.
func TestNewPluginTwice(t *testing.T) {
	run := place(t)
	expect(t, run("new", "plugin", "fan", "--lang", "GO", "--kind", "Collector"), 0)
	expect(t, run("new", "plugin", "fan", "--lang", "sh", "--kind", "collector"), exitFailed, "fan: there is something in it already: --force")
	expect(t, run("new", "plugin", "fan", "--lang", "sh", "--kind", "collector", "--force"), 0)
	if _, err := os.Stat("fan/fan.sh"); err != nil {
		t.Error(err)
	}
}

// It is told how to go on, from where one is, and what is missing for that.
func TestNewPluginTells(t *testing.T) {
	run := place(t)
	t.Setenv("PATH", t.TempDir())
	expect(t, run("new", "plugin", "fan", "--lang", "python", "--kind", "collector", "--dir", "a b"), 0,
		"fan written: a collector in Python", "cd 'a b/fan'\n", "python3 fan.py", "pacewire up -c pacewire.yaml", "python3 -m unittest",
		"python3 is not installed: its Debian package is python3", "pacewire is not on PATH")
	if text, err := os.ReadFile("a b/fan/pacewire/__init__.py"); err != nil || len(text) == 0 {
		t.Errorf("the library: %v", err)
	}
	expect(t, run("new", "plugin", "bare", "--lang", "python", "--kind", "collector", "--no-library"), 0)
	if _, err := os.Stat("bare/pacewire"); err == nil {
		t.Error("the library is there in spite of --no-library")
	}
}

// The config of every plugin is one that pacewire takes; the programs are not looked for.
func TestNewPluginConfig(t *testing.T) {
	run := place(t)
	for _, l := range scaffold.Languages() {
		for _, k := range scaffold.Kinds() {
			name := l.Name + "-" + k.Name
			expect(t, run("new", "plugin", name, "--lang", l.Name, "--kind", k.Name), 0)
			file := filepath.Join(name, "pacewire.yaml")
			s, err := config.Join(config.Options{Offline: true, Programs: forConfig()}, config.Files(file)...)
			if err != nil {
				t.Errorf("%s: %v", file, err)
				continue
			}
			for _, p := range s.Plugins {
				if p.Name == name && (p.Kind != k.Name || !filepath.IsAbs(p.Run[len(p.Run)-1])) {
					t.Errorf("%s: %s, %q", file, p.Kind, p.Run)
				}
			}
			if len(s.Plugins) < 2 || len(s.Warnings) > 0 {
				t.Errorf("%s: %d plugins, %v", file, len(s.Plugins), s.Warnings)
			}
		}
	}
}

func TestNewPluginCompletes(t *testing.T) {
	run := place(t)
	f := func(line string, want ...string) {
		t.Helper()
		r := run(append([]string{"__complete", "new", "plugin"}, append(strings.Fields(line), "")...)...)
		for _, w := range want {
			if !strings.Contains(r.out, w+"\n") {
				t.Errorf("%s: %q is not in %s", line, w, r.out)
			}
		}
	}
	f("--lang", "go", "python", "node", "sh", ":4")
	f("--kind", "collector", "processor", "publisher", ":4")
	f("--dir", ":16") // folders
	f("", ":4")
}
