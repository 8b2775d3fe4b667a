package trust

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// script is one that says who it is.
const hello = "#!/bin/sh\necho hello $1\n"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "play" { // as a binary that says who it is
		os.Stdout.WriteString("hello " + strings.Join(os.Args[2:], " ") + "\n")
		return
	}
	os.Exit(m.Run())
}

// A bench is where a test checks programs.
type bench struct {
	*Checker
	dir    string // whose way is secure
	copies string
}

func newBench(t *testing.T) bench {
	t.Helper()
	dir := folder(t, 0o755)
	copies := filepath.Join(dir, "copies")
	c, err := New(copies)
	if err != nil {
		t.Fatal(err)
	}
	return bench{c, dir, copies}
}

func folder(t *testing.T, mode fs.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	return dir
}

// put writes a file whatever the umask. No process that starts beside holds it open for writing.
func put(t *testing.T, name, text string, mode fs.FileMode) string {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := errors.Join(os.WriteFile(name, []byte(text), 0o600), os.Chmod(name, mode)); err != nil {
		t.Fatal(err)
	}
	return name
}

// binary puts a copy of this test there, which says hello when it is asked to play.
func binary(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	return put(t, name, string(text), 0o755)
}

// run executes what was checked and returns what it says.
func run(t *testing.T, v *Verdict, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), v.Args[0], append(v.Args[1:], args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("run %q: %v\n%s", v.Args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// refused returns the code that comes first, "" when the program may run.
func refused(t *testing.T, v *Verdict, err error) Code {
	t.Helper()
	t.Cleanup(func() { v.Close() })
	if err == nil {
		return ""
	}
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatalf("no refusal: %v", err)
	}
	if v.File != nil {
		t.Errorf("%v, and the file is held", err)
	}
	t.Log(err)
	return r.Findings[0].Code
}

func codes(all []Finding) (list []Code) {
	for _, f := range all {
		list = append(list, f.Code)
	}
	return list
}

// What is no program is refused at each level, and a folder that others may write to at enforce only.
func TestLevels(t *testing.T) {
	b, open := newBench(t), folder(t, 0o777)
	f := func(path string, level Level, want Code, found ...Code) {
		t.Helper()
		v, err := b.Check(path, Policy{Level: level, SHA256: ""})
		if got := refused(t, v, err); got != want {
			t.Errorf("%s at %q: refused by %q, want %q", path, level, got, want)
		}
		if got := codes(v.Findings); !slices.Equal(got, found) {
			t.Errorf("%s at %q: findings %q, want %q", path, level, got, found)
		}
	}
	good := put(t, b.dir+"/good", hello, 0o755)
	f(good, Off, "")
	f(good, Warn, "")
	f(good, Enforce, Unsigned, Unsigned) // nothing vouches for it
	f(good, "", Unsigned, Unsigned)

	wide := put(t, b.dir+"/wide", hello, 0o777)
	f(wide, Off, "")
	f(wide, Warn, "", Insecure)
	f(wide, Enforce, Insecure, Insecure, Unsigned)
	group := put(t, b.dir+"/group", hello, 0o775)
	f(group, Warn, "", Insecure)
	below := put(t, open+"/below", hello, 0o755)
	f(below, Off, "")
	f(below, Warn, "", Insecure)
	f(below, Enforce, Insecure, Insecure, Unsigned)

	locked := put(t, b.dir+"/locked", hello, 0o644)
	if err := syscall.Mkfifo(b.dir+"/fifo", 0o755); err != nil {
		t.Fatal(err)
	}
	link(t, "loop", b.dir+"/loop")
	link(t, "nowhere", b.dir+"/broken")
	for _, level := range []Level{Off, Warn, Enforce} {
		f(b.dir+"/absent", level, NotFound, NotFound)
		f(b.dir+"/absent/below", level, NotFound, NotFound)
		f(good+"/below", level, NotFound, NotFound)
		f(b.dir+"/loop", level, NotFound, NotFound)
		f(b.dir+"/broken", level, NotFound, NotFound)
		f(locked, level, NotExecutable, NotExecutable)
		f(b.dir, level, NotExecutable, NotExecutable)
		f("/", level, NotExecutable, NotExecutable)
		f(b.dir+"/fifo", level, NotExecutable, NotExecutable)
	}
}

func link(t *testing.T, target, name string) string {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// A pin is for exactly these bytes, at every level.
func TestPin(t *testing.T) {
	b := newBench(t)
	path := put(t, b.dir+"/fan", hello, 0o755)
	v, err := b.Check(path, Policy{Level: Warn})
	if err != nil || len(v.SHA256) != 64 {
		t.Fatalf("SHA-256 %q, %v", v.SHA256, err)
	}
	flipped := put(t, b.dir+"/flipped", strings.Replace(hello, "e", "f", 1), 0o755)
	for _, level := range []Level{Off, Warn, Enforce} {
		f := func(path, pin string, want Code) {
			t.Helper()
			got, err := b.Check(path, Policy{Level: level, SHA256: pin})
			if code := refused(t, got, err); code != want {
				t.Errorf("%s at %s: %q, want %q", path, level, code, want)
			}
		}
		f(path, v.SHA256, "")
		f(path, strings.ToUpper(v.SHA256), "")
		f(path, v.SHA256[1:]+"0", Checksum)
		f(path, "no hash", Checksum)
		f(flipped, v.SHA256, Checksum)
	}
	off, err := b.Check(path, Policy{Level: Off})
	if err != nil || off.SHA256 != "" || off.Args[0] != path {
		t.Errorf("off without a pin: %+v, %v", off, err)
	}
}

// What refuses is told first, and all of it.
func TestRefusalTellsAll(t *testing.T) {
	b := newBench(t)
	path := put(t, b.dir+"/fan", hello, 0o777)
	v, err := b.Check(path, Policy{Level: Warn, SHA256: "00"})
	if got := refused(t, v, err); got != Checksum {
		t.Errorf("refused by %q", got)
	}
	text := err.Error()
	for _, want := range []string{"refused: checksum_mismatch: SHA-256 of " + path, v.SHA256, "; insecure_permissions: " + path, "mode 0777", "chmod go-w " + path} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nwithout %s", text, want)
		}
	}
}

