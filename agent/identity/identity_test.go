package identity

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// machine returns a machine whose facts are the letters of text; _ is an unknown one.
func machine(text string) Machine {
	f := func(i int) string {
		if text[i] == '_' {
			return ""
		}
		return digest("test", text[i:i+1])
	}
	return Machine{f(0), f(1), f(2)}
}

// opened opens an identity that is expected to open, as an agent that has ended since.
func opened(t *testing.T, dir, name string, m Machine) *Identity {
	t.Helper()
	i, err := Open(dir, name, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	return i
}

// content returns the file of an identity.
func content(t *testing.T, dir string) note {
	t.Helper()
	n, err := read(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	i := opened(t, dir, " Web-1.Example.ORG ", machine("abc"))
	if i.ID != "web-1.example.org" || i.Gen() != 1 || i.Cloned() || i.Notice != "" {
		t.Errorf("%+v", i)
	}
	i = opened(t, dir, "renamed", machine("abc")) // a name is not an id
	if i.ID != "web-1.example.org" || i.Gen() != 2 || i.Cloned() || i.Notice != "" {
		t.Errorf("%+v", i)
	}
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	text, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil || !json.Valid(text) {
		t.Errorf("%s, %v", text, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 2 { // and the lock
		t.Errorf("%q", left)
	}
}

func TestNames(t *testing.T) {
	f := func(name, fault string) {
		t.Helper()
		dir := t.TempDir()
		if _, err := Open(dir, name, Machine{}); err == nil || !strings.Contains(err.Error(), fault) || !strings.Contains(err.Error(), "host:") {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := OpenAs(dir, name, Machine{}); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%q as an id: %v", name, err)
		}
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("%q leaves %v", name, left)
		}
	}
	f("", "it is empty")
	f("a b", "blanks")
	f("a\x1b", "nobody sees")
	f("a\xff", "nobody sees")
	f(strings.Repeat("x", 256), "at most 255")
}

// A thousand starts are counted one by one.
func TestThousandStarts(t *testing.T) {
	dir := t.TempDir()
	for n := range uint64(1000) {
		if i := opened(t, dir, "web-1", machine("abc")); i.Gen() != n+1 || i.ID != "web-1" {
			t.Fatalf("start %d: %d", n+1, i.Gen())
		}
	}
}

func TestRaise(t *testing.T) {
	dir := t.TempDir()
	i := opened(t, dir, "web-1", Machine{})
	f := func(atLeast, want uint64) {
		t.Helper()
		if err := i.Raise(atLeast); err != nil || i.Gen() != want || content(t, dir).Gen != want {
			t.Errorf("raised to %d: %d, %v", atLeast, i.Gen(), err)
		}
	}
	f(0, 1)
	f(1, 1)
	f(41, 41)
	f(7, 41)
	if err := i.Raise(highestGen + 1); err == nil || i.Gen() != 41 {
		t.Errorf("beyond what all can count: %d, %v", i.Gen(), err)
	}
	if i = opened(t, dir, "web-1", Machine{}); i.Gen() != 42 {
		t.Errorf("next start is %d", i.Gen())
	}
	f(highestGen, highestGen)
	if i = opened(t, dir, "web-1", Machine{}); i.Gen() != highestGen {
		t.Errorf("start after the highest is %d", i.Gen())
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a folder that cannot be written to, for root too
		t.Fatal(err)
	}
	i.note.Gen = 5
	if err := i.Raise(9); err == nil || i.Gen() != 9 {
		t.Errorf("not kept: %d, %v", i.Gen(), err)
	}
}

// A clone is a machine of which two facts are others. What is unknown says nothing, and one fact may change at a time.
func TestClones(t *testing.T) {
	f := func(before, after, name, want string) {
		t.Helper()
		dir := t.TempDir()
		opened(t, dir, "web-1", machine(before))
		i := opened(t, dir, name, machine(after))
		if !regexp.MustCompile("^"+want+"$").MatchString(i.ID) || i.Cloned() != (want != "web-1") || i.Gen() != 2 {
			t.Errorf("%s to %s as %s: %+v", before, after, name, i)
		}
		if i.Cloned() && (i.Old != "web-1" || !strings.Contains(i.Notice, "no longer web-1") || content(t, dir).Former[0].ID != "web-1") {
			t.Errorf("%s to %s: %+v, %+v", before, after, i, content(t, dir))
		}
		if again := opened(t, dir, name, machine(after)); again.ID != i.ID || again.Cloned() || again.Gen() != 3 {
			t.Errorf("%s to %s, again: %+v", before, after, again)
		}
	}
	f("abc", "abc", "web-1", "web-1")
	f("abc", "xbc", "web-1", "web-1")
	f("abc", "xyc", "web-2", "web-2")
	f("abc", "xyz", "web-1", "web-1-[0-9a-f]{4}")
	f("abc", "ayz", "WEB-1", "web-1-[0-9a-f]{4}")
	f("abc", "x_c", "web-2", "web-1")
	f("a_c", "xyc", "web-2", "web-1")
	f("___", "xyz", "web-2", "web-1")
	f("abc", "___", "web-2", "web-1")
	f("a_c", "x_z", "web-2", "web-2")
	f("abc", "xyz", "web-2", "web-2")
}

// Two clones of one machine that kept its name are told apart.
func TestTwoClones(t *testing.T) {
	ids := []string{"web-1"}
	for _, facts := range []string{"def", "ghi", "jkl"} {
		dir := t.TempDir()
		opened(t, dir, "web-1", machine("abc"))
		ids = append(ids, opened(t, dir, "web-1", machine(facts)).ID)
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 4 {
		t.Errorf("%q", ids)
	}
}

// What changes one by one makes no other machine.
func TestMachineChangesSlowly(t *testing.T) {
	dir := t.TempDir()
	for _, facts := range []string{"abc", "xbc", "xb_", "xyc", "xyz"} {
		if i := opened(t, dir, "web-1", machine(facts)); i.ID != "web-1" || i.Cloned() {
			t.Errorf("%s: %+v", facts, i)
		}
	}
	if got := content(t, dir).Machine; got != machine("xyz") {
		t.Errorf("%+v", got)
	}
}

// The config has the say: an id that it gives is compared with nothing.
func TestOpenAs(t *testing.T) {
	dir := t.TempDir()
	f := func(id, facts string, gen uint64, former int) {
		t.Helper()
		i, err := OpenAs(dir, id, machine(facts))
		if err == nil {
			err = i.Close()
		}
		if err != nil || i.ID != id || i.Gen() != gen || i.Cloned() || len(content(t, dir).Former) != former {
			t.Errorf("%s: %+v, %v", id, i, err)
		}
	}
	f("Edge", "abc", 1, 0)
	f("Edge", "xyz", 2, 0)
	f("other", "xyz", 3, 1)
	if i := opened(t, dir, "web-1", machine("xyz")); i.ID != "other" || i.Gen() != 4 {
		t.Errorf("without the config: %+v", i)
	}
	for n := range 2 * mostFormer {
		f([]string{"a", "b"}[n%2], "xyz", uint64(n+5), min(n+2, mostFormer))
	}
}
