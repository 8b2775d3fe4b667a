package machinetest_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/pacewire/pacewire/internal/machinetest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestNew(t *testing.T) {
	from := filepath.Join(t.TempDir(), "m.txt")
	text := "-- etc/name --\nweb-1\n--\n-- etc/link -> name --\n-- deep/er/file --\n"
	if err := os.WriteFile(from, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := machinetest.New(t, from)
	for name, want := range map[string]string{"etc/name": "web-1\n--\n", "etc/link": "web-1\n--\n", "deep/er/file": ""} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestUnprivileged(t *testing.T) {
	dir := t.TempDir()
	machinetest.Put(t, dir, "open", "1")
	machinetest.Put(t, dir, "closed", "1")
	machinetest.Forbid(t, dir, "closed")
	machinetest.Unprivileged(t, dir, func() {
		if _, err := os.ReadFile(filepath.Join(dir, "open")); err != nil {
			t.Error(err)
		}
		if _, err := os.ReadFile(filepath.Join(dir, "closed")); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("a file without permissions: %v", err)
		}
	})
}

// recorder is a test that keeps whether it has failed.
type recorder struct {
	testing.TB
	failed bool
}

func (*recorder) Helper() {}

func (r *recorder) Errorf(string, ...any) { r.failed = true }

// Facts whose keys are not sorted have another digest for who decodes and encodes them.
func TestShow(t *testing.T) {
	type sorted struct {
		A int `json:"a"`
		B int `json:"b"`
	}
	type unsorted struct {
		B int `json:"b"`
		A int `json:"a"`
	}
	f := func(value any, want bool) {
		t.Helper()
		r := &recorder{TB: t}
		if machinetest.Show(r, telemetry.Facts{"x": value}); r.failed != want {
			t.Errorf("%+v refused %v, want %v", value, r.failed, want)
		}
	}
	f(sorted{1, 2}, false)
	f(unsorted{1, 2}, true)
}