// The bytes that run are those that were checked, whatever has come in their place since.
func TestSwappedAfterTheCheck(t *testing.T) {
	b := newBench(t)
	const evil = "#!/bin/sh\necho evil\n"
	f := func(path string, mode fs.FileMode, want string, args ...string) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		pin, err := b.Check(path, Policy{Level: Warn})
		if err != nil {
			t.Fatal(err)
		}
		v, err := b.Check(path, Policy{Level: Warn, SHA256: pin.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		if err := os.Rename(put(t, b.dir+"/evil", evil, 0o755), path); err != nil {
			t.Fatal(err)
		}
		if got := run(t, v, args...); got != want {
			t.Errorf("%s says %q, want %q", path, got, want)
		}
	}
	f(binary(t, b.dir+"/binary"), 0o755, "hello you", "play", "you")
	f(put(t, b.dir+"/script", hello, 0o755), 0o755, "hello you", "you")
	f(binary(t, b.dir+"/wide"), 0o777, "hello you", "play", "you")
}

// A binary that others may write to runs from a copy: an open file can still be changed.
func TestWrittenToAfterTheCheck(t *testing.T) {
	b := newBench(t)
	path := binary(t, b.dir+"/wide")
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	first, err := b.Check(path, Policy{Level: Warn})
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.Check(path, Policy{Level: Off, SHA256: first.SHA256})
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, "#!/bin/sh\necho evil\n", 0o777)
	if got := run(t, v, "play", "it"); got != "hello it" {
		t.Errorf("it says %q", got)
	}
	if _, err := b.Check(path, Policy{Level: Off, SHA256: first.SHA256}); err == nil {
		t.Error("the changed one passes")
	}
}

// Without a refusal that it could escape, a program runs under its own name, with its neighbours beside it.
func TestWarnRunsInPlace(t *testing.T) {
	b := newBench(t)
	path := put(t, b.dir+"/fan", "#!/bin/sh\necho $0\n", 0o755)
	v, err := b.Check(path, Policy{Level: Warn})
	if err != nil || v.File != nil {
		t.Fatalf("%+v, %v", v, err)
	}
	if got := run(t, v); got != path {
		t.Errorf("it is %q, want %q", got, path)
	}
	if left, _ := os.ReadDir(b.copies); len(left) > 0 {
		t.Errorf("copies %v", left)
	}
}

// A file that is being written is neither good nor bad.
func TestBusy(t *testing.T) {
	b := newBench(t)
	path := put(t, b.dir+"/fan", hello, 0o755)
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if v, err := b.Check(path, Policy{Level: Warn}); !errors.Is(err, ErrBusy) {
		t.Errorf("open for writing: %+v, %v; want %v", v, err, ErrBusy)
	}
	w.Close()
	if _, err := b.Check(path, Policy{Level: Warn}); err != nil {
		t.Errorf("written: %v", err)
	}
}

