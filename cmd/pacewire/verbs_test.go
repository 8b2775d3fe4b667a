package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
)

// said is what a run of the program ended with.
type said struct {
	code     int
	out, err string
}

// place gives the program folders of its own, where no agent runs, and returns a function that runs a verb.
func place(t *testing.T) func(args ...string) said {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"PACEWIRE_CONFIG", "PACEWIRE_BUS", "PACEWIRE_CREDS", "PACEWIRE_LOG_FORMAT"} {
		t.Setenv(name, "")
	}
	for _, name := range []string{"PACEWIRE_RUN", "PACEWIRE_STATE", "HOME"} {
		t.Setenv(name, dir)
	}
	return func(args ...string) said {
		var out, err bytes.Buffer
		a := &app{in: strings.NewReader(""), out: &out, err: &err}
		code := a.run(t.Context(), func() {}, args)
		return said{code, out.String(), err.String()}
	}
}

func TestOutput(t *testing.T) {
	run := place(t)
	for _, verb := range []string{"version", "validate", "plugin list", "tap", "send", "once", "up", "schema config"} {
		r := run(append(strings.Fields(verb), "-o", "yaml")...)
		if r.code != exitUsage || !strings.Contains(r.err, `"yaml": want -o table or -o json`) {
			t.Errorf("%s: exit code %d, %s", verb, r.code, r.err)
		}
	}
	if r := run("version", "-o", "json"); r.code != 0 || !strings.HasPrefix(r.out, "{") {
		t.Errorf("exit code %d, %s", r.code, r.out)
	}
}

func TestComplete(t *testing.T) {
	run := place(t)
	if err := os.WriteFile("c.yaml", []byte("collect: { host: {}, other: { use: host } }\nprocess: { tidy: { use: filter, from: host, keep: fields.v > 0 } }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(args string, want ...string) {
		t.Helper()
		words := append([]string{"__complete"}, strings.Fields(args)...)
		r := run(append(words, "")...)
		got := strings.Fields(r.out)
		for _, w := range want {
			if not, isNot := strings.CutPrefix(w, "!"); slices.Contains(got, not) == isNot {
				t.Errorf("%s: %q in %q: %v", args, not, got, isNot)
			}
		}
		if !strings.Contains(r.out, ":4\n") { // no files
			t.Errorf("%s: %s", args, r.out)
		}
	}
	f("tap -c c.yaml", "host", "other", "tidy")
	f("tap -c c.yaml host", "other", "!host")
	f("once -c c.yaml", "host", "other", "!tidy")
	f("plugin info -c c.yaml", "host", "tidy", "processor.filter")
	f("plugin info -c c.yaml host", "!tidy")
	f("plugin run", "collector.host", "processor.chain")
	f("schema", "config", "plugin")
	f("schema plugin", "publisher.lines")
	f("plugin list --host", "!host")
	f("version -o", "table", "json")
	f("up --log-format", "text", "json")
	f("tap -f", "line", "json")
}

func TestUsualPlaces(t *testing.T) {
	run := place(t)
	main := filepath.Join(os.Getenv("HOME"), ".config", "pacewire", "pacewire.yaml")
	if os.Geteuid() == 0 {
		main = "/etc/pacewire/pacewire.yaml"
	}
	confd := filepath.Join(filepath.Dir(main), "conf.d", "*.yaml")
	for _, verb := range []string{"init", "up"} {
		if r := run(verb, "--help"); !strings.Contains(r.out, main) || !strings.Contains(r.out, confd) {
			t.Errorf("%s --help: %s", verb, r.out)
		}
	}
	if _, err := os.Stat(main); err == nil {
		return // root's, on a machine that runs pacewire
	}
	r := run("validate")
	if r.code != exitConfig || !strings.Contains(r.err, main) || !strings.Contains(r.err, "-c or PACEWIRE_CONFIG") {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
}

func TestInfoWithoutAgent(t *testing.T) {
	run := place(t)
	if r := run("plugin", "info", "host"); r.code != 0 || !strings.Contains(r.err, "no agent runs here") || !strings.Contains(r.out, "collector") {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
	r := run("plugin", "info", "hsot")
	if r.code != exitNoBus || !strings.Contains(r.err, "no agent runs here") || !strings.Contains(r.err, "did you mean host?") {
		t.Errorf("exit code %d, %s", r.code, r.err)
	}
}

func TestCounts(t *testing.T) {
	f := func(of map[string]uint64, want string) {
		t.Helper()
		if got := counts(of); got != want {
			t.Errorf("%v: %q, want %q", of, got, want)
		}
	}
	f(nil, "none")
	f(map[string]uint64{"a": 0}, "none")
	f(map[string]uint64{"timeout": 1, "error": 6}, "error 6, timeout 1")
}

// What is missing is named, rather than counted.
func TestArguments(t *testing.T) {
	run := place(t)
	f := func(line, want string) {
		t.Helper()
		expect(t, run(strings.Fields(line)...), exitUsage, want, "--help", "!arg(s)")
	}
	f("host info", "which host?")
	f("host forget", "which host?")
	f("host silence --end", "which host?")
	f("host info a b", `one host at a time: "b" is too much`)
	f("plugin info", "which plugin?")
	f("plugin stop", "which plugin?")
	f("host list a", `"a" is too much`)
	f("send a b", `one file at a time: "b" is too much`)
}

// An agent without plugins has its pulse; one machine that is run for its plugins has to have some.
func TestNoPlugins(t *testing.T) {
	var out bytes.Buffer
	f := func(o serveOptions, plugins int, want string) {
		t.Helper()
		out.Reset()
		err := o.check(&configured{Settings: &config.Settings{Plugins: make([]config.Plugin, plugins)}}, slog.New(slog.NewTextHandler(&out, nil)))
		if got := fmt.Sprint(err, out.String()); !strings.Contains(got, want) {
			t.Errorf("%+v: %s, want %s", o, got, want)
		}
	}
	f(serveOptions{}, 1, "<nil>")
	f(serveOptions{}, 0, "the config has no plugin: pacewire init writes one that has")
	f(serveOptions{bare: true}, 0, "config has no plugin: the agent only beats")
	f(serveOptions{bare: true}, 2, "<nil>")
}
