package child

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What cannot be started is told with the reason, which can be asked for, and with a way out.
func TestAbsent(t *testing.T) {
	file := func(text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	f := func(program string, want error, says string) {
		t.Helper()
		s := Spec{Command: []string{program}}
		_, err := Run(t.Context(), s, nil, 0, 0)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), program) {
			t.Errorf("run %s: %v, want %v and %q", program, err, want, says)
		}
		if _, err := Start(s); !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
			t.Errorf("start %s: %v, want %v and %q", program, err, want, says)
		}
	}
	f("no-such-program-anywhere", exec.ErrNotFound, "install it, or write its whole path")
	f("/no/such/program", fs.ErrNotExist, "install it, or write the whole path of where it is")
	f("./no-such-program", fs.ErrNotExist, "write the whole path: an agent works in a folder of its own")
	f(file("#!/no/such/interpreter\n", 0o700), fs.ErrNotExist, "the file is there, but not the interpreter")
	f(file("", 0o600), fs.ErrPermission, "chmod +x")
	f(file("echo hello\n", 0o700), syscall.ENOEXEC, "#!/bin/sh")
}

// A program that somebody writes to cannot be started.
func TestBusy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "busy")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := Run(t.Context(), Spec{Command: []string{path}}, nil, 0, 0); !errors.Is(err, syscall.ETXTBSY) || !strings.Contains(err.Error(), "by renaming") {
		t.Errorf("%v", err)
	}
}

// Another user may not be allowed to enter the folder we are in, such as the home of root.
func TestUserWorksElsewhere(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root runs programs as somebody else")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	r, err := Run(t.Context(), Spec{Command: []string{"/bin/pwd"}, User: "nobody"}, nil, 100, 0)
	if err != nil || string(r.Stdout) != "/\n" {
		t.Errorf("works in %q: %v", r.Stdout, err)
	}
	if _, err := Run(t.Context(), Spec{Command: []string{"pwd"}, User: "nobody", Dir: dir}, nil, 100, 0); err == nil || !strings.Contains(err.Error(), "may not enter the folder it works in") {
		t.Errorf("in a folder of ours: %v", err)
	}
}
