package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a test that keeps what it is told. It has no Fatal: Equal must not need one here.
type recorder struct {
	testing.TB
	told string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) { r.told += fmt.Sprintf(format, args...) }

func TestEqual(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.golden")
	if err := os.WriteFile(path, []byte("one\ntwo\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(path, got string, want ...string) {
		t.Helper()
		var r recorder
		Equal(&r, path, []byte(got))
		if len(want) == 0 && r.told != "" {
			t.Errorf("%q: told %q", got, r.told)
		}
		for _, w := range want {
			if !strings.Contains(r.told, w) {
				t.Errorf("%q: told %q, want %q in it", got, r.told, w)
			}
		}
	}
	f(path, "one\ntwo\n")
	f(path, "one\ntoo\n", "line 2", "-update", "one\ntwo\n", "one\ntoo\n")
	f(path, "one\ntwo\nthree\n", "line 3")
	f(path, "", "line 1")
	f(filepath.Join(t.TempDir(), "missing"), "one\n", "no such file", "-update")
}

func TestUpdate(t *testing.T) {
	*update = true
	t.Cleanup(func() { *update = false })
	path := filepath.Join(t.TempDir(), "new", "a.golden")
	for _, text := range []string{"one\n", "two\n"} {
		Equal(t, path, []byte(text))
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("after -update: %q, %v; want %q", got, err, text)
		}
	}
}
