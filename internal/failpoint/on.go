//go:build failpoint

package failpoint

import (
	"os"
	"path/filepath"
)

// Active reports whether a failpoint is active.
func Active(name string) bool {
	path, ok := file(name)
	if !ok {
		return false
	}
	_, err := os.Stat(path)
	return err == nil
}

// Die kills this process when a failpoint is active, which it is no longer then.
func Die(name string) {
	path, ok := file(name)
	if !ok || os.Remove(path) != nil {
		return
	}
	if self, err := os.FindProcess(os.Getpid()); err == nil {
		_ = self.Kill()
	}
	select {} // the signal is on its way
}

func file(name string) (path string, ok bool) {
	dir := os.Getenv("PACEWIRE_FAILPOINTS")
	return filepath.Join(dir, name), dir != ""
}
