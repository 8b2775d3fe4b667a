package main

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
)

// Who runs pacewire up beside a config of his own, and does not name it, is told.
func TestOverlooked(t *testing.T) {
	place(t)
	f := func(runs string, warns bool) {
		t.Helper()
		c := configured{files: []config.Source{{Name: runs}}}
		var said bytes.Buffer
		c.overlooked(slog.New(slog.NewTextHandler(&said, nil)))
		if strings.Contains(said.String(), "pacewire up -c pacewire.yaml") != warns {
			t.Errorf("%s: %s", runs, &said)
		}
	}
	f(starterName, false)
	if err := os.WriteFile("pacewire.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f(starterName, true)
	f("pacewire.yaml", false)
}
