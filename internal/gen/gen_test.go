package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/internal/golden"
)

// rich has each kind of setting, and a series with and one without tags.
const rich = `Summary: "A | bar, and\nmore.", Schema: json.RawMessage(` + "`" + `{"type":"object","properties":{
	"zone":{"type":"string","default":"a|b","description":"which | zone"},
	"every_one":{"type":"boolean","default":true},
	"wait":{"type":"string","pattern":"^-?([0-9]+(\\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$","default":"2s","description":"how long"},
	"only":{"type":"array","items":{"type":"string"},"default":["a","b"]},
	"rename":{"type":"object","additionalProperties":{"type":"string"},"default":{}},
	"limits":{"type":"object","additionalProperties":false,"properties":{"points":{"type":["null","integer"],"default":1000}}},
	"version":{"enum":[1,2],"default":1},
	"password":{"type":"string","writeOnly":true,"description":"of <who> & whom"},
	"other":{"type":"string"}},"additionalProperties":false}` + "`" + `), Catalog: []map[string]any{
	{"series": "zone", "help": "The zone.", "tags": map[string]string{"name": "its name", "area": "where"},
		"fields": map[string]string{"load": "1", "used": "B"}, "types": map[string]string{"used": "u"}},
	{"series": "up", "help": "Whether.", "fields": map[string]string{"up": ""}, "types": map[string]string{"up": "b"}}}`

func TestTree(t *testing.T) {
	m := tree(t)
	m.plugin(t, "collector/load", `Summary: "The load."`)
	m.plugin(t, "publisher/load", `Summary: "A collector of this name too."`)
	m.plugin(t, "processor/zone", rich)
	m.edit(t, "processor/zone/zone.go", `import "example.com/small/plugin"`, "import (\n\t\"encoding/json\"\n\n\t\"example.com/small/plugin\"\n)")
	m.edit(t, "processor/zone/README.md", "# A plugin", "# A plugin\n\nSee [this](testdata/a.txt), [that](../x.md#y), [them](https://a.b/c) and [here](#up).")
	m.plugin(t, "publisher/heavy", `Summary: "Weighs a lot."`)
	m.edit(t, "publisher/heavy/heavy.go", "package heavy", "//\n//pacewire:binary\npackage heavy")
	m.write(t, "collector/all/README.md", "not a plugin")
	m.write(t, "collector/loadtest/a.go", "package loadtest\n\nfunc Define() {}\n")
	m.write(t, "collector/parts/a.go", "// Package parts has no Define.\npackage parts\n")
	before := m.files(t)
	m.gen(t)
	golden.Equal(t, "testdata/tree.golden", dump(m.files(t), before))
	m.vet(t)
	if err := gen(filepath.Join(m.root, "plugin"), true); err != nil { // from a folder below the root
		t.Errorf("check right after: %v", err)
	}
}

func TestAddAndRemove(t *testing.T) {
	m := tree(t)
	m.plugin(t, "collector/load", `Summary: "The load."`)
	m.gen(t)
	before := m.files(t)

	m.plugin(t, "collector/toy", `Summary: "A toy."`)
	m.plugin(t, "publisher/toy", `Summary: "A heavy toy."`)
	m.edit(t, "publisher/toy/toy.go", "package toy", "//\n//pacewire:binary\npackage toy")
	toys := m.files(t)
	wantCheck(t, m,
		"cmd/pacewire-toy/main.go is missing",
		"cmd/pacewire-toy/main_test.go is missing",
		"collector/all/all.go differs",
		"collector/toy/README.md differs",
		"docs/plugins/README.md differs",
		"docs/plugins/collector.toy.md is missing",
		"docs/plugins/publisher.toy.md is missing",
		"docs/sample.yaml differs",
		"publisher/toy/README.md differs",
		"schemas/plugins/collector.toy.json is missing",
		"schemas/plugins/publisher.toy.json is missing",
	)
	if now := m.files(t); !maps.Equal(now, toys) {
		t.Errorf("the check changed\n%s", dump(now, toys))
	}

	m.gen(t)
	m.vet(t)
	wantCheck(t, m)
	for _, path := range []string{"collector/all/all.go", "docs/plugins/README.md", "docs/sample.yaml"} {
		if !strings.Contains(m.read(t, path), "toy") {
			t.Errorf("%s has no toy", path)
		}
	}

	m.write(t, "cmd/pacewire-own/main.go", "package main\n\nfunc main() {}\n") // by hand: none of gen's business
	m.write(t, "docs/plugins/processor.own.md", "# own\n\nDoes | things. And more.\n")
	for _, path := range []string{"collector/toy", "publisher/toy"} {
		if err := os.RemoveAll(m.file(path)); err != nil {
			t.Fatal(err)
		}
	}
	wantCheck(t, m,
		"cmd/pacewire-toy/main.go is left over",
		"cmd/pacewire-toy/main_test.go is left over",
		"collector/all/all.go differs",
		"docs/plugins/README.md differs",
		"docs/plugins/collector.toy.md is left over",
		"docs/plugins/publisher.toy.md is left over",
		"docs/sample.yaml differs",
		"schemas/plugins/collector.toy.json is left over",
		"schemas/plugins/publisher.toy.json is left over",
	)
	m.gen(t)
	after := m.files(t)
	if index := m.read(t, "docs/plugins/README.md"); !strings.Contains(index, `| [own](processor.own.md) | Does \| things. |`) {
		t.Errorf("the index has no page that was made by hand:\n%s", index)
	}
	for _, path := range []string{"cmd/pacewire-own/main.go", "docs/plugins/processor.own.md"} {
		if _, ok := after[path]; !ok {
			t.Errorf("%s, which gen did not write, is gone", path)
		}
		delete(after, path)
	}
	delete(after, "docs/plugins/README.md")
	delete(before, "docs/plugins/README.md")
	if !maps.Equal(after, before) {
		t.Errorf("with the toys gone the tree is not as before them:\n%s", dump(after, before))
	}
	if _, err := os.Stat(m.file("cmd/pacewire-toy")); err == nil {
		t.Error("the folder of a command that is gone is left")
	}
}

// wantCheck runs gen -check and compares the files that it names, in their order.
func wantCheck(t *testing.T, m module, want ...string) {
	t.Helper()
	err := gen(m.root, true)
	if len(want) == 0 || err == nil {
		if err != nil || len(want) > 0 {
			t.Errorf("check: %v; want %q", err, want)
		}
		return
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(want)+1 || !strings.Contains(lines[len(want)], "run make gen") {
		t.Fatalf("check:\n%v\nwant %d files and what to do", err, len(want))
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w) {
			t.Errorf("check, line %d: %q, want %q", i, lines[i], w)
		}
	}
}
