package scaffold

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// A step is a command to go on with.
type step struct{ command, does string }

// steps returns the commands that try the plugin alone, run it and check it, to be given in its folder.
func (p *Plugin) steps() []step {
	shows := map[string]string{
		"collector": "its points on the terminal", "processor": "points of this machine, through it",
		"publisher": "points of this machine, to " + p.sink(),
	}[p.Kind.Name]
	does := []string{"alone: its settings and a sample", shows + "; Ctrl-C ends", "checks what every plugin promises, in ten seconds"}
	var steps []step
	for i, command := range p.Language.steps {
		steps = append(steps, step{p.named(command), does[i]})
	}
	return steps
}

// named puts the names of the plugin in the place of those of the templates.
func (p *Plugin) named(text string) string {
	return strings.NewReplacer("my_plugin", stem(p.Name), "my-plugin", p.Name).Replace(text)
}

// sink is the file to which a publisher appends.
func (p *Plugin) sink() string { return p.Name + ".jsonl" }

// words replaces what stands in the templates for something else.
func (p *Plugin) words() *strings.Replacer {
	l := p.Language
	return strings.NewReplacer("my_plugin", stem(p.Name), "my-plugin", p.Name,
		"KIND", p.Kind.Name, "LANGUAGE", l.Title, "DOES", p.Kind.does, "SOURCE", "`"+p.named(l.main)+"`",
		"STEPS", p.StepsText(), "FILES", p.filesText(), "EXAMPLE", p.example(),
		"LIBRARY", p.dependencies(), "COMMAND", asYAML(p.command(p.Dir)), "SINK", asYAML(filepath.Join(p.Dir, p.sink())),
	)
}

// dependencies are what npm installs. A library that is installed otherwise is not among them: npm would ask the registry for it.
func (p *Plugin) dependencies() string {
	if p.Library == nil {
		return "{}"
	}
	return `{ "pacewire": "file:./pacewire" }`
}

// command is what runs the plugin when its folder is dir.
func (p *Plugin) command(dir string) []string {
	name := p.Language.binary
	if name == "" {
		name = p.Language.main
	}
	return append(slices.Clone(p.Language.launch), filepath.Join(dir, p.named(name)))
}

// StepsText returns the steps with what they do, a line each.
func (p *Plugin) StepsText() string {
	steps := p.steps()
	width := 0
	for _, s := range steps {
		width = max(width, len(s.command))
	}
	var lines []string
	for _, s := range steps {
		lines = append(lines, fmt.Sprintf("%-*s   # %s", width, s.command, s.does))
	}
	return strings.Join(lines, "\n")
}

func (p *Plugin) filesText() string {
	all := append([]described{{p.Language.main, "the plugin"}}, p.Language.files...)
	all = append(all, described{"pacewire.yaml", "a config that runs it on this machine; it has the path of this folder"})
	var rows []string
	for _, d := range all {
		if d.name == "pacewire/" && p.Library == nil {
			continue
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |", p.named(d.name), d.is))
	}
	return strings.Join(rows, "\n")
}

// example is the plugin in a config, as it may be installed.
func (p *Plugin) example() string {
	lines := []string{p.Kind.section + ":", "  " + p.Name + ":", "    run: " + strings.Join(p.command("/opt/plugins"), " "), "    config: { " + p.Kind.setting + " }"}
	if p.Kind.Name != "collector" {
		lines = append(lines, "    from: all")
	}
	return strings.Join(lines, "\n")
}

// asYAML writes a text or a list of texts on one line. JSON is YAML; a ${ would name the environment.
func asYAML(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // a text always can
	}
	return strings.ReplaceAll(string(text), "${", "$${")
}
