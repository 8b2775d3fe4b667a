package deps

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestSize builds binaries as they are shipped. One that outgrows its limit links something it should not: nats-server in a
// plugin shows as 10 MB.
func TestSize(t *testing.T) {
	f := func(pkg string, limit float64) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "binary")
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, pkg)
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("build %s: %v\n%s", pkg, err, out)
			return
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		size := float64(info.Size()) / 1e6
		t.Logf("%s: %.1f MB of %.1f", pkg, size, limit)
		if size > limit {
			t.Errorf("%s has %.1f MB, want at most %.1f: see what it links with go tool nm -size -sort size", pkg, size, limit)
		}
	}
	f("./cmd/pacewire", 34.5)
	f("./internal/deps/testdata/light", 8.7)
}
