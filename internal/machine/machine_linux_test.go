package machine_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/internal/machinetest"
)

func TestWord(t *testing.T) {
	dir := t.TempDir()
	f := func(text, want string) {
		t.Helper()
		machinetest.Put(t, dir, "file", text)
		if got, err := machine.Dir(dir).Word("file"); err != nil || got != want {
			t.Errorf("word of %.40q = %q, %v; want %q", text, got, err, want)
		}
	}
	f("Linux\n", "Linux")
	f("", "")
	f("  a b \nsecond\n", "a b")
	f(`Raspberry Pi\0`, "Raspberry Pi")
	f("a\x1b[31mb\xff\n", "a [31mb?")
	f(strings.Repeat("x", 1<<20), strings.Repeat("x", 256))
	f(strings.Repeat("ä", 1<<10), strings.Repeat("ä", 128))
}

func TestLinks(t *testing.T) {
	dir := t.TempDir()
	d := machine.Dir(dir)
	machinetest.Put(t, dir, "run/resolve/resolv.conf", "nameserver 1.1.1.1\n")
	machinetest.Link(t, dir, "etc/relative", "../run/resolve/resolv.conf")
	machinetest.Link(t, dir, "etc/absolute", "/run/resolve/resolv.conf") // of the machine, not of this process
	machinetest.Link(t, dir, "etc/twice", "/etc/absolute")
	machinetest.Link(t, dir, "etc/loop", "loop")
	machinetest.Link(t, dir, "etc/round", "/etc/round")
	f := func(name string, want error) {
		t.Helper()
		word, err := d.Word(name)
		if !errors.Is(err, want) || (want == nil) != (word == "nameserver 1.1.1.1") || d.Has(name) != (want == nil) {
			t.Errorf("%s: %q, %v; want %v", name, word, err, want)
		}
	}
	f("etc/relative", nil)
	f("etc/absolute", nil)
	f("etc/twice", nil)
	f("etc/loop", syscall.ELOOP)
	f("etc/round", syscall.ENOENT) // there is none outside
	if got := d.Link("etc/absolute"); got != "/run/resolve/resolv.conf" {
		t.Errorf("link = %q", got)
	}
	if got := d.Base("etc/relative"); got != "resolv.conf" {
		t.Errorf("base = %q", got)
	}
	if got := d.Base("etc/none"); got != "" {
		t.Errorf("base of no link = %q", got)
	}
}

// What is no file is refused at once: a pipe would be waited for.
func TestNotFile(t *testing.T) {
	dir := t.TempDir()
	d := machine.Dir(dir)
	machinetest.Pipe(t, dir, "pipe")
	machinetest.Link(t, dir, "null", "../../../../../../../../dev/null")
	for _, name := range []string{"pipe", "null", "."} {
		if _, err := d.Word(name); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("word of %s: %v", name, err)
		}
	}
	if _, err := d.Names("pipe"); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("names of a pipe: %v", err)
	}
}

func TestLines(t *testing.T) {
	dir := t.TempDir()
	f := func(text string, most int64, wantErr string, want ...string) {
		t.Helper()
		machinetest.Put(t, dir, "file", text)
		var got []string
		var fault string
		for line, err := range machine.Dir(dir).Lines("file", most) {
			if err != nil {
				fault = err.Error()
				continue
			}
			got = append(got, line)
		}
		if !slices.Equal(got, want) || (wantErr == "") != (fault == "") || !strings.Contains(fault, wantErr) {
			t.Errorf("lines of %.40q = %.200q, %s; want %.200q, %s", text, got, fault, want, wantErr)
		}
	}
	f("", 0, "")
	f("a\n b \r\n\nc", 0, "", "a", " b", "", "c")
	f(strings.Repeat("x", 40<<10)+"\ny\n", 0, "", strings.Repeat("x", 16<<10), "y")
	f("aaaa\nbb\n", 5, "too long", "aaaa", "b")
	f(strings.Repeat("x", 1<<21), 0, "more than 1024 KiB", strings.Repeat("x", 16<<10))
}

// A loop over lines may end before the lines do.
func TestLinesStopped(t *testing.T) {
	dir := t.TempDir()
	machinetest.Put(t, dir, "file", strings.Repeat("a\n", 10))
	n := 0
	for line, err := range machine.Dir(dir).Lines("file", 4) { // its end is an error, which nobody wants to hear of
		if err != nil || line != "a" {
			t.Errorf("line %q, %v", line, err)
		}
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d lines", n)
	}
}

