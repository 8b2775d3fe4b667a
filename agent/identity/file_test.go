package identity

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// put writes the file of an identity.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

const good = `{"v": 1, "id": "web-1", "name_at_first": "web-1", "gen": 7, "machine": {"machine_id": "", "dmi_uuid": "", "macs": ""}}`

// A file that is not whole is what a power cut leaves; any other damage somebody has done, and has to look at.
func TestParse(t *testing.T) {
	f := func(text, fault string) {
		t.Helper()
		n, err := parse([]byte(text))
		switch {
		case fault == "" && (err != nil || n.ID != "web-1" || n.Gen != 7):
			t.Errorf("%q: %+v, %v", text, n, err)
		case fault != "" && (err == nil || !strings.Contains(err.Error(), fault) || errors.Is(err, errTruncated)):
			t.Errorf("%q: %v, want %s", text, err, fault)
		}
	}
	f(good, "")
	f(good+"\n", "")
	f(good+"\x00\x00", "")
	f(strings.Replace(good, `"v"`, `"later": [1], "v"`, 1), "")
	f(strings.Replace(good, `"v": 1`, `"v": 2`, 1), "version 2, but this agent knows only 1")
	f(strings.Replace(good, `"v": 1, `, "", 1), "version 0")
	f(strings.Replace(good, "web-1", "", 1), "id: it is empty")
	f(strings.Replace(good, "web-1", "web 1", 1), "id: it has blanks")
	f(strings.Replace(good, "7", "-7", 1), "cannot unmarshal")
	f(strings.Replace(good, "7", "9007199254740993", 1), "gen: 9007199254740993")
	f(strings.Replace(good, `"macs": ""`, `"macs": "52:54:00:12:34:56"`, 1), `macs: "52:54:00:12:34:56" is no digest`)
	f(good+"{}", "something follows")
	f("[]", "cannot unmarshal")
	f("id: web-1", "invalid character")
	f(strings.Repeat(" ", mostFile+1), "more than")
	for n := range len(good) {
		if _, err := parse([]byte(good[:n])); !errors.Is(err, errTruncated) {
			t.Errorf("%q: %v, want it to count as not whole", good[:n], err)
		}
		if _, err := parse([]byte(good[:n] + "\x00\x00\x00")); !errors.Is(err, errTruncated) {
			t.Errorf("%q and zeroes: %v, want it to count as not whole", good[:n], err)
		}
	}
}

// Whatever step of a start the power is cut at, the next start has the same id, and a generation that none has worked under.
func TestPowerCut(t *testing.T) {
	f := func(what string, gen uint64, cut func(path string)) {
		t.Helper()
		dir := t.TempDir()
		path := filepath.Join(dir, fileName)
		for range 3 {
			opened(t, dir, "web-1", machine("abc"))
		}
		cut(path)
		if i := opened(t, dir, "renamed", machine("abc")); i.ID != "web-1" || i.Gen() != gen || i.Notice != "" {
			t.Errorf("%s: %+v, generation %d, want %d", what, i, i.Gen(), gen)
		}
		if left, _ := os.ReadDir(dir); len(left) != 2 { // and the lock
			t.Errorf("%s leaves %v", what, left)
		}
	}
	next := strings.Replace(good, "7", "4", 1)
	f("before it began", 4, func(string) {})
	f("new file without content", 4, func(path string) { put(t, path+".new", "") })
	f("new file half written", 4, func(path string) { put(t, path+".new", next[:20]) })
	f("new file written", 4, func(path string) { put(t, path+".new", next) })
	f("new file in place", 5, func(path string) {
		put(t, path+".new", next)
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	})
}

// A file that is not whole all the same is an identity that is lost, and said to be.
func TestNotWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, fileName)
	opened(t, dir, "web-1", machine("abc"))
	if err := os.Truncate(path, 30); err != nil {
		t.Fatal(err)
	}
	i := opened(t, dir, "renamed", machine("abc"))
	if i.ID != "renamed" || i.Gen() != 1 || i.Cloned() || !strings.Contains(i.Notice, path+" is not whole") {
		t.Errorf("%+v", i)
	}
	if i = opened(t, dir, "web-1", machine("abc")); i.ID != "renamed" || i.Gen() != 2 || i.Notice != "" {
		t.Errorf("%+v", i)
	}
}

// A file that cannot be used stops the agent, with the way out, and stays as it is.
func TestDamaged(t *testing.T) {
	f := func(what string, damage func(path string), fault string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), fileName)
		damage(path)
		before, _ := os.ReadFile(path)
		_, err := Open(filepath.Dir(path), "web-1", Machine{})
		if err == nil || !strings.Contains(err.Error(), fault) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", what, err)
		}
		if after, _ := os.ReadFile(path); string(after) != string(before) {
			t.Errorf("%s: it was changed", what)
		}
	}
	f("of a later version", func(path string) { put(t, path, strings.Replace(good, `"v": 1`, `"v": 2`, 1)) }, "or remove it to begin anew")
	f("something else", func(path string) { put(t, path, "hello") }, "mend ")
	f("a folder", func(path string) {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
	}, "is a directory")
	f("nowhere to write", func(path string) {
		if err := os.Mkdir(path+".new", 0o700); err != nil {
			t.Fatal(err)
		}
	}, "the agent needs a folder that it may write to")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(good[:40]))
	f.Fuzz(func(t *testing.T, text []byte) {
		n, err := parse(text)
		if err == nil && (n.check() != nil || n.ID == "") {
			t.Errorf("%+v", n)
		}
	})
}
