package main

import (
	"bytes"
	"go/format"
	"text/template"
)

var list = template.Must(template.New("list").Parse(`{{.Header}}
// Package all lists the {{.Kind}}s that the program contains.
package all

import (
{{range .Names}}	"{{$.Path}}/{{$.Kind}}/{{.}}"
{{end}}	"{{.Path}}/plugin"
)

// All returns the definitions of the {{.Kind}}s, by name.
func All() []plugin.Definition {
	return []plugin.Definition{
{{range .Names}}		{{.}}.Define(),
{{end}}	}
}
`))

var conform = template.Must(template.New("conform").Parse(`{{.Header}}
package all_test

import (
	"testing"

	"{{.Path}}/{{.Kind}}/all"
	"{{.Path}}/plugin/plugintest"
)

// TestConform holds each {{.Kind}} to what every plugin promises.
func TestConform(t *testing.T) {
	for _, d := range all.All() {
		t.Run(d.Program, func(t *testing.T) { plugintest.Conform(t, d) })
	}
}
`))

var command = template.Must(template.New("command").Parse(`{{.Header}}
// Command pacewire-{{.Program}} is the {{.Kind}} {{.Program}}, a program of its own to keep pacewire small.
package main

import (
	"{{.Path}}/plugin"
	"{{.Path}}/{{.Kind}}/{{.Name}}"
)

func main() { plugin.Main({{.Name}}.Define()) }
`))

var commandTest = template.Must(template.New("command test").Parse(`{{.Header}}
package main

import (
	"testing"

	"{{.Path}}/plugin/plugintest"
	"{{.Path}}/{{.Kind}}/{{.Name}}"
)

// TestConform holds the program to what every plugin promises.
func TestConform(t *testing.T) { plugintest.Conform(t, {{.Name}}.Define()) }
`))

// lists puts the list of each kind into want, and its conformance test.
func (m module) lists(want map[string][]byte, programs []program) error {
	for _, kind := range kinds() {
		var names []string
		for _, p := range programs {
			if p.kind == kind && !p.binary {
				names = append(names, p.name)
			}
		}
		facts := map[string]any{"Header": header, "Path": m.path, "Kind": kind, "Names": names}
		if err := source(want, kind+"/all/all.go", list, facts); err != nil {
			return err
		}
		if err := source(want, kind+"/all/conform_test.go", conform, facts); err != nil {
			return err
		}
	}
	return nil
}

// commands puts a main program into want for each program that is a binary of its own.
func (m module) commands(want map[string][]byte, programs []program) error {
	for _, p := range programs {
		if !p.binary {
			continue
		}
		facts := map[string]any{"Header": header, "Path": m.path, "Kind": p.kind, "Name": p.name, "Program": p.Program}
		dir := "cmd/pacewire-" + p.Program
		if err := source(want, dir+"/main.go", command, facts); err != nil {
			return err
		}
		if err := source(want, dir+"/main_test.go", commandTest, facts); err != nil {
			return err
		}
	}
	return nil
}

// source puts a Go file into want.
func source(want map[string][]byte, path string, text *template.Template, facts map[string]any) error {
	var b bytes.Buffer
	if err := text.Execute(&b, facts); err != nil {
		return err
	}
	formatted, err := format.Source(b.Bytes()) // sorts imports too
	want[path] = formatted
	return err
}
