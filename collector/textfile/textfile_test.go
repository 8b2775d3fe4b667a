package textfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/collector/collectortest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestConform(t *testing.T) { plugintest.Conform(t, Define()) }

// collect returns the points of a folder with these files, as line protocol without times.
func collect(t *testing.T, dir string) []string {
	t.Helper()
	c, err := New(t.Context(), Config{Folders: plugin.Strings{dir}, MaxFile: 1000}, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	c.(*folder).clock = func() time.Time { return time.Unix(1763559525, 0) }
	return lines(collectortest.Collect(t, c, nil), dir)
}

func lines(points []telemetry.Point, dir string) (all []string) {
	for _, p := range points {
		var b telemetry.Batch
		b.Append(p)
		text, _ := strings.CutSuffix(string(b.AppendLines(nil)), " 1763559525000000000\n")
		all = append(all, strings.ReplaceAll(text, dir+"/", ""))
	}
	slices.Sort(all)
	return all
}

// write writes a file that was changed a minute ago.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	changed := time.Unix(1763559465, 0)
	if err := os.Chtimes(path, changed, changed); err != nil {
		t.Fatal(err)
	}
}

func TestCollect(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		dir := t.TempDir()
		write(t, dir, "a.prom", text)
		if got := collect(t, dir); !slices.Equal(got, want) {
			t.Errorf("%q:\n  %s\nwant\n  %s", text, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
		}
	}
	f("", "textfile,file=a.prom age=60,refused=0i,samples=0i")
	f("# TYPE a gauge\na{l=\"v\"} 1\nb 2\n", "a,l=v value=1", "b value=2", "textfile,file=a.prom age=60,refused=0i,samples=2i")
	f("a NaN\nb\nc 1\n", "c value=1", "textfile,file=a.prom age=60,refused=2i,samples=1i")
	f("a{host=\"other\"} 1\n", "a,exported_host=other value=1", "textfile,file=a.prom age=60,refused=0i,samples=1i")
	f("a 1\nb 23", `textfile,file=a.prom age=60,error="does not end with a line feed: it is not whole",refused=0i,samples=0i`)
	f("a 1\nb 2 1763559525000\n", `textfile,file=a.prom age=60,error="has a time with b: leave the times out",refused=0i,samples=0i`)
	f(strings.Repeat("a 1\n", 251), `textfile,file=a.prom age=60,error="has 1004 bytes, more than max_file_bytes"`)
}

// What is no whole file of samples, by its name or its kind, is left alone.
func TestOtherFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a.prom", "a 1\n")
	write(t, dir, "a.prom.123", "b 1\n")
	write(t, dir, ".c.prom", "c 1\n")
	write(t, dir, "d.txt", "d 1\n")
	if err := os.Mkdir(filepath.Join(dir, "sub.prom"), 0o700); err != nil {
		t.Fatal(err)
	}
	want := []string{"a value=1", "textfile,file=a.prom age=60,refused=0i,samples=1i", `textfile,file=sub.prom error="not a file"`}
	if got := collect(t, dir); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is left out is counted with what the plugin drops, and a file that is gone is forgotten.
func TestFaults(t *testing.T) {
	dir := t.TempDir()
	c, err := New(t.Context(), Config{Folders: plugin.Strings{dir}, MaxFile: 1000}, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	f := c.(*folder)
	look := func(faults int, dropped ...telemetry.Code) {
		t.Helper()
		var b telemetry.Batch
		if err := c.Collect(t.Context(), &b); err != nil || len(f.faults) != faults || b.Drops().Total() != len(dropped) {
			t.Errorf("%v, %v, %v; want %d faults", err, f.faults, b.Drops(), faults)
		}
		for _, code := range dropped {
			if b.Drops().Count(code) != 1 {
				t.Errorf("%v has no %v", b.Drops(), code)
			}
		}
	}
	write(t, dir, "a.prom", "a NaN\nb\nc 1\n")
	look(1, telemetry.CodeNaN, telemetry.CodeLine)
	write(t, dir, "b.prom", "cut off")
	look(2, telemetry.CodeNaN, telemetry.CodeLine)
	if err := errors.Join(os.Remove(filepath.Join(dir, "a.prom")), os.Remove(filepath.Join(dir, "b.prom"))); err != nil {
		t.Fatal(err)
	}
	look(0)
}

// A folder that is not there is an error; one that a glob does not find is none.
func TestFolders(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "sub"), "a.prom", "a 1\n")
	c, err := New(t.Context(), Config{Folders: plugin.Strings{dir + "/no", dir + "/s*", dir + "/n*", dir + "/sub/*.prom"}, MaxFile: 1000}, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	var b telemetry.Batch
	err = c.Collect(t.Context(), &b)
	if err == nil || b.Len() != 2 {
		t.Fatalf("%v, %d points", err, b.Len())
	}
	for _, want := range []string{dir + `/no": no folder is called so: make it`, dir + "/sub/a.prom is a file: name its folder"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestValidate(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	f(Config{Folders: plugin.Strings{"/a*"}, MaxFile: 1}, "")
	f(Config{MaxFile: 1}, "folders is empty: name one")
	f(Config{Folders: plugin.Strings{"/a["}, MaxFile: 1}, `folders "/a[": want a path`)
	f(Config{Folders: plugin.Strings{""}, MaxFile: 1}, `folders "": want a path`)
	f(Config{Folders: plugin.Strings{"/a"}}, "max_file_bytes 0: want 1 or more")
}
