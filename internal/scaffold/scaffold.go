// Package scaffold writes the folder of a new plugin.
package scaffold

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// templates are plugins that work as they are, called my-plugin, and what stands beside one. What a plugin gets is in the folder
// itself, in that of its kind, in that of its language, and in that of its kind there. The underscore keeps Go from taking
// the folders for packages of this module.
//
//go:embed all:_templates
var templates embed.FS

// A Plugin is one to be written.
type Plugin struct {
	Name     string
	Kind     *Kind
	Language *Language
	Dir      string // the folder that is written, as a whole path
	Force    bool   // into a folder that has something in it
	Library  fs.FS  // of its language, put beside it; nil: none is wanted
	Module   Module // of pacewire, for Go
	Pacewire string // the program that writes it, for who does not find one on PATH
}

// ErrExists is returned for a folder that has something in it.
var ErrExists = errors.New("there is something in it already")

// A file is one of a plugin; its path is below the folder, with slashes.
type file struct {
	path string
	text []byte
}

// Write writes the folder. Files that a new plugin does not have are left alone, with Force too.
func (p *Plugin) Write() error {
	if there, err := os.ReadDir(p.Dir); len(there) > 0 && !p.Force {
		return ErrExists
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	files, err := p.files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := f.write(p.Dir); err != nil {
			return err
		}
	}
	return nil
}

// write puts the file below dir. One that is there goes first, so that a link is not followed.
func (f file) write(dir string) error {
	at := filepath.Join(dir, filepath.FromSlash(f.path))
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if err := os.Remove(at); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	mode := fs.FileMode(0o644)
	if strings.HasPrefix(string(f.text), "#!") {
		mode = 0o755
	}
	return os.WriteFile(at, f.text, mode)
}

// files returns everything that the folder gets.
func (p *Plugin) files() ([]file, error) {
	var files []file
	words := p.words()
	for _, from := range []string{"", p.Kind.Name, p.Language.Name, path.Join(p.Language.Name, p.Kind.Name)} {
		found, err := in(templates, path.Join("_templates", from))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			files = append(files, file{words.Replace(f.path), []byte(words.Replace(string(f.text)))})
		}
	}
	if p.Language.module {
		files = append(files, file{"go.mod", p.Module.file(p.Name)})
	}
	library, err := p.library()
	return append(files, library...), err
}

// library returns the files of the library, in a folder of the name by which the plugin imports it.
func (p *Plugin) library() (files []file, err error) {
	if p.Library == nil {
		return nil, nil
	}
	err = fs.WalkDir(p.Library, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(p.Library, name)
		files = append(files, file{path.Join("pacewire", name), text})
		return err
	})
	return files, err
}

// in returns the files of a folder, without those of folders in it.
func in(fsys fs.FS, dir string) ([]file, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("templates of %s: %w", dir, err)
	}
	var files []file
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		text, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		files = append(files, file{e.Name(), text})
	}
	return files, nil
}
