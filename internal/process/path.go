package process

import (
	"errors"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strings"
)

// lookPath finds a program as a shell with the process's own environment would:
// the PATH given to a plugin decides which python3 it gets.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil // relative to Dir; starting it tells whether it is there
	}
	reason := exec.ErrNotFound
	for _, dir := range filepath.SplitList(searchPath(env)) {
		if !filepath.IsAbs(dir) {
			continue // "." and empty entries: never run what happens to lie here
		}
		path, err := exec.LookPath(filepath.Join(dir, name))
		if err == nil {
			return path, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			reason = fs.ErrPermission
		}
	}
	return "", &exec.Error{Name: name, Err: reason}
}

func searchPath(env []string) string {
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, entry := range env {
		if v, ok := strings.CutPrefix(entry, "PATH="); ok {
			path = v // the last one wins, as in os/exec
		}
	}
	return path
}
