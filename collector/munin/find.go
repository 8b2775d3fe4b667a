package munin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// find returns the plugins of a config, by name: of two that are called the same the first. They are not looked at through their
// links, as their names may be their arguments.
func find(cfg Config) (paths []string, err error) {
	var faults []error
	names := map[string]bool{}
	add := func(path string) {
		name := filepath.Base(path)
		if !names[name] && !excluded(cfg.Exclude, name) {
			names[name], paths = true, append(paths, path)
		}
	}
	for _, pattern := range cfg.Plugins {
		found, _ := filepath.Glob(pattern) // Validate has looked at it
		if len(found) == 0 {
			faults = append(faults, fmt.Errorf("plugins %q: no file or folder is called so", pattern))
		}
		for _, path := range found {
			info, err := os.Stat(path)
			switch {
			case err != nil:
				faults = append(faults, fmt.Errorf("plugins %q: %w", pattern, err))
			case info.IsDir():
				list, err := inFolder(path)
				faults = append(faults, err)
				for _, path := range list {
					add(path)
				}
			default:
				add(path)
			}
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	return paths, errors.Join(faults...)
}

// inFolder returns what is executable in a folder.
func inFolder(dir string) (paths []string, err error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("plugins: %w", err)
	}
	for _, entry := range list {
		path := filepath.Join(dir, entry.Name())
		info, err := os.Stat(path)
		if err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 && !ignored(entry.Name()) && filepath.Ext(path) != ".conf" {
			paths = append(paths, path)
		}
	}
	return paths, nil
}

func excluded(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		ok, _ := filepath.Match(pattern, name)
		return ok
	})
}

// ignored reports whether a file is one that editors and package managers leave behind, or has a name that no plugin has.
func ignored(name string) bool {
	if strings.HasPrefix(name, ".") {
		return true
	}
	for _, end := range []string{"~", "%", ".bak", ".dpkg-tmp", ".dpkg-new", ".dpkg-old", ".dpkg-dist", ".rpmsave", ".rpmnew", ".pod"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return strings.ContainsFunc(name, func(r rune) bool {
		plain := r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return !plain && !strings.ContainsRune("-_@.:", r)
	})
}
