//go:build !failpoint

package failpoint

import (
	"os"
	"path/filepath"
	"testing"
)

// Nobody can harm a program that is built as users get it.
func TestOff(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PACEWIRE_FAILPOINTS", dir)
	for _, name := range []string{AckFirst, SinkConfirmed} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if Die(name); Active(name) {
			t.Errorf("%s is active", name)
		}
	}
}
