package sdk

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is embedded is what stands in the tree, with nothing that belongs to its tests.
func TestFiles(t *testing.T) {
	f := func(files fs.FS, dir, ext string, want ...string) {
		t.Helper()
		for _, name := range want {
			if _, err := fs.Stat(files, name); err != nil {
				t.Error(err)
			}
		}
		there := 0
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if d != nil && d.IsDir() && (d.Name() == "node_modules" || d.Name() == "test" || d.Name() == "examples") {
				return filepath.SkipDir
			}
			if err != nil || d.IsDir() || filepath.Ext(path) != ext {
				return err
			}
			there++
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, _ := filepath.Rel(dir, path)
			if has, err := fs.ReadFile(files, filepath.ToSlash(name)); err != nil || string(has) != string(text) {
				t.Errorf("%s is not embedded as it is: %v", path, err)
			}
			return nil
		})
		if err != nil || there == 0 {
			t.Errorf("%s: %d files, %v", dir, there, err)
		}
		_ = fs.WalkDir(files, ".", func(name string, _ fs.DirEntry, _ error) error {
			if strings.Contains(name, "test") || strings.Contains(name, "__pycache__") || strings.Contains(name, "node_modules") {
				t.Errorf("%s is embedded", name)
			}
			return nil
		})
	}
	f(Python(), "python/pacewire", ".py", "__init__.py", "py.typed")
	f(Node(), "node", ".mjs", "pacewire.mjs", "package.json")
}
