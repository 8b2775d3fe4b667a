package nagios

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	checks := map[string]Check{"a": {}, "b": {}}
	m := remember(dir, checks, slog.Default())
	m.keep("a", status{Hard: "CRITICAL", Attempt: 3, Incident: "1"})
	m.keep("b", status{Hard: "OK"})
	again := remember(dir, checks, slog.Default())
	if got := again.of("a"); got != (status{Hard: "CRITICAL", Attempt: 3, Incident: "1"}) {
		t.Errorf("%+v", got)
	}
	delete(checks, "a")
	if got := remember(dir, checks, slog.Default()).of("a"); got != (status{}) {
		t.Errorf("a check that is gone is known: %+v", got)
	}
}

// What cannot be read, or not be written, is told once and hinders no check.
func TestMemoryFails(t *testing.T) {
	var said bytes.Buffer
	log := slog.New(slog.NewTextHandler(&said, nil))
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "checks.json"), []byte(`{"a":`), 0o600); err != nil {
		t.Fatal(err)
	}
	m := remember(dir, map[string]Check{"a": {}}, log)
	if m.of("a") != (status{}) || strings.Count(said.String(), "not read") != 1 {
		t.Errorf("%+v, said %s", m.of("a"), said.String())
	}
	file := filepath.Join(dir, "checks.json", "below a file")
	m = remember(file, map[string]Check{"a": {}}, log)
	said.Reset()
	m.keep("a", status{Hard: "OK"})
	m.keep("a", status{Hard: "OK"})
	m.keep("a", status{Hard: "WARNING"})
	if m.of("a").Hard != "WARNING" || strings.Count(said.String(), "not kept") != 1 {
		t.Errorf("%+v, said %s", m.of("a"), said.String())
	}
}
