package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
)

// configuring writes a config and what was loaded besides, and returns what an agent makes of them.
func configuring(t *testing.T, text string, loaded map[string]string) (said *bytes.Buffer, configure func() (*configured, error)) {
	t.Helper()
	place(t)
	if err := os.WriteFile("c.yaml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range loaded {
		if err := (config.Piece{Plugin: name, Text: []byte(text)}).Write(loadedDir()); err != nil {
			t.Fatal(err)
		}
	}
	said = new(bytes.Buffer)
	a := &app{err: said, found: newFinder()}
	t.Cleanup(a.found.close)
	return said, func() (*configured, error) { return a.configure(configured{named: []string{"c.yaml"}}, true) }
}

// An agent whose clock may be late begins with a start that seems to be in the future; a reload and validate refuse it.
func TestStartInTheFuture(t *testing.T) {
	_, configure := configuring(t, "collect: { host: }\npublish: { out: { use: lines, from: host, start: 2200-01-01T00:00:00Z } }\n", nil)
	refused := func(who string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "start: 2200-01-01T00:00:00Z is in the future") {
			t.Errorf("%s: %v", who, err)
		}
	}
	c, err := configure()
	refused("validate", err)
	c, err = c.app.configure(configured{named: []string{"c.yaml"}, options: lenient}, true)
	if err != nil || len(c.Warnings) != 1 {
		t.Fatalf("%+v, %v; want a warning", c, err)
	}
	_, err = c.forHost().Join(c.files)
	refused("reload", err)
}

// What was loaded into an agent before and does not fit any more is left out, and told; all else is taken up.
func TestLoadedPieceThatDoesNotFit(t *testing.T) {
	const files = "collect: { host: }\npublish: { out: { use: lines, from: host } }\n"
	f := func(text string, loaded map[string]string, want, leftOut []string) {
		t.Helper()
		said, configure := configuring(t, text, loaded)
		c, err := configure()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range c.pieces {
			got = append(got, p.Plugin)
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("taken up: %q, want %q", got, want)
		}
		for _, name := range want {
			if !slices.ContainsFunc(c.Plugins, func(p config.Plugin) bool { return p.Name == name }) {
				t.Errorf("there is no %s: %+v", name, c.Plugins)
			}
		}
		if n := strings.Count(said.String(), `"level":"ERROR"`); n != len(leftOut) {
			t.Errorf("%d errors, want %d: %s", n, len(leftOut), said)
		}
		for _, name := range leftOut {
			file := filepath.Join(loadedDir(), name+".yaml")
			for _, part := range []string{`"file":"` + file + `"`, file + ":2:", "pacewire plugin unload " + name} {
				if !strings.Contains(said.String(), part) {
					t.Errorf("%s is not told: %s", part, said)
				}
			}
			if _, err := os.Stat(file); err != nil {
				t.Error(err)
			}
		}
	}
	good, bad := "collect: { more: { use: host } }\n", "collect: { gone: { use: hsot } }\n"
	f(files, nil, nil, nil)
	f(files, map[string]string{"more": good}, []string{"more"}, nil)
	f(files, map[string]string{"gone": bad}, nil, []string{"gone"})
	f(files, map[string]string{"gone": bad, "more": good}, []string{"more"}, []string{"gone"})
	f(files, map[string]string{"host": "collect: { host: { only: [load] } }\n"}, nil, []string{"host"}) // it is in the files by now
	f(files, map[string]string{"more": "collect: { mo"}, nil, []string{"more"})

	// One that reads what is not there goes with it; one that reads what comes later does not.
	reads := "process: { a: { use: filter, from: z, keep: \"fields.v > 0\" } }\n"
	f(files, map[string]string{"a": reads, "b": "collect: { b: { use: hsot } }\n", "z": "collect: { z: { use: host } }\n"}, []string{"a", "z"}, []string{"b"})
	f(files, map[string]string{"a": reads, "z": "collect: { z: { use: hsot } }\n"}, nil, []string{"a", "z"})

	// The settings of a built-in count too.
	f(files, map[string]string{"a": "process: { a: { use: filter, from: host, keep: \"fields.v >\" } }\n"}, nil, []string{"a"})

	// Files that read what was loaded are good as long as that is.
	f("publish: { out: { use: lines, from: more } }\n", map[string]string{"gone": bad, "more": good}, []string{"more"}, []string{"gone"})
}

// Faults of the files end the agent, whatever was loaded.
func TestLoadedPiecesAndBadFiles(t *testing.T) {
	said, configure := configuring(t, "collect: { hsot: }\n", map[string]string{"gone": "collect: { gone: { use: nothing } }\n"})
	_, err := configure()
	if codeOf(err) != exitConfig || !strings.Contains(err.Error(), "c.yaml:1:12: ") || strings.Contains(err.Error(), "gone") || said.Len() > 0 {
		t.Errorf("%v; %s", err, said)
	}
}

// The config is read by who watches its files and by who reloads, at a time.
func TestReadBySeveral(t *testing.T) {
	_, configure := configuring(t, "collect: { host: }\npublish: { out: { use: lines, from: host } }\n", nil)
	c, err := configure()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if files, err := c.forHost().Read(); err != nil || len(files) != 1 || stamp(c) == "" || c.from != "c.yaml" {
				t.Errorf("%v, %v, %q", files, err, c.from)
			}
		})
	}
	wg.Wait()
}
