package config

import (
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A program that cannot be run now: a fault to who asks whether a config is good, and a warning where the other plugins are to run.

// missing tells that a plugin has no program that could be run.
func (l *loader) missing(d *definition, at *yaml.Node, hint, format string, args ...any) {
	d.Missing = l.tolerated(d, at, hint, format, args...)
}

// tolerated notes a fault, or, where the loader is lenient, a warning, whose message it returns.
func (l *loader) tolerated(d *definition, at *yaml.Node, hint, format string, args ...any) string {
	before := len(d.faults)
	d.fault(at, hint, format, args...)
	if !l.Lenient || d.strict || len(d.faults) == before {
		return ""
	}
	f := d.faults[before]
	d.faults, d.warnings = d.faults[:before], append(d.warnings, f)
	return f.Message
}

// useless finds a program of a plugin directory that cannot be run, and of which nobody knows more than the name of its file.
func (l *loader) useless(d *definition, at *yaml.Node, name string) bool {
	i := slices.IndexFunc(l.unusable, func(p Program) bool {
		return p.Name == name || strings.TrimSuffix(p.Name, filepath.Ext(p.Name)) == name
	})
	if i < 0 {
		return false
	}
	d.Program = name
	l.missing(d, at, showPrograms+l.unusable[i].Path, cannotBeUsed, d.Kind, d.raw(at), l.unusable[i].Unavailable)
	return true
}

const (
	cannotBeUsed = "the %s program %s cannot be used: %s"
	showPrograms = "pacewire plugin list --programs shows it: "
)

// asBefore lets a plugin keep a program that could be run before and cannot now.
func (l *loader) asBefore(d *definition, at *yaml.Node) {
	if why := d.builtin.Unavailable; why != "" {
		l.tolerated(d, at, showPrograms+d.builtin.Path, cannotBeUsed, d.Kind, d.raw(at), why)
	}
}

// mistyped reports a name that is one slip away from a built-in.
func (l *loader) mistyped(kind, name string) bool {
	return slices.ContainsFunc(l.Programs, func(p Program) bool {
		return p.Path == "" && p.Kind == kind && distance(plain(name), plain(p.Name)) <= 1
	})
}
