package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// What goes wrong with a shim is told with the way out.
func TestShimMistakes(t *testing.T) {
	run := place(t)
	shim := func(line string) said { return run(append([]string{"plugin", "shim"}, strings.Fields(line)...)...) }
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("plain", "")
	write("few.json", `[{"series": "load"}]`)
	write("odd.json", `[{"series": "load", "fields": {"v": ""}, "unit": "s"}]`)

	expect(t, shim("--once -- cat"), exitUsage, "which kind? --kind collector, processor or publisher", "see pacewire plugin shim --help")
	expect(t, shim("--kind colector -- cat"), exitUsage, `kind "colector": want collector, processor or publisher`)
	expect(t, shim("--kind collector cat"), exitUsage, "there is no command: write it behind --")
	expect(t, shim("--kind collector --"), exitUsage, "there is no command")
	expect(t, shim("--kind"), exitUsage, "--kind wants a value")
	expect(t, shim("--kind collector --each=maybe -- cat"), exitUsage, "maybe")
	expect(t, shim("--kind collector --format xml -- cat"), exitUsage, `format "xml": want json (a point object a line) or lines (line protocol)`)
	expect(t, shim("--kind collector --catalog none.json -- cat"), exitUsage, "none.json", "no such file")
	expect(t, shim("--kind collector --catalog plain -- cat"), exitUsage, "catalog plain", "want a JSON list of objects with series, help, tags, fields")
	expect(t, shim("--kind collector --catalog few.json -- cat"), exitUsage, `series "load": want a name, and fields with their units`)
	expect(t, shim("--kind collector --catalog odd.json -- cat"), exitUsage, "unit")
	expect(t, shim("--kind collector --every -- cat"), exitUsage, "every")

	expect(t, shim("--kind collector --once -- no-such-program"), 1, "no-such-program", "install it, or write its whole path")
	expect(t, shim("--kind collector --once -- ./none.sh"), 1, "./none.sh", "no such file", "write the whole path")
	expect(t, shim("--kind collector --once -- ./plain"), 1, "./plain", "permission denied", "chmod +x")
	expect(t, shim("--kind collector --once -- echo hello world"), 0, `text="hello world"`, `want="load,cpu=0 v=1.5"`)
}

// The flags of the shim are taken from those of every plugin, and what is behind -- is the program's.
func TestShimFlags(t *testing.T) {
	f := func(line, format string, each bool, rest ...string) {
		t.Helper()
		var flags shimFlags
		got, err := takeFlags(flags.set(), strings.Fields(line))
		if err != nil || flags.format != format || flags.each != each || !slices.Equal(got, rest) {
			t.Errorf("%s: %+v, %q, %v", line, flags, got, err)
		}
	}
	f("", "", false)
	f("--format lines --once", "lines", false, "--once")
	f("--once --format=lines --each --name x", "lines", true, "--once", "--name", "x")
	f("--each=false --config {}", "", false, "--config", "{}")
	f("format each", "", false, "format", "each")

	run := place(t)
	expect(t, run("plugin", "shim"), 0, "is a plugin for it", "--catalog")
	expect(t, run("plugin", "shim", "--kind", "collector", "--help", "--", "cat"), 0, "is a plugin for it")
	expect(t, run("plugin", "shim", "--kind", "collector", "--each", "--once", "--", "echo", "--help", "v=1"), 0, `"series":"--help"`)
}

// A program is run, and described, as any plugin is.
func TestShim(t *testing.T) {
	run := place(t)
	if err := os.WriteFile("load.json", []byte(`[{"series": "load", "help": "Load.", "fields": {"v": "tasks"}}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("load.sh", []byte("echo load v=$PW_LEVEL\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	shim := []string{"plugin", "shim", "--kind", "collector", "--each", "--catalog", "load.json"}
	with := func(args ...string) said { return run(slices.Concat(shim, args, []string{"--", "sh", "load.sh"})...) }
	expect(t, with("--once", "--config", `{"level": 7}`), 0, `"series":"load"`, `"v":7`)
	expect(t, with("--describe"), 0, `"program": "load"`, `"series": "load"`, "tasks")
	expect(t, with("--describe", "--program", "cpu"), 0, `"program": "cpu"`)
	expect(t, with("--config", `{"level": 7}`), 0, "load, a collector", "load,host=", "v=7", "--once -- sh load.sh")
}
