// Package golden compares what a test got with a file, and rewrites the file on demand.
package golden

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files with what the tests get")

// Equal fails the test where the file at path does not hold got. With "go test -update" it writes got to the file instead,
// which it makes where it is missing.
func Equal(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		write(t, path, got)
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Errorf("%v: go test -update writes it", err)
		return
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: line %d differs; go test -update accepts it\ngot\n%s\nwant\n%s", path, line(got, want), got, want)
	}
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// line returns the number of the first line in which a and b differ.
func line(a, b []byte) int {
	same := 0
	for same < len(a) && same < len(b) && a[same] == b[same] {
		same++
	}
	return 1 + bytes.Count(a[:same], []byte("\n"))
}
