package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writers are both ways to write a file.
var writers = map[string]func(path string, text []byte, perm fs.FileMode) error{"Write": Write, "Swap": Swap}

// holds checks what is in a file, and that nothing is beside it.
func holds(t *testing.T, path, want string) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || string(got) != want {
		t.Errorf("the file has %q, %v; want %q", got, err, want)
	}
	if all, err := os.ReadDir(filepath.Dir(path)); err != nil || len(all) != 1 {
		t.Errorf("the folder has %v, %v", all, err)
	}
}

func TestWrite(t *testing.T) {
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "file")
			f := func(text string, perm fs.FileMode) {
				t.Helper()
				if err := write(path, []byte(text), perm); err != nil {
					t.Error(err)
				}
				holds(t, path, text)
				if is, err := os.Stat(path); err != nil || is.Mode() != perm {
					t.Errorf("%v, %v; want the permissions %v", is, err, perm)
				}
			}
			f("a new file", 0o600)
			f("short", 0o600)
			f("", 0o600)
			f("what others might read once", 0o400)
			f("what only its owner could read", 0o600)
			if err := os.WriteFile(path+Ending, []byte("longer than what comes, of who was killed"), 0o600); err != nil {
				t.Fatal(err)
			}
			f("after one that was killed", 0o600)
		})
	}
}

// Who has the old file open goes on in it.
func TestWriteLeavesReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	old, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if err := Write(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := make([]byte, 4)
	if n, _ := old.Read(text); string(text[:n]) != "old" {
		t.Errorf("a reader has %q", text[:n])
	}
	holds(t, path, "new")
}

// What goes wrong leaves the file as it was, and nothing beside it.
func TestFails(t *testing.T) {
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			f := func(what string, harm func(path string) error) {
				t.Helper()
				path := filepath.Join(t.TempDir(), "file")
				if err := errors.Join(os.WriteFile(path, []byte("old"), 0o600), harm(path)); err != nil {
					t.Fatal(err)
				}
				if err := write(path, []byte("new"), 0o600); err == nil || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v", what, err)
				}
				holds(t, path, "old")
			}
			f("a folder where it writes", func(path string) error { return os.Mkdir(path+Ending, 0o700) })
			if _, err := os.Stat("/dev/full"); err == nil {
				f("a full disk", func(path string) error { return os.Symlink("/dev/full", path+Ending) })
			}

			dir := t.TempDir()
			if err := write(dir, []byte("new"), 0o600); err == nil {
				t.Error("a folder was replaced")
			}
			if _, err := os.Stat(dir + Ending); err == nil {
				t.Error("half a file is left")
			}
			if err := write(filepath.Join(dir, "none", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("in no folder: %v", err)
			}
		})
	}
	failed := errors.New("the disk is gone")
	path := filepath.Join(t.TempDir(), "file")
	if err := Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := replace(path, []byte("new"), 0o600, func(*os.File) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("%v, want %v", err, failed)
	}
	holds(t, path, "old")
}

// inChild names the file that the process of a test is to write without end.
const inChild = "ATOMICFILE_OF_CHILD"

// large is a text of one letter, larger than what is written at once.
func large(letter byte) []byte { return bytes.Repeat([]byte{letter}, 1<<20) }

// TestKilled kills a process in the middle of its writes: the file is whole.
func TestKilled(t *testing.T) {
	if path := os.Getenv(inChild); path != "" {
		for i := byte(0); Swap(path, large('a'+i%26), 0o600) == nil; i++ {
		}
		t.Fatal("it cannot write")
	}
	path := filepath.Join(t.TempDir(), "file")
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestKilled$")
	c.Env = append(os.Environ(), inChild+"="+path)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	seen := map[byte]bool{}
	for end := time.Now().Add(time.Minute); len(seen) < 5 && time.Now().Before(end); {
		if text, err := os.ReadFile(path); err == nil {
			seen[whole(t, text)] = true
		}
	}
	if err := c.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = c.Wait() // it was killed
	if len(seen) < 5 {
		t.Fatalf("it has written %d texts", len(seen))
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole(t, text)
	if err := Write(path, []byte("next"), 0o600); err != nil {
		t.Error(err)
	}
	holds(t, path, "next")
}

// whole checks that a text is one that was written, and returns its letter.
func whole(t *testing.T, text []byte) byte {
	t.Helper()
	if len(text) == 0 || !bytes.Equal(text, large(text[0])) {
		t.Errorf("half a file: %d bytes of %d", len(text), 1<<20)
		return 0
	}
	return text[0]
}
