package nagios

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// becomes makes a status another one.
func becomes(is status) func(*status) { return func(s *status) { *s = is } }

func TestMemory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "there")
	m := remember(dir, slog.Default())
	m.change("a", becomes(status{Hard: "CRITICAL", Attempt: 3, Incident: "1"}))
	m.change("b", becomes(status{Hard: "OK"}))
	again := remember(dir, slog.Default())
	if got := again.of("a"); !reflect.DeepEqual(got, status{Hard: "CRITICAL", Attempt: 3, Incident: "1"}) {
		t.Errorf("%+v", got)
	}
	if got := again.others(map[string]Check{"b": {}, "c": {}}); !slices.Equal(got, []string{"a"}) {
		t.Errorf("%q are known and not in the config", got)
	}
	again.change("a", becomes(status{}))
	if got := remember(dir, slog.Default()).others(nil); !slices.Equal(got, []string{"b"}) {
		t.Errorf("%q are known", got)
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
	m := remember(dir, log)
	if !reflect.DeepEqual(m.of("a"), status{}) || strings.Count(said.String(), "not read") != 1 {
		t.Errorf("%+v, said %s", m.of("a"), said.String())
	}
	for _, text := range []string{"null", "[]", `{"a": 1}`, "", "\x00\xff"} {
		if err := os.WriteFile(filepath.Join(dir, "checks.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m := remember(dir, log)
		m.change("a", becomes(status{Hard: "OK"}))
		if got := remember(dir, log).of("a"); got.Hard != "OK" {
			t.Errorf("after %q: %+v", text, got)
		}
	}
	file := filepath.Join(dir, "checks.json", "below a file")
	m = remember(file, log)
	said.Reset()
	m.change("a", becomes(status{Hard: "OK"}))
	m.change("a", becomes(status{Hard: "OK"}))
	m.change("a", becomes(status{Hard: "WARNING"}))
	if m.of("a").Hard != "WARNING" || strings.Count(said.String(), "not kept") != 1 {
		t.Errorf("%+v, said %s", m.of("a"), said.String())
	}
}
