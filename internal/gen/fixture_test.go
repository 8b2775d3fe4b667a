package main

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree is a module of its own with a package plugin that is no more than gen needs.
func tree(t *testing.T) module {
	t.Helper()
	m := module{t.TempDir(), "example.com/small"}
	m.write(t, "go.mod", "module example.com/small\n\ngo 1.26\n")
	m.write(t, "plugin/plugin.go", `// Package plugin is what gen needs of the real one.
package plugin

import "encoding/json"

type Definition struct {
	Kind, Program, Summary string
	Schema                 json.RawMessage
	Catalog                []map[string]any
}

func (d Definition) Manifest() Definition { return d }

func Main(Definition) {}
`)
	m.write(t, "plugin/plugintest/plugintest.go", `// Package plugintest is what gen needs of the real one.
package plugintest

import (
	"testing"

	"example.com/small/plugin"
)

func Conform(t *testing.T, d plugin.Definition) { t.Log(d.Program) }
`)
	return m
}

// markers is the least that a README may hold.
const markers = "# A plugin\n\n<!-- settings -->\n<!-- /settings -->\n\n<!-- series -->\n<!-- /series -->\n"

// plugin adds the folder of a plugin. Its Define returns fields, besides its kind and its name.
func (m module) plugin(t *testing.T, path, fields string) {
	t.Helper()
	kind, name, _ := strings.Cut(path, "/")
	m.write(t, path+"/"+name+".go", fmt.Sprintf(`// Package %[2]s is a plugin.
package %[2]s

import "example.com/small/plugin"

// Define describes it.
func Define() plugin.Definition {
	return plugin.Definition{Kind: %[1]q, Program: %[2]q, %[3]s}
}
`, kind, name, fields))
	m.write(t, path+"/README.md", markers)
}

func (m module) write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(m.file(path)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.file(path), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (m module) read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(m.file(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// edit replaces a text in a file.
func (m module) edit(t *testing.T, path, old, text string) {
	t.Helper()
	m.write(t, path, strings.Replace(m.read(t, path), old, text, 1))
}

// gen runs gen as make gen does.
func (m module) gen(t *testing.T) {
	t.Helper()
	if err := gen(m.root, false); err != nil {
		t.Fatal(err)
	}
}

// files returns all files of the tree, by path.
func (m module) files(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(m.root, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		path, err := filepath.Rel(m.root, file)
		files[filepath.ToSlash(path)] = m.read(t, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// dump writes files one below the other, each under its path, without those of before.
func dump(files, before map[string]string) []byte {
	var b strings.Builder
	for _, path := range slices.Sorted(maps.Keys(files)) {
		if old, ok := before[path]; !ok || old != files[path] {
			fmt.Fprintf(&b, "-- %s --\n%s", path, files[path])
		}
	}
	return []byte(b.String())
}

// vet compiles all of the tree, tests too.
func (m module) vet(t *testing.T) {
	t.Helper()
	vet := exec.CommandContext(t.Context(), "go", "vet", "./...")
	vet.Dir = m.root
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("go vet: %v\n%s", err, out)
	}
}
