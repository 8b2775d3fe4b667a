package lab

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// program is a place whose program is a script.
func program(t *testing.T, script string) Place {
	t.Helper()
	dir := t.TempDir()
	p, err := NewPlace(filepath.Join(dir, "place"), filepath.Join(dir, "program"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Binary, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPlace(t *testing.T) {
	p := program(t, `echo "$PACEWIRE_STATE $PACEWIRE_RUN $MORE $@"; [ "$1" = good ] || { echo no such verb >&2; exit 64; }`)
	p.Env = []string{"MORE=more"}
	t.Setenv("PACEWIRE_BUS", "nats://elsewhere")
	out, err := p.Verb(t.Context(), "good", "a")
	if want := p.Path("state") + " " + p.Path("run") + " more good a\n"; err != nil || string(out) != want {
		t.Errorf("verb: %q, %v; want %q", out, err, want)
	}
	for _, entry := range p.Command(t.Context()).Env {
		if strings.HasPrefix(entry, "PACEWIRE_BUS=") {
			t.Errorf("it inherits %s", entry)
		}
	}
	if _, err := p.Verb(t.Context(), "bad"); err == nil || !strings.Contains(err.Error(), "pacewire bad: exit status 64: no such verb") {
		t.Errorf("a verb that fails: %v", err)
	}
	if path, err := p.Write("x", "text"); err != nil || path != p.Path("x") {
		t.Errorf("write: %s, %v", path, err)
	}
	if _, err := NewPlace(p.Dir, p.Binary); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(p.Path("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the place is not empty: %v", err)
	}
}

func TestPlugins(t *testing.T) {
	f := func(out string, running bool, want map[string]Plugin) {
		t.Helper()
		p := program(t, "cat <<'EOT'\n"+out+"\nEOT\n")
		got, err := p.Plugins(t.Context())
		if len(got) != len(want) || (AllRunning(got, err) == nil) != running {
			t.Errorf("%s: %v, %v", out, got, AllRunning(got, err))
		}
		for name, one := range want {
			if got[name] != one {
				t.Errorf("%s is %+v, want %+v", name, got[name], one)
			}
		}
	}
	f(`[{"name":"a","state":"running","pid":7,"restarts":1}]`, true, map[string]Plugin{"a": {Name: "a", State: "running", PID: 7, Restarts: 1}})
	f(`[{"name":"a","state":"failed","reason":"it cannot"}]`, false, map[string]Plugin{"a": {Name: "a", State: "failed", Reason: "it cannot"}})
	f(`[]`, false, nil)
	f(`nonsense`, false, nil)
}

func TestNote(t *testing.T) {
	p := program(t, "")
	if _, _, err := p.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "note of the agent") {
		t.Errorf("without a note: %v", err)
	}
	if err := os.MkdirAll(p.Path("run"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write("run/agent.json", `{"url":"nats://x","creds":"y","host":"h","pid":3}`); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Note(); err != nil || n != (Note{URL: "nats://x", Creds: "y", Host: "h", PID: 3}) {
		t.Errorf("%+v, %v", n, err)
	}
}