// A folder of others is not taken over, ours is emptied and nobody may look into it.
func TestFolderForCopies(t *testing.T) {
	dir := folder(t, 0o755)
	link(t, "/", dir+"/link")
	put(t, dir+"/file", "", 0o600)
	for _, bad := range []string{"/link", "/file", "/file/below"} {
		if _, err := New(dir + bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	own := dir + "/own"
	if err := errors.Join(os.MkdirAll(own+"/old", 0o777), os.Chmod(own, 0o777)); err != nil {
		t.Fatal(err)
	}
	if _, err := New(own); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(own)
	left, _ := os.ReadDir(own)
	if err != nil || info.Mode().Perm() != 0o711 || len(left) > 0 {
		t.Errorf("mode %v, %v in it, %v", info.Mode(), left, err)
	}
	without, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	path := put(t, dir+"/fan", hello, 0o755)
	v, err := without.Check(path, Policy{Level: Warn})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := without.Check(path, Policy{SHA256: v.SHA256}); err == nil || !strings.Contains(err.Error(), "no folder for copies") {
		t.Errorf("no folder: %v", err)
	}
}

// A copy is made once, can be run by other users as the script could, and is made anew when it is not what it was.
func TestCopies(t *testing.T) {
	b := newBench(t)
	path := put(t, b.dir+"/fan", hello, 0o755)
	check := func() string {
		t.Helper()
		first, err := b.Check(path, Policy{Level: Warn})
		if err != nil {
			t.Fatal(err)
		}
		v, err := b.Check(path, Policy{Level: Enforce, SHA256: first.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(b.copies, v.SHA256, "fan"); v.Args[0] != want {
			t.Errorf("it is %s, want %s", v.Args[0], want)
		}
		if got := run(t, v, "there"); got != "hello there" {
			t.Errorf("it says %q", got)
		}
		return v.Args[0]
	}
	name := check()
	before, err := os.Stat(name)
	if err != nil || before.Mode().Perm() != 0o555 {
		t.Errorf("mode %v, %v", before.Mode(), err)
	}
	check()
	if after, err := os.Stat(name); err != nil || !os.SameFile(before, after) {
		t.Errorf("another copy: %v", err)
	}
	if err := os.Chmod(name, 0o755); err != nil {
		t.Fatal(err)
	}
	put(t, name, "#!/bin/sh\necho evil\n", 0o755)
	check()
	if rest, err := os.ReadDir(filepath.Dir(name)); err != nil || len(rest) != 1 {
		t.Errorf("beside the copy: %v, %v", rest, err)
	}
}

// Nothing stays open, whatever the verdict.
func TestNoDescriptorIsLeft(t *testing.T) {
	b := newBench(t)
	script, elf := put(t, b.dir+"/fan", hello, 0o755), binary(t, b.dir+"/binary")
	pin := func(path string) Policy {
		v, err := b.Check(path, Policy{Level: Warn})
		if err != nil {
			t.Fatal(err)
		}
		return Policy{SHA256: v.SHA256}
	}
	all := func() {
		for _, path := range []string{script, elf, b.dir + "/absent"} {
			for _, want := range []Policy{{}, {Level: Off}, {Level: Warn}, {SHA256: "00"}, pin(script), pin(elf)} {
				v, _ := b.Check(path, want)
				if err := errors.Join(v.Close(), v.Close()); err != nil {
					t.Error(err)
				}
			}
		}
	}
	all()
	before := descriptors(t)
	all()
	if after := descriptors(t); after > before {
		t.Errorf("%d descriptors, before %d", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	return len(list)
}

// The sum of a file that has not changed is not taken again, and of any change it is.
func TestSumIsRemembered(t *testing.T) {
	b := newBench(t)
	path := put(t, b.dir+"/large", "#!/bin/sh\n"+strings.Repeat("\n", 8<<20), 0o755)
	eventually(t, "the clock has gone on", func() bool {
		id, err := Identify(path)
		return err == nil && id.Settled()
	})
	sum := func() string {
		f, err := open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s, err := b.sum(f)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if first := sum(); len(b.sums) != 1 || sum() != first {
		t.Errorf("%d sums remembered", len(b.sums))
	}
	id, err := Identify(path)
	if err != nil {
		t.Fatal(err)
	}
	b.sums[id] = "remembered"
	if got := sum(); got != "remembered" {
		t.Errorf("read again: %s", got)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)-1] = ' '
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	put(t, path, string(text), 0o755)
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil { // who hides a change cannot hide this one
		t.Fatal(err)
	}
	if got := sum(); got == "remembered" {
		t.Error("a change was not seen")
	}
	for i := range maxSums + 5 {
		b.remember(Identity{Inode: uint64(i)}, "x")
	}
	if len(b.sums) > maxSums {
		t.Errorf("%d sums", len(b.sums))
	}
}

// A file of any size is checked in bounded memory.
func TestMemory(t *testing.T) {
	b := newBench(t)
	path := put(t, b.dir+"/sparse", "", 0o755)
	if err := os.Truncate(path, 64<<20); err != nil {
		t.Fatal(err)
	}
	got := testing.Benchmark(func(tb *testing.B) {
		tb.ReportAllocs()
		for tb.Loop() {
			clear(b.sums)
			if _, err := b.Check(path, Policy{Level: Warn}); err != nil {
				tb.Fatal(err)
			}
		}
	})
	if got.AllocedBytesPerOp() > 1<<20 {
		t.Errorf("%d bytes allocated", got.AllocedBytesPerOp())
	}
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := withBytes(f, func(text []byte) {
		if len(text) != 64<<20 || bytes.ContainsAny(text[:1<<20], "x") {
			t.Errorf("%d bytes", len(text))
		}
	}); err != nil {
		t.Error(err)
	}
}
