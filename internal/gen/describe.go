package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"

	"github.com/pacewire/pacewire/telemetry"
)

// A program is a built-in and what its Define says of it.
type program struct {
	folder
	definition
}

// A definition is the part of a plugin.Definition that gen writes about.
type definition struct {
	Program string
	Summary string
	Schema  json.RawMessage
	Catalog []telemetry.Desc
}

// label names a program among those of all kinds.
func (p program) label() string { return p.kind + "." + p.Program }

// describer is the source of a program that prints the definitions of all folders. It imports them itself, not by the lists
// of the kinds, so that a list that is out of date does not matter and heavy programs are in it too.
var describer = template.Must(template.New("describer").Parse(`package main

import (
	"encoding/json"
	"os"

{{range $i, $f := .Folders}}	p{{$i}} "{{$.Path}}/{{$f}}"
{{end}})

func main() {
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	if err := out.Encode([]any{ {{range $i, $f := .Folders}}p{{$i}}.Define().Manifest(), {{end}} }); err != nil {
		panic(err)
	}
}
`))

// describe asks the Define of each folder what it is.
func (m module) describe(folders []folder) ([]program, error) {
	dir, err := os.MkdirTemp("", "gen")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	var paths []string
	for _, f := range folders {
		paths = append(paths, f.path())
	}
	var source bytes.Buffer
	if err := describer.Execute(&source, map[string]any{"Path": m.path, "Folders": paths}); err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "main.go")
	if err := os.WriteFile(file, source.Bytes(), 0o600); err != nil {
		return nil, err
	}
	run := exec.Command("go", "run", file)
	run.Dir = m.root // whose module the imports are found in
	out, err := output(run)
	if err != nil {
		return nil, err
	}
	var definitions []definition
	if err := json.Unmarshal(out, &definitions); err != nil {
		return nil, fmt.Errorf("read the definitions: %w", err)
	}
	programs := make([]program, len(folders))
	for i, f := range folders {
		programs[i] = program{f, definitions[i]}
	}
	return programs, unique(programs)
}

// unique checks that a config can tell the programs apart.
func unique(programs []program) error {
	var faults []error
	first := map[string]program{}
	for _, p := range programs {
		if p.Program == "" {
			faults = append(faults, fmt.Errorf("%s: its Define has no Program: give it the name it has in a config", p.path()))
			continue
		}
		keys := []string{p.label()}
		if p.binary {
			keys = append(keys, "binary "+p.Program)
		}
		for _, key := range keys {
			if other, ok := first[key]; ok {
				faults = append(faults, fmt.Errorf("%s and %s are both called %s: give one of them another Program", other.path(), p.path(), p.Program))
				break
			}
			first[key] = p
		}
	}
	return errors.Join(faults...)
}
