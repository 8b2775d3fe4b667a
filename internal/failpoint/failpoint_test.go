//go:build failpoint

package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestActive(t *testing.T) {
	dir := t.TempDir()
	if Active(AckFirst) {
		t.Error("active without a folder")
	}
	t.Setenv("PACEWIRE_FAILPOINTS", dir)
	if Active(AckFirst) {
		t.Error("active without a file")
	}
	if err := os.WriteFile(filepath.Join(dir, AckFirst), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if !Active(AckFirst) || Active(SinkConfirmed) {
		t.Error("not active, or another one is")
	}
}

// One file is one death.
func TestDie(t *testing.T) {
	if os.Getenv("PACEWIRE_FAILPOINTS") != "" {
		Die(SinkConfirmed)
		return // alive
	}
	dir := t.TempDir()
	run := func() error {
		c := exec.Command(os.Args[0], "-test.run", "^TestDie$")
		c.Env = append(os.Environ(), "PACEWIRE_FAILPOINTS="+dir)
		return c.Run()
	}
	path := filepath.Join(dir, SinkConfirmed)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if e, ok := errors.AsType[*exec.ExitError](run()); !ok || e.ExitCode() != -1 {
		t.Errorf("it ended with %v, not by a signal", e)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the file is still there")
	}
	if err := run(); err != nil {
		t.Errorf("it died twice by one file: %v", err)
	}
}
