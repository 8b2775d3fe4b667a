package host

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFile(t *testing.T) {
	f := &file{path: filepath.Join(t.TempDir(), "stat")}
	t.Cleanup(f.close)
	read := func(fresh bool, want string) {
		t.Helper()
		f.fresh = f.fresh && fresh
		if got, err := f.text(); err != nil || string(got) != want {
			t.Errorf("text of %d bytes, %v; want %d bytes", len(got), err, len(want))
		}
	}
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.text(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), f.path) {
		t.Errorf("missing file: %v", err)
	}
	write("one")
	read(false, "one")
	write("another")
	read(true, "one") // the same collection
	read(false, "another")
	long := strings.Repeat("0123456789abcdef", 1000)
	write(long)
	read(false, long)
	write("")
	read(false, "")
}

// A file that fails is opened again: it may be another one by then.
func TestFileComesBack(t *testing.T) {
	dir := t.TempDir()
	f := &file{path: filepath.Join(dir, "stat")}
	t.Cleanup(f.close)
	if err := os.Mkdir(f.path, 0o700); err != nil {
		t.Fatal(err)
	}
	if text, err := f.text(); err == nil {
		t.Fatalf("text of a folder: %q", text)
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.path, []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := f.text(); err != nil || string(got) != "one" {
		t.Errorf("text = %q, %v; want one", got, err)
	}
}

func TestFileLimit(t *testing.T) {
	f := &file{path: filepath.Join(t.TempDir(), "stat")}
	t.Cleanup(f.close)
	if err := os.WriteFile(f.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(f.path, maxText+1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := f.text(); err == nil || !strings.Contains(err.Error(), f.path+": more than 16 MiB") {
		t.Errorf("file of 17 MiB: %v", err)
	}
}
