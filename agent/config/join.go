package config

import (
	"fmt"
	"os"
	"slices"
)

// Source is one text of a config.
type Source struct {
	Name string // of its file, for messages
	Text []byte

	// Loaded says that the text came into a running agent: it holds plugins and nothing else.
	Loaded bool

	// Replaces lets the plugins of a loaded text take the place of those of the same names in the sources before it.
	Replaces bool

	// Strict makes a fault of a program that is missing, or a start in the future, whatever Options says: who wrote the text waits for the answer.
	Strict bool

	place  bool  // Name is a place to watch
	folder bool  // of files
	err    error // why there is no text
}

// Files reads files and folders, such as conf.d, for Join. What cannot be read is a fault of Join, beside all others.
func Files(names ...string) []Source {
	var list []Source
	for _, name := range names {
		if info, err := os.Stat(name); err != nil || !info.IsDir() {
			list = append(list, file(name))
			continue
		}
		files, err := ConfD(name)
		list = append(list, Source{Name: name, place: true, folder: true, err: err})
		for _, name := range files {
			list = append(list, file(name))
		}
	}
	return list
}

func file(name string) Source {
	text, err := readFile(name)
	return Source{Name: name, Text: text, place: true, err: err}
}

// Join checks texts together: the main one first, those of conf.d, and those that were loaded. The error is Faults when
// the texts are to blame.
func Join(o Options, sources ...Source) (*Settings, error) {
	if len(sources) == 0 {
		return nil, Faults{{Message: "no config file is given", Hint: "pacewire init writes one"}}
	}
	l := newLoader(o)
	for _, s := range sources {
		l.read(s)
	}
	return l.settings()
}

// read parses one source.
func (l *loader) read(from Source) {
	if from.place {
		l.out.Files = append(l.out.Files, from.Name)
	}
	s := parsed(from, l.secrets)
	l.sources = append(l.sources, s)
	if from.err != nil {
		s.fatal, s.faults = true, Faults{unreadable(from.Name, from.err)}
	}
}

func unreadable(name string, err error) Fault {
	f := Fault{Position: Position{File: name}, Message: "not readable: " + err.Error()}
	switch {
	case os.IsNotExist(err):
		f.Message, f.Hint = "there is no such file", "pacewire init writes one to start from; -c names another place"
	case os.IsPermission(err):
		f.Message, f.Hint = "no permission to read it", fmt.Sprintf("let the user of the agent (uid %d) read it", os.Geteuid())
	}
	return f
}

// nothing is the fault of a config without a key.
func (l *loader) nothing() Faults {
	f := Fault{Position: Position{File: l.sources[0].name}, Message: "the file sets nothing", Hint: "pacewire init writes one to start from"}
	if l.sources[0].folder {
		f.Message = "no file of this folder sets anything: its files are called *.yaml"
	}
	return Faults{f}
}

// succeed finds the plugins that a later source defines anew.
func (l *loader) succeed() {
	for i, s := range l.sources {
		for _, e := range entries(s.root) {
			if _, ok := kindOf(e.name); !ok || !s.replaces {
				continue
			}
			for _, plugin := range entries(e.val) {
				l.replaced[plugin.name] = i
			}
		}
	}
}

// outdated reports that a plugin of s is defined anew, and tells who wrote it into a file.
func (l *loader) outdated(s *source, e entry) bool {
	by, ok := l.replaced[e.name]
	if !ok || slices.Index(l.sources, s) >= by {
		return false
	}
	if !s.loaded {
		s.warn(e.key, "pacewire plugin unload "+e.name+" brings this one back", "%s is not this one: another was loaded in its place (%s)", e.name, l.sources[by].name)
	}
	return true
}
