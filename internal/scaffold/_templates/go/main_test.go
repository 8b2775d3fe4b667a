package main

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The plugin keeps what every KIND promises: pacewire conform --list names it. PACEWIRE_BINARY is a pacewire that is not on PATH.
func TestConform(t *testing.T) {
	program := filepath.Join(t.TempDir(), "my-plugin")
	run(t, "go", "build", "-o", program, ".")
	run(t, cmp.Or(os.Getenv("PACEWIRE_BINARY"), "pacewire"), "conform", "--kind", "KIND", "--", program)
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}