func TestNames(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a", "c"} {
		machinetest.Put(t, dir, name, "")
	}
	if names, err := machine.Dir(dir).Names("."); err != nil || !slices.Equal(names, []string{"a", "b", "c"}) {
		t.Errorf("names = %v, %v", names, err)
	}
	if names, err := machine.Dir(t.TempDir()).Names("."); err != nil || len(names) > 0 {
		t.Errorf("names of an empty folder = %v, %v", names, err)
	}
	if _, err := machine.Dir(dir).Names("away"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("names of nothing: %v", err)
	}
}

// A machine need not have what it is asked for, and may need it; other faults are told either way.
func TestReader(t *testing.T) {
	dir := t.TempDir()
	machinetest.Put(t, dir, "number", "42\n")
	machinetest.Put(t, dir, "closed", "1\n")
	machinetest.Forbid(t, dir, "closed")
	f := func(want error, read func(r *machine.Reader, d machine.Dir)) {
		t.Helper()
		var r machine.Reader
		machinetest.Unprivileged(t, dir, func() { read(&r, machine.Dir(dir)) })
		if err := r.Err(t.Context()); !errors.Is(err, want) {
			t.Errorf("error %v, want %v", err, want)
		}
	}
	f(nil, func(r *machine.Reader, d machine.Dir) { r.Word(d, "away") })
	f(nil, func(r *machine.Reader, d machine.Dir) { r.Names(d, "away") })
	f(nil, func(r *machine.Reader, d machine.Dir) { r.Try(d, "closed") })
	f(fs.ErrNotExist, func(r *machine.Reader, d machine.Dir) { r.Must(d, "away") })
	f(fs.ErrPermission, func(r *machine.Reader, d machine.Dir) { r.Word(d, "closed") })
	f(fs.ErrPermission, func(r *machine.Reader, d machine.Dir) {
		for range r.Lines(d, "closed") {
			t.Error("a line")
		}
	})
	f(fs.ErrNotExist, func(r *machine.Reader, d machine.Dir) {
		for range r.MustLines(d, "away") {
			t.Error("a line")
		}
	})
	f(nil, func(r *machine.Reader, d machine.Dir) {
		if n := r.Number(d, "number"); n != 42 {
			t.Errorf("number = %d", n)
		}
	})
}

// However much goes wrong, the message stays readable; the end of the context is in it.
func TestManyFaults(t *testing.T) {
	var r machine.Reader
	for i := range 1000 {
		r.Fault(fmt.Errorf("fault %d", i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := r.Err(ctx)
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 10 || !strings.Contains(err.Error(), "and 992 errors more") || !errors.Is(err, context.Canceled) {
		t.Errorf("error of %d lines: %v", lines, err)
	}
	r = machine.Reader{}
	r.Fault(nil)
	if err := r.Err(t.Context()); err != nil {
		t.Errorf("error %v, want none", err)
	}
}

func TestAbsent(t *testing.T) {
	for _, err := range []error{fs.ErrNotExist, syscall.ENODEV, syscall.ENXIO, syscall.EOPNOTSUPP} {
		if !machine.Absent(err) {
			t.Errorf("%v is a fault", err)
		}
	}
	if machine.Absent(fs.ErrPermission) || machine.Absent(nil) {
		t.Error("what is there is absent")
	}
}

func TestForeign(t *testing.T) {
	for d, want := range map[machine.Dir]bool{"/": false, "//": false, "/host": true} {
		if d.Foreign() != want {
			t.Errorf("%s foreign %v", d, !want)
		}
	}
}

func FuzzClean(f *testing.F) {
	f.Add("a\x00b\xff")
	f.Fuzz(func(t *testing.T, text string) {
		got := machine.Clean(text)
		if len(got) > 256 || strings.ContainsAny(got, "\n\x00\x1b") || strings.TrimSpace(got) != got || strings.ToValidUTF8(got, "") != got {
			t.Errorf("clean(%q) = %q", text, got)
		}
		if again := machine.Clean(got); again != got {
			t.Errorf("clean(%q) = %q, cleaned again %q", text, got, again)
		}
	})
}
