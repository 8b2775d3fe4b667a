package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/internal/texttest"
)

// What was opened is what runs, whatever lies under its name by then.
func TestOpenFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	copyFile(t, "/bin/sh", path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	copyFile(t, "/bin/false", path+".new")
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	for range 3 { // it can be started again
		var out texttest.Buffer
		p := start(t, Command{Args: []string{"my-sh", "-c", `tr '\0' ' ' </proc/$$/cmdline`}, Env: []string{"PATH=" + os.Getenv("PATH")}, File: f, Stdout: &out})
		if e := ended(t, p); e.Code != 0 || !strings.HasPrefix(out.String(), "my-sh -c ") {
			t.Errorf("%v, command line %q", e, out.String())
		}
	}
}

func TestOpenFileThatIsNoProgram(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text")
	write(t, path, "hello", 0o644)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := Start(Command{Args: []string{"x"}, File: f}); p != nil || !os.IsPermission(err) && !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("%v, %v", p, err)
	}
	f.Close()
	if p, err := Start(Command{Args: []string{"x"}, File: f}); p != nil || err == nil || !strings.Contains(err.Error(), "run the open file "+path) {
		t.Errorf("a closed file: %v, %v", p, err)
	}
}
