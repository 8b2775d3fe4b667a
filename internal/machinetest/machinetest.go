// Package machinetest makes machines for the tests of collectors that read files.
package machinetest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// New returns a folder with the files of a machine. They are told by the text file at path, in which a line "-- name --" begins a
// file, and a line "-- name -> target --" is a link.
func New(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name, content := "", ""
	put := func() {
		if from, target, ok := strings.Cut(name, " -> "); ok {
			Link(t, dir, from, target)
		} else if name != "" {
			Put(t, dir, name, content)
		}
	}
	for line := range strings.Lines(string(text)) {
		next, ok := heading(line)
		if !ok {
			content += line
			continue
		}
		put()
		name, content = next, ""
	}
	put()
	return dir
}

// heading returns the name in a line that begins a file.
func heading(line string) (string, bool) {
	line = strings.TrimSpace(line)
	return strings.TrimSuffix(strings.TrimPrefix(line, "-- "), " --"), strings.HasPrefix(line, "-- ") && strings.HasSuffix(line, " --")
}

// Put writes a file of a machine; in its text, \0 is a zero byte.
func Put(t testing.TB, dir, name, text string) {
	t.Helper()
	path := place(t, dir, name)
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, `\0`, "\x00")), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Link makes a symbolic link of a machine.
func Link(t testing.TB, dir, name, target string) {
	t.Helper()
	if err := os.Symlink(target, place(t, dir, name)); err != nil {
		t.Fatal(err)
	}
}

// place returns the path of a file that is not there, in a folder that is.
func place(t testing.TB, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// Show returns facts as a file of testdata holds them. It fails the test where two encodings of them differ: one of the facts,
// and one of what a reader made of them.
func Show(t testing.TB, facts telemetry.Facts) []byte {
	t.Helper()
	text, err := facts.Encode(telemetry.JSON)
	if err != nil {
		t.Fatal(err)
	}
	var read telemetry.Facts
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	again, err := read.Encode(telemetry.JSON)
	if err != nil || !bytes.Equal(again, text) {
		t.Errorf("facts have another digest when read and written again: keys are not sorted\n%s\n%s", text, again)
	}
	var shown bytes.Buffer
	if err := json.Indent(&shown, text, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(shown.Bytes(), '\n')
}
