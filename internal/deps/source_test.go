package deps

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is where the tree begins, seen from this folder.
const root = "../.."

// A source is what the files of a package say, whatever system they are for.
type source struct {
	path        string // below the module
	name        string
	comments    []string // before the package clause, one of each file that has one
	imports     []string // of its code
	testImports []string // of its tests
	inits       []string // where it has functions init
}

// packages returns all packages of the tree.
func packages(t *testing.T) []*source {
	t.Helper()
	found := map[string]*source{}
	err := filepath.WalkDir(root, func(file string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && file != root && (name == "testdata" || name[0] == '.' || name[0] == '_') {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(file) != ".go" {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		path := filepath.ToSlash(dir)
		if found[path] == nil {
			found[path] = &source{path: path}
		}
		return found[path].read(file)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 20 {
		t.Fatalf("%d packages below %s: not the tree", len(found), root)
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *source) int { return strings.Compare(a.path, b.path) })
}

// read adds a file.
func (s *source) read(file string) error {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	s.name = strings.TrimSuffix(f.Name.Name, "_test")
	if f.Doc != nil {
		s.comments = append(s.comments, new(doc.Package).Synopsis(f.Doc.Text()))
	}
	for _, i := range f.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			return err
		}
		if strings.HasSuffix(file, "_test.go") {
			s.testImports = append(s.testImports, name)
		} else {
			s.imports = append(s.imports, name)
		}
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			s.inits = append(s.inits, fset.Position(fn.Pos()).String())
		}
	}
	return nil
}

func TestComments(t *testing.T) {
	for _, p := range packages(t) {
		want := "Package " + p.name + " "
		if p.name == "main" {
			want = "Command " + filepath.Base(p.path) + " "
		}
		switch {
		case len(p.comments) != 1:
			t.Errorf("%s has %d package comments, want one: %q", p.path, len(p.comments), p.comments)
		case !strings.HasPrefix(p.comments[0], want) || !strings.HasSuffix(p.comments[0], "."):
			t.Errorf("%s: package comment %q, want a sentence that begins with %q", p.path, p.comments[0], want)
		}
	}
}

func TestNoInit(t *testing.T) {
	for _, p := range packages(t) {
		for _, place := range p.inits {
			t.Errorf("%s: a function init: what it prepares belongs to who needs it", place)
		}
	}
}
