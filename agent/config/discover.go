package config

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"go.yaml.in/yaml/v3"
)

var discoverKeys = []string{"dirs", "autostart", "trust", "keys", "remote_run"}

// discovery reads which programs are found besides the built-ins.
func (l *loader) discovery(s *source, n *yaml.Node) Discovery {
	found := l.out.Discovery // what holds without the key
	if !s.isMap("discover", n, "{ dirs: [/opt/pacewire/plugins] }") {
		return found
	}
	s.fields("discover", n, map[string]func(*yaml.Node){
		"dirs":       func(n *yaml.Node) { found.Dirs = l.folders(s, "discover.dirs", n) },
		"autostart":  func(n *yaml.Node) { found.Autostart = s.flag("discover.autostart", n) },
		"trust":      func(n *yaml.Node) { found.Trust = s.oneOf("discover.trust", n, TrustOff, TrustWarn, TrustEnforce) },
		"keys":       func(n *yaml.Node) { found.Keys = l.folder(s, "discover.keys", n, s.text("discover.keys", n)) },
		"remote_run": func(n *yaml.Node) { found.RemoteRun = s.flag("discover.remote_run", n) },
	}, discoverKeys)
	return found
}

// folders reads whole paths of folders; an empty list says that there are none.
func (l *loader) folders(s *source, key string, n *yaml.Node) []string {
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		return nil
	}
	var out []string
	list, nodes := s.texts(key, n)
	for i, text := range list {
		path := l.folder(s, key, nodes[i], text)
		switch {
		case path == "":
		case slices.Contains(out, path):
			s.fault(nodes[i], "remove one of them", "%s: %s stands there twice", key, s.raw(nodes[i]))
		default:
			out = append(out, path)
		}
	}
	return out
}

// folder checks one path; the folder may come later.
func (l *loader) folder(s *source, key string, n *yaml.Node, text string) string {
	switch {
	case text == "":
		return ""
	case !filepath.IsAbs(text):
		s.fault(n, "write its whole path", "%s: want a folder such as /opt/pacewire/plugins, got %s", key, s.got(n))
		return ""
	case l.Offline:
	default:
		if info, err := os.Stat(text); os.IsNotExist(err) {
			s.warn(n, "", "%s: there is no folder %s yet", key, s.raw(n))
		} else if err == nil && !info.IsDir() {
			s.fault(n, "name the folder that it is in", "%s: %s is no folder", key, s.raw(n))
		}
	}
	return filepath.Clean(text)
}

// discover puts the programs of plugin directories beside the built-ins, which go before them.
func (l *loader) discover() {
	all := slices.Clone(l.Programs)
	if l.Discover != nil && !l.Offline {
		all = append(all, l.Discover(l.out.Discovery)...)
	}
	slices.SortStableFunc(all, func(a, b Program) int { return cmp.Compare(min(1, len(a.Path)), min(1, len(b.Path))) })
	l.Programs = nil
	for _, p := range all {
		was := l.program(p.Kind, p.Name)
		switch {
		case p.Path == "":
			l.Programs = append(l.Programs, p)
		case p.Unavailable != "" && p.Kind == "":
			l.unusable = append(l.unusable, p)
		case rank(p.Kind) < 0 || !pluginName.re().MatchString(p.Name):
			l.passOver(p, "correct what it says to --describe", "it calls itself %s %q, which is no program of pacewire", p.Kind, p.Name)
		case was == nil:
			l.Programs = append(l.Programs, p)
		case was.Path == "":
			l.passOver(p, "rename it, or run it by its path: run: "+p.Path, "%s is the name of a built-in %s", p.Name, p.Kind)
		default:
			l.passOver(p, "remove or rename one of them", "%s is the %s %s already", was.Path, p.Kind, p.Name)
		}
	}
	l.secrets = secretPattern(secretNames(l.Programs))
	for _, s := range l.sources {
		s.secrets = l.secrets
	}
}

// passOver warns that a program that was found is not used.
func (l *loader) passOver(p Program, hint, format string, args ...any) {
	l.out.Warnings = append(l.out.Warnings, Fault{
		Position: Position{File: printable(p.Path)},
		Message:  printable("passed over: " + fmt.Sprintf(format, args...)),
		Hint:     printable(hint),
	})
}

// autostart makes plugins of the programs that were found and that no plugin uses.
func (l *loader) autostart() {
	if !l.out.Discovery.Autostart {
		return
	}
	for i := range l.Programs {
		p := &l.Programs[i]
		used := slices.ContainsFunc(l.plugins, func(d *definition) bool { return d.builtin == p })
		if p.Path == "" || used {
			continue
		}
		if was := l.byName[p.Name]; was != nil {
			l.passOver(*p, "say what it is called: "+p.Name+"2: { use: "+p.Name+" }", "another plugin is called %s, in %s", p.Name, was.Position)
			continue
		}
		l.startByItself(p)
	}
	slices.SortStableFunc(l.plugins, func(a, b *definition) int { return cmp.Compare(rank(a.Kind), rank(b.Kind)) })
}

// rank orders the kinds as their sections.
func rank(kind string) int {
	return slices.IndexFunc(sections, func(s section) bool { return s.kind == kind })
}

// startByItself adds a plugin as if it stood in a config of its own. One that cannot do without settings is no fault of the
// operator's: it is passed over.
func (l *loader) startByItself(p *Program) {
	text := sectionOf(p.Kind) + ": { " + p.Name + ": { from: all } }"
	if p.Kind == Collector {
		text = sectionOf(p.Kind) + ": { " + p.Name + ": {} }"
	}
	s := newSource(p.Path, text, l.secrets)
	s.parse(text)
	s.lines = nil // nobody wrote them
	l.plugin(s, p.Kind, entries(entries(s.root)[0].val)[0])
	for _, f := range s.faults {
		l.passOver(*p, "name it in the config, with its settings", "%s", f.Message)
	}
	d := l.byName[p.Name]
	if d == nil {
		return
	}
	if d.Position = (Position{File: p.Path}); len(s.faults) == 0 {
		l.sources = append(l.sources, s)
		return
	}
	delete(l.byName, p.Name)
	l.plugins = slices.DeleteFunc(l.plugins, func(other *definition) bool { return other == d })
}
