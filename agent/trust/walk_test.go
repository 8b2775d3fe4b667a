package trust

import (
	"errors"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

func makeDir(t *testing.T, name string, mode fs.FileMode) string {
	t.Helper()
	if err := errors.Join(os.Mkdir(name, 0o700), os.Chmod(name, mode)); err != nil {
		t.Fatal(err)
	}
	return name
}

// Each folder that has a say in where a path leads counts, those of links and those above too.
func TestFollow(t *testing.T) {
	dir := folder(t, 0o755)
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	base, err := follow(dir)
	if err != nil || len(base.found) > 0 {
		t.Fatalf("INVALID: the folder of tests is not secure: %v, %v", base.found, err)
	}
	open := makeDir(t, dir+"/open", 0o777)
	sticky := makeDir(t, dir+"/sticky", 0o777|fs.ModeSticky)
	safe := makeDir(t, dir+"/safe", 0o755)
	for _, d := range []string{open, sticky} {
		makeDir(t, d+"/sub", 0o755)
	}
	for _, d := range []string{open, sticky, safe, open + "/sub", sticky + "/sub"} {
		put(t, d+"/fan", hello, 0o755)
	}
	link(t, "../safe/fan", open+"/link")
	link(t, "../safe/fan", sticky+"/link")
	link(t, open+"/sub/../link", safe+"/link")
	link(t, safe, dir+"/folder")

	f := func(path, want string, faults ...string) {
		t.Helper()
		w, err := follow(dir + path)
		if err != nil || w.dir != real+want {
			t.Errorf("%s leads to %s, %v; want %s", path, w.dir, err, want)
		}
		if len(w.found) != len(faults) {
			t.Errorf("%s: %v, want %d faults", path, w.found, len(faults))
			return
		}
		for i, fault := range faults {
			if !strings.Contains(w.found[i].Detail, real+fault+" is writable by its group and others") {
				t.Errorf("%s: %s, want one about %s", path, w.found[i], fault)
			}
		}
	}
	f("/safe/fan", "/safe/fan")
	f("//safe/./../safe//fan", "/safe/fan")
	f("/folder/fan", "/safe/fan")
	f("/open/fan", "/open/fan", "/open")
	f("/open/sub/fan", "/open/sub/fan", "/open")
	f("/open/link", "/safe/fan", "/open")
	f("/safe/link", "/safe/fan", "/open")
	f("/sticky/sub/fan", "/sticky/sub/fan") // nobody else may rename what is ours there
	f("/sticky/link", "/safe/fan")
	f("/sticky/fan", "/sticky/fan", "/sticky") // but everybody may put programs there
}

// What belongs to another user is his to change, in a sticky folder too.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving files away needs root")
	}
	dir := folder(t, 0o755)
	f := func(name string, faults int) {
		t.Helper()
		v, err := (&Checker{}).Check(name, Policy{Level: Warn})
		if err != nil || len(v.Findings) != faults {
			t.Errorf("%s: %v, %v; want %d faults", name, v.Findings, err, faults)
		}
		for _, f := range v.Findings {
			if !strings.Contains(f.String(), "insecure_permissions: ") || !strings.Contains(f.Detail, "belongs to user 1234") {
				t.Error(f)
			}
		}
	}
	give := func(name string) string {
		t.Helper()
		if err := os.Lchown(name, 1234, -1); err != nil {
			t.Fatal(err)
		}
		return name
	}
	fan := put(t, dir+"/fan", hello, 0o755)
	f(fan, 0)
	f(give(fan), 1)
	theirs := makeDir(t, dir+"/theirs", 0o755)
	ours := put(t, theirs+"/ours", hello, 0o755)
	give(theirs)
	f(ours, 1)
}

// The agent's own user may change what it runs, and nobody else: not root's, not its group.
func TestTrusted(t *testing.T) {
	f := func(uid int, want bool) {
		t.Helper()
		if trusted(uid) != want {
			t.Errorf("trusted(%d) = %v", uid, !want)
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.Atoi(me.Uid)
	if err != nil {
		t.Fatal(err)
	}
	f(0, true)
	f(uid, true)
	f(uid+4711, false)
	f(-1, false)
}

func TestInside(t *testing.T) {
	b := newBench(t)
	plugins := makeDir(t, b.dir+"/plugins", 0o755)
	makeDir(t, b.dir+"/plugins2", 0o755)
	link(t, "plugins", b.dir+"/alias")
	put(t, plugins+"/fan-1", hello, 0o755)
	out := put(t, b.dir+"/out", hello, 0o755)
	put(t, b.dir+"/plugins2/fan", hello, 0o755)
	link(t, "fan-1", plugins+"/fan")
	link(t, out, plugins+"/escape")
	link(t, "../plugins2/fan", plugins+"/near")

	f := func(dir, name string, want Code) {
		t.Helper()
		v, err := b.Check(filepath.Join(b.dir, dir, name), Policy{Level: Warn, Dir: filepath.Join(b.dir, dir)})
		if err != nil {
			t.Errorf("%s at warn: %v", name, err)
		}
		got := append(codes(v.Findings), "")
		if got[0] != want {
			t.Errorf("%s/%s: %v, want %q", dir, name, v.Findings, want)
		}
		v, err = b.Check(filepath.Join(b.dir, dir, name), Policy{SHA256: v.SHA256, Dir: filepath.Join(b.dir, dir)})
		if got := refused(t, v, err); got != want {
			t.Errorf("%s/%s refused by %q, want %q", dir, name, got, want)
		}
	}
	f("plugins", "fan-1", "")
	f("plugins", "fan", "")
	f("alias", "fan", "")
	f("plugins", "escape", Insecure)
	f("alias", "escape", Insecure)
	f("plugins", "near", Insecure)
	f("plugins", "../out", Insecure)
}
