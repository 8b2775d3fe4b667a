package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// A change is a file that is not as it should be.
type change struct {
	path string // below the root, with slashes
	text []byte // what it should hold; nil: it should not be there
	old  []byte // what it holds; nil: it is not there
}

// compare returns what has to change for the tree to hold want and nothing that gen wrote besides.
func (m module) compare(want map[string][]byte) ([]change, error) {
	var changes []change
	for _, path := range slices.Sorted(maps.Keys(want)) {
		old, err := os.ReadFile(m.file(path))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if err != nil || !bytes.Equal(old, want[path]) {
			changes = append(changes, change{path, want[path], old})
		}
	}
	mine, err := m.written()
	for path, text := range mine {
		if _, ok := want[path]; !ok {
			changes = append(changes, change{path, nil, text})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return bytes.Compare([]byte(a.path), []byte(b.path)) })
	return changes, err
}

// written returns the files that gen wrote for programs, now or before: all schemas, and commands and pages with its header.
func (m module) written() (map[string][]byte, error) {
	mine := map[string][]byte{}
	for _, pattern := range []string{"schemas/plugins/*.json", "docs/plugins/*.md", "cmd/pacewire-*/main.go", "cmd/pacewire-*/main_test.go"} {
		files, err := filepath.Glob(m.file(pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			if begin := map[string]string{".go": header, ".md": pageHeader}[filepath.Ext(file)]; !bytes.HasPrefix(text, []byte(begin)) {
				continue
			}
			path, err := filepath.Rel(m.root, file)
			if err != nil {
				return nil, err
			}
			mine[filepath.ToSlash(path)] = text
		}
	}
	return mine, nil
}

// file returns where a path below the root is.
func (m module) file(path string) string { return filepath.Join(m.root, filepath.FromSlash(path)) }

// refuse names the changes in an error.
func refuse(changes []change) error {
	var faults []error
	for _, c := range changes {
		what := "differs from what make gen writes"
		if c.old == nil {
			what = "is missing"
		} else if c.text == nil {
			what = "is left over from a plugin that is gone"
		}
		faults = append(faults, fmt.Errorf("%s %s", c.path, what))
	}
	if len(faults) > 0 {
		faults = append(faults, errors.New("run make gen and commit what it changes"))
	}
	return errors.Join(faults...)
}

// apply makes the changes, and says on stdout which.
func (m module) apply(changes []change) error {
	for _, c := range changes {
		if c.text == nil {
			if err := os.Remove(m.file(c.path)); err != nil {
				return err
			}
			_ = os.Remove(filepath.Dir(m.file(c.path))) // of a command; a folder with something in it stays
			fmt.Println("removed", c.path)
			continue
		}
		if err := os.MkdirAll(filepath.Dir(m.file(c.path)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(m.file(c.path), c.text, 0o644); err != nil {
			return err
		}
		fmt.Println("wrote", c.path)
	}
	return nil
}
