package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who comes second to a folder is refused, changes nothing in it, and is told who was first.
func TestSecondOpener(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(dir, "web-1", machine("abc"))
	if err != nil {
		t.Fatal(err)
	}
	f := func(open func(dir, id string, probe Machine) (*Identity, error), who string) {
		t.Helper()
		_, err := open(dir, "web-2", machine("xyz"))
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), who) || !strings.Contains(err.Error(), "PACEWIRE_STATE") {
			t.Errorf("%v, want %s", err, who)
		}
		if n := content(t, dir); n.Gen != first.Gen() || n.ID != "web-1" {
			t.Errorf("the second one has written %+v", n)
		}
	}
	who := fmt.Sprint("process ", os.Getpid(), " (", filepath.Join(dir, lockName), ")")
	f(Open, who)
	f(OpenAs, who)
	if err := first.Raise(7); err != nil {
		t.Error(err)
	}
	f(Open, who)
	if err := os.Truncate(filepath.Join(dir, lockName), 0); err != nil {
		t.Fatal(err)
	}
	f(Open, "a process that has just started")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	if i := opened(t, dir, "web-1", machine("abc")); i.Gen() != 8 {
		t.Errorf("start %d", i.Gen())
	}
}

// A start that is refused leaves the folder to the next one.
func TestLockAfterFault(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	for range 2 {
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, "web-1", Machine{}); err == nil || errors.Is(err, ErrInUse) {
			t.Error(err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	opened(t, dir, "web-1", Machine{})
}

func TestLockDenied(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, lockName), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "web-1", Machine{}); err == nil || !strings.Contains(err.Error(), lockName) {
		t.Error(err)
	}
}
