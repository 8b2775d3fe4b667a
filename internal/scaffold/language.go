package scaffold

import (
	"fmt"
	"path/filepath"
	"strings"
)

// A Language is one in which plugins are written.
type Language struct {
	Name  string // as --lang has it
	Title string // as people call it

	tool   string // a program that it needs
	debian string // where that comes from
	module bool   // it has a go.mod
	main   string // the file that is the plugin
	steps  [3]string
	files  []described // besides those that all have
	launch []string    // what runs the plugin, before its path
	binary string      // the file that runs; "": main
	getLib string      // installs the library from the checkout DIR; "": there is none
}

// A described is a file, and what it is.
type described struct{ name, is string }

// Languages returns all languages.
func Languages() []*Language {
	return []*Language{
		{
			Name: "go", Title: "Go", tool: "go", debian: "golang-go, where that is 1.26 or newer; else https://go.dev/dl", module: true,
			main: "main.go", binary: "my-plugin",
			steps: [3]string{"go mod tidy && go run .", "go build && pacewire up -c pacewire.yaml", "go test"},
			files: []described{{"main_test.go", "runs `pacewire conform`"}, {"go.mod", "names the version of pacewire"}},
		},
		{
			Name: "python", Title: "Python", tool: "python3", debian: "python3",
			main: "my_plugin.py", launch: []string{"python3"}, getLib: "pip install DIR/sdk/python",
			steps: [3]string{"python3 my_plugin.py", "pacewire up -c pacewire.yaml", "python3 -m unittest"},
			files: []described{{"test_my_plugin.py", "runs `pacewire conform`"}, {"pacewire/", "the library, which needs Python 3.9 and nothing else"}},
		},
		{
			Name: "node", Title: "JavaScript", tool: "npm", debian: "npm, which brings nodejs",
			main: "my-plugin.mjs", launch: []string{"node"}, getLib: "npm install DIR/sdk/node",
			steps: [3]string{"npm install && node my-plugin.mjs", "pacewire up -c pacewire.yaml", "node --test"},
			files: []described{{"my-plugin.test.mjs", "runs `pacewire conform`"}, {"package.json", "names what it needs of npm"}, {"pacewire/", "the library"}},
		},
		{
			Name: "sh", Title: "shell", tool: "sh", debian: "dash",
			main:  "my-plugin.sh",
			steps: [3]string{"./my-plugin.sh", "pacewire up -c pacewire.yaml", "./test.sh"},
			files: []described{{"test.sh", "runs `pacewire conform`"}},
		},
	}
}

// taken are names that a plugin in this language cannot have.
func (l *Language) taken() []string {
	if l.Name != "python" {
		return nil
	}
	return strings.Fields(pythonModules)
}

// Missing says what is to be done before the plugin can be run; lookPath finds programs.
func (p *Plugin) Missing(lookPath func(string) (string, error)) (todo []string) {
	l := p.Language
	if _, err := lookPath(l.tool); err != nil {
		todo = append(todo, fmt.Sprintf("%s is not installed: its Debian package is %s", l.tool, l.debian))
	}
	if _, err := lookPath("pacewire"); err != nil {
		todo = append(todo, fmt.Sprintf(`pacewire is not on PATH: PATH="$PATH:%s"`, filepath.Dir(p.Pacewire)))
	}
	if l.getLib != "" && p.Library == nil {
		todo = append(todo, "the library has to be installed, from a checkout of pacewire: "+l.getLib)
	}
	if l.module && !p.Module.known() {
		todo = append(todo, "this is a development build away from its checkout, and go.mod has to name one: go mod edit -replace "+ModulePath+"=DIR")
	}
	return todo
}

// Meant returns the name of the language or the kind that others call word, "" when it is none.
func Meant(word string) string {
	switch word {
	case "golang":
		return "go"
	case "py", "python2", "python3", "pyton":
		return "python"
	case "js", "javascript", "nodejs", "node.js", "ts", "typescript", "mjs", "deno", "bun":
		return "node"
	case "shell", "bash", "dash", "zsh", "ksh", "posix":
		return "sh"
	case "collect", "input", "source", "receiver", "info", "monitor", "stream", "streamcollector":
		return "collector"
	case "process", "filter", "transform", "aggregator":
		return "processor"
	case "publish", "output", "sink", "exporter", "writer":
		return "publisher"
	}
	return ""
}
