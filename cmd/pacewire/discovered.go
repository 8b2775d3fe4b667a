package main

import (
	"cmp"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/discovery"
)

// discovered returns the programs of the plugin directories for a config, with those that cannot be run now.
func (a *app) discovered(d config.Discovery) []config.Program {
	list := a.found.programs(d)
	a.found.mu.Lock()
	defer a.found.mu.Unlock()
	return a.found.seen.programs(d.Dirs, list)
}

// A memory is what programs were described as when they could be run last, by their paths. While a new version is put in the
// place of an old one there is a time when its signature is of other bytes, when it is being written, or when it may not be
// executed yet: the plugin that runs it must not end for that.
type memory map[string]config.Program

// programs returns the programs of folders for a config; list is what was found there. What was known before and is still
// there, whatever has become of it, is described as it was.
func (m memory) programs(dirs []string, list []discovery.Program) []config.Program {
	maps.DeleteFunc(m, func(path string, _ config.Program) bool { return isGone(path) })
	var all []config.Program
	left := maps.Clone(m)
	for _, p := range list {
		delete(left, p.Path)
		if p.State == discovery.Shadowed {
			delete(m, p.Path)
			continue
		}
		all = append(all, m.program(p))
	}
	for path, p := range left {
		if slices.Contains(dirs, filepath.Dir(path)) {
			p.Unavailable = "it may not be executed, or cannot be looked at"
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b config.Program) int { // of two of one name the first counts
		rank := func(p config.Program) int { return slices.Index(dirs, filepath.Dir(p.Path)) }
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Path, b.Path))
	})
	return all
}

// program returns one that was found, and remembers it if it can be run.
func (m memory) program(p discovery.Program) config.Program {
	if p.State == discovery.Available {
		m[p.Path] = config.Program{Kind: p.Kind, Name: p.Name, Summary: p.Manifest.Summary, Schema: p.Manifest.Schema, Path: p.Path}
		return m[p.Path]
	}
	now, known := m[p.Path]
	if !known {
		now = config.Program{Name: p.Name, Path: p.Path}
	}
	now.Unavailable = strings.TrimPrefix(cmp.Or(p.Reason, string(p.State)), "refused: ")
	return now
}

func isGone(path string) bool {
	_, err := os.Stat(path)
	return os.IsNotExist(err)
}
