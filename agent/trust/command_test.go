package trust

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The file that is the plugin is the one that policy is about.
func TestCommandChecksThePlugin(t *testing.T) {
	b := newBench(t)
	fan := put(t, b.dir+"/fan", hello, 0o755)
	plain := put(t, b.dir+"/fan.sh", "echo plain $1\n", 0o644) // its interpreter reads it
	conf := put(t, b.dir+"/fan.conf", "", 0o666)
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	f := func(plugin, says string, args ...string) {
		t.Helper()
		loose, err := b.Command(args, nil, Policy{Level: Warn})
		if err != nil || loose.Path != plugin || len(loose.Findings) > 0 {
			t.Errorf("%q: the plugin is %s, %v, %v; want %s", args, loose.Path, loose.Findings, err, plugin)
		}
		if want := slices.Concat([]string{loose.Args[0]}, args[1:]); !slices.Equal(loose.Args, want) || loose.Args[0][0] != '/' {
			t.Errorf("%q became %q", args, loose.Args)
		}
		v, err := b.Command(args, nil, Policy{SHA256: loose.SHA256})
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		defer v.Close()
		if got := run(t, v); got != says {
			t.Errorf("%q became %q and says %q, want %q", args, v.Args, got, says)
		}
		if slices.Contains(v.Args, plugin) {
			t.Errorf("%q became %q: not held", args, v.Args)
		}
		bad, err := b.Command(args, nil, Policy{Level: Off, SHA256: "00"})
		if got := refused(t, bad, err); got != Checksum {
			t.Errorf("%q with another pin: %q", args, got)
		}
	}
	f(fan, "hello "+conf, fan, conf)
	f(fan, "hello x", "sh", fan, "x")
	f(fan, "hello x", sh, fan, "x")
	f(plain, "plain x", "sh", plain, "x")
	f(plain, "plain "+conf, "sh", plain, conf)
	f(fan, "hello x", "env", "LANG=C", fan, "x")
	f(plain, "plain x", "env", "-", sh, plain, "x") // a shell that is named is a file too
}

func TestScript(t *testing.T) {
	dir := folder(t, 0o755)
	file := put(t, dir+"/fan.py", "", 0o644)
	f := func(want int, args ...string) {
		t.Helper()
		if got := script(args); got != want {
			t.Errorf("script(%q) = %d, want %d", args, got, want)
		}
	}
	f(1, "python3", file)
	f(1, "python3.11", file)
	f(2, "/usr/bin/python", "-u", file, file)
	f(3, "env", "A=b", "python3", file)
	f(1, "node-20", file)
	f(0, "python3", "fan.py") // wherever that is
	f(0, "python3", "-m", "fan")
	f(0, "python3", dir+"/absent.py")
	f(0, "python3", dir)
	f(0, "sh", "-c", "sleep 1")
	f(0, "tail", "-F", file)
	f(0, file, file)
	f(0, "python3")
}

// An interpreter that others may exchange is a finding, whatever the script.
func TestInterpreter(t *testing.T) {
	b := newBench(t)
	fan := put(t, b.dir+"/fan", hello, 0o755)
	bin := makeDir(t, b.dir+"/bin", 0o777)
	put(t, bin+"/sh", "#!/bin/sh\n", 0o755)
	look := func(name string) (string, error) { return exec.LookPath(bin + "/" + name) }
	v, err := b.Command([]string{"sh", fan}, look, Policy{Level: Warn})
	if err != nil || !slices.Equal(codes(v.Findings), []Code{Insecure}) || v.Args[0] != bin+"/sh" {
		t.Errorf("%+v, %v", v, err)
	}
	pinned := Policy{SHA256: v.SHA256}
	v, err = b.Command([]string{"sh", fan}, look, pinned)
	if got := refused(t, v, err); got != Insecure {
		t.Errorf("refused by %q", got)
	}
	v, err = b.Command([]string{"sh", fan}, look, Policy{SHA256: "00"})
	if got := refused(t, v, err); got != Checksum || !strings.Contains(err.Error(), bin) {
		t.Errorf("refused by %q: %v", got, err)
	}
	v, err = b.Command([]string{"sh", fan}, look, Policy{Level: Off})
	if err != nil || len(v.Findings) > 0 {
		t.Errorf("off: %v, %v", v.Findings, err)
	}
	v, err = b.Command([]string{bin + "/python3", fan}, look, Policy{Level: Warn})
	if got := refused(t, v, err); got != NotFound {
		t.Errorf("without an interpreter: %q", got)
	}
}

func TestCommandThatIsNotThere(t *testing.T) {
	b := newBench(t)
	t.Setenv("PATH", b.dir)
	locked := put(t, b.dir+"/locked", hello, 0o644)
	look := func(name string) (string, error) {
		if name == "locked" {
			return exec.LookPath(locked)
		}
		return exec.LookPath(name)
	}
	f := func(want Code, args ...string) {
		t.Helper()
		for _, level := range []Level{Off, Warn, Enforce} {
			v, err := b.Command(args, look, Policy{Level: level})
			if got := refused(t, v, err); got != want {
				t.Errorf("%q at %s: %q, want %q", args, level, got, want)
			}
		}
	}
	f(NotFound, "absent")
	f(NotFound, "absent", "x")
	f(NotExecutable, "locked")
	f(NotFound, "./absent")
	for _, args := range [][]string{nil, {""}, {"", "x"}} {
		if v, err := b.Command(args, nil, Policy{}); err == nil || len(v.Args) != len(args) {
			t.Errorf("%q: %+v, %v", args, v, err)
		}
	}
}

// A program that may be executed and not read cannot be checked: sudo is one on some systems.
func TestUnreadable(t *testing.T) {
	b := newBench(t)
	path := put(t, b.dir+"/fan", hello, 0o111)
	if f, err := os.Open(path); err == nil {
		f.Close()
		t.Skip("root may read everything: run the tests as another user too")
	}
	f := func(want Policy, code Code) {
		t.Helper()
		v, err := b.Check(path, want)
		if got := refused(t, v, err); got != code {
			t.Errorf("%+v: %q, want %q", want, got, code)
		}
	}
	f(Policy{Level: Off}, "")
	f(Policy{Level: Warn}, "")
	f(Policy{}, Unsigned)
	f(Policy{Level: Off, SHA256: "00"}, Checksum)
}

// What was checked can be run as another user too, who may not look into the folder of copies.
func TestAnotherUserRunsIt(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("running as another user needs root")
	}
	b := newBench(t)
	if err := os.Chmod(filepath.Dir(b.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	f := func(path string, args ...string) {
		t.Helper()
		loose, err := b.Check(path, Policy{Level: Warn})
		if err != nil {
			t.Fatal(err)
		}
		v, err := b.Check(path, Policy{SHA256: loose.SHA256})
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		cmd := exec.CommandContext(t.Context(), v.Args[0], args...)
		cmd.SysProcAttr, cmd.Dir = nobody, "/"
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "hello you\n" {
			t.Errorf("%s says %q, %v", v.Args[0], out, err)
		}
	}
	f(binary(t, b.dir+"/binary"), "play", "you")
	f(put(t, b.dir+"/script", hello, 0o755), "you")
	ls := exec.CommandContext(t.Context(), "ls", b.copies)
	ls.SysProcAttr = nobody
	if out, err := ls.CombinedOutput(); err == nil {
		t.Errorf("others see %s", out)
	}
}
