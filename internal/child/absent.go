package child

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// explained adds to an error of starting a command what a person can do about it.
func explained(command []string, err error) error {
	if way := wayOut(command, err); way != "" {
		return fmt.Errorf("%w: %s", err, way)
	}
	return err
}

func wayOut(command []string, err error) string {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "install it, or write its whole path"
	case errors.Is(err, fs.ErrNotExist):
		if _, statErr := os.Stat(command[0]); statErr == nil {
			return "the file is there, but not the interpreter that its first line names"
		}
		if filepath.IsAbs(command[0]) {
			return "install it, or write the whole path of where it is"
		}
		return "write the whole path: an agent works in a folder of its own"
	case errors.Is(err, fs.ErrPermission):
		if _, lookErr := exec.LookPath(command[0]); lookErr == nil {
			return "it is executable, but its user may not run it, or may not enter the folder it works in"
		}
		return "make it executable with chmod +x, or run its interpreter, such as sh " + command[0]
	case errors.Is(err, syscall.ETXTBSY):
		return "somebody writes to it just now: put a new one in its place by renaming that"
	case errors.Is(err, syscall.ENOEXEC):
		return "it is no program, or a script whose first line is not like #!/bin/sh"
	}
	return ""
}
