package config

import (
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v3"
)

// command reads run: and looks whether its program is there.
func (l *loader) command(d *definition) {
	var nodes []*yaml.Node
	if d.run.Kind == yaml.ScalarNode && !empty(d.run) {
		d.Run, nodes = l.words(d), []*yaml.Node{d.run}
	} else {
		d.Run, nodes = d.texts("run", d.run)
	}
	if len(d.Run) == 0 || l.Offline {
		return
	}
	at := nodes[0]
	program, shown := d.Run[0], strings.Fields(d.raw(at))[0]
	switch _, err := l.LookPath(program); {
	case err == nil:
	case errors.Is(err, syscall.EISDIR):
		l.missing(d, at, "name the program in it", "run: %s is a folder", shown)
	case errors.Is(err, fs.ErrPermission):
		l.missing(d, at, "chmod +x it, or name its interpreter: run: python3 "+shown, "run: %s may not be executed", shown)
	case strings.Contains(program, "/"):
		l.missing(d, at, "", "run: there is no program %s", shown)
	default:
		l.missing(d, at, "install it, or write its whole path", "run: there is no program %s on PATH", shown)
	}
}

// shellWords are what a shell would act upon; here it would become an argument.
var shellWords = &pattern{text: `^(\||\|\||&|&&|;|<|>|>>|2>&1|["'].*)$`}

// words cuts the string form of run: at blanks. What the environment brings in is not cut.
func (l *loader) words(d *definition) []string {
	list := strings.Fields(d.raw(d.run))
	if len(list) == 0 {
		d.fault(d.run, "", "run: is empty")
	}
	_, holdsNames := d.written[d.run]
	for i, word := range list {
		if shellWords.re().MatchString(word) {
			d.fault(d.run, "write a list: run: [program, \"an argument\"], or run: [sh, -c, \"...\"]", "run: no shell reads this: %s would be passed on as it is", word)
			return nil
		}
		if holdsNames && !d.settled[d.run] {
			list[i] = l.replace(d.source, d.run, word)
		}
	}
	return list
}
