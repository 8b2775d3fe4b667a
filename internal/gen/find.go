package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// kinds are the kinds of plugins, each the name of a folder.
func kinds() []string { return []string{"collector", "processor", "publisher"} }

// A folder is the source of one built-in.
type folder struct {
	kind   string // collector, processor or publisher
	name   string // of the folder and of its package
	binary bool   // it is a program of its own
}

// path is where the folder lies below the root.
func (f folder) path() string { return f.kind + "/" + f.name }

// find returns the folders of the built-ins, by kind and name.
func (m module) find() ([]folder, error) {
	var found []folder
	var faults []error
	for _, kind := range kinds() {
		sources, err := filepath.Glob(filepath.Join(m.root, kind, "*", "*.go"))
		if err != nil {
			return nil, err
		}
		dirs := map[string][]string{}
		for _, file := range sources {
			name := filepath.Base(filepath.Dir(file))
			if name != "all" && !strings.HasSuffix(name, "test") && !strings.HasSuffix(file, "_test.go") {
				dirs[name] = append(dirs[name], file)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(dirs)) {
			f := folder{kind: kind, name: name}
			ok, err := f.read(dirs[name])
			if ok {
				found = append(found, f)
			}
			faults = append(faults, err)
		}
	}
	return found, errors.Join(faults...)
}

// read looks through the source of a folder, and reports whether it is a built-in.
func (f *folder) read(sources []string) (bool, error) {
	var define *ast.FuncDecl
	for _, source := range sources {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return false, fmt.Errorf("%s: %w", f.path(), err)
		}
		if file.Name.Name != f.name {
			return false, fmt.Errorf("%s: %s has package %s: name package and folder alike", f.path(), filepath.Base(source), file.Name.Name)
		}
		f.binary = f.binary || marked(file)
		if fn := defineOf(file); fn != nil {
			define = fn
		}
	}
	switch {
	case define == nil:
		return false, nil
	case !returnsDefinition(define.Type):
		return false, fmt.Errorf("%s: Define has another form: want func Define() plugin.Definition", f.path())
	case define.Doc.Text() == "":
		return false, fmt.Errorf("%s: Define has no comment: say in a sentence what it describes", f.path())
	}
	return true, nil
}

// marked reports whether a file has the line that makes its package a program of its own.
func marked(file *ast.File) bool {
	for _, group := range file.Comments {
		for _, c := range group.List {
			if c.Text == "//pacewire:binary" {
				return true
			}
		}
	}
	return false
}

// defineOf returns the function Define of a file, nil where it has none.
func defineOf(file *ast.File) *ast.FuncDecl {
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "Define" {
			return fn
		}
	}
	return nil
}

// returnsDefinition reports whether a function takes nothing and returns a plugin.Definition.
func returnsDefinition(fn *ast.FuncType) bool {
	if fn.TypeParams != nil || fn.Params.NumFields() > 0 || fn.Results.NumFields() != 1 {
		return false
	}
	s, ok := fn.Results.List[0].Type.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != "Definition" {
		return false
	}
	from, ok := s.X.(*ast.Ident)
	return ok && from.Name == "plugin"
}
