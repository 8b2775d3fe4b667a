package main

import (
	"os/exec"
	"path/filepath"
)

// buildWithFailpoints builds the program with failpoints, and returns its path. After the first time the compiler has all it needs.
func (t *trial) buildWithFailpoints() string {
	if t.failpoints != "" {
		return t.failpoints
	}
	path := filepath.Join(t.dir, "pacewire-failpoint")
	out, err := exec.CommandContext(t.ctx, "go", "build", "-tags", "failpoint", "-o", path, "github.com/pacewire/pacewire/cmd/pacewire").CombinedOutput()
	if err != nil {
		t.fatalf("build a program with failpoints: %v\n%s", err, out)
	}
	return path
}
