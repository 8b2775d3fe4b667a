package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Places returns where the main file and the folder of further files are by default: below /etc for
// root, else in the user's own config folder.
func Places(root bool, environ func(string) (string, bool)) (main, confd string) {
	dir := "/etc/pacewire"
	if !root {
		dir = userDir(environ, "XDG_CONFIG_HOME", ".config")
	}
	return filepath.Join(dir, "pacewire.yaml"), filepath.Join(dir, "conf.d")
}

// userDir returns our folder in one of the user's, which a variable names.
func userDir(environ func(string) (string, bool), variable, usual string) string {
	// The standard of these folders says that a relative path is to be ignored.
	if dir, _ := environ(variable); filepath.IsAbs(dir) {
		return filepath.Join(dir, "pacewire")
	}
	home, _ := environ("HOME")
	return filepath.Join(home, usual, "pacewire")
}

// PluginDirs returns where programs are looked for when the config names no folder: those of the machine for root, else the
// user's own. Of two programs of one name the first is taken.
func PluginDirs(root bool, environ func(string) (string, bool)) []string {
	if root {
		return []string{"/usr/local/lib/pacewire/plugins", "/usr/lib/pacewire/plugins"}
	}
	return []string{filepath.Join(userDir(environ, "XDG_DATA_HOME", ".local/share"), "plugins")}
}

// ConfD lists the files of a conf.d folder in the order in which they count. A folder that is not
// there holds none.
func ConfD(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("read config folder: %w", err)
	}
	var files []string
	for _, e := range list {
		if name := e.Name(); strings.HasSuffix(name, ".yaml") && !strings.HasPrefix(name, ".") && !e.IsDir() {
			files = append(files, filepath.Join(dir, name))
		}
	}
	slices.Sort(files)
	return files, nil
}

// readFile reads a little more than a config may hold, so that a wrong path cannot fill the memory.
func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}
