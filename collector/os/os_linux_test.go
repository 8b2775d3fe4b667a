package os

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/pacewire/pacewire/internal/golden"
	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/internal/machinetest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// at returns the collector of the machine in dir.
func at(dir string) linux {
	below := func(name string) machine.Dir { return machine.Dir(filepath.Join(dir, name)) }
	return linux{Config{Proc: below("proc"), Sys: below("sys"), Root: machine.Dir(dir)}}
}

// survey returns the facts that l finds; the arch, which is the tester's, is checked and taken out.
func survey(t *testing.T, l linux) (telemetry.Facts, error) {
	t.Helper()
	facts := telemetry.Facts{}
	err := l.Survey(t.Context(), facts)
	if facts["arch"] != runtime.GOARCH {
		t.Errorf("arch = %v, want %s", facts["arch"], runtime.GOARCH)
	}
	delete(facts, "arch")
	return facts, err
}

func TestMachines(t *testing.T) {
	f := func(name string) {
		t.Helper()
		l := at(machinetest.New(t, "testdata/"+name+".txt"))
		facts, err := survey(t, l)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, "testdata/"+name+".golden", machinetest.Show(t, facts))
	}
	f("server")
	f("vm")
	f("container")
}

// What cannot be read is told with its class, and costs no other fact.
func TestFaults(t *testing.T) {
	f := func(want error, lost, file string, change func(dir, file string)) {
		t.Helper()
		dir := machinetest.New(t, "testdata/server.txt")
		change(dir, file)
		machinetest.Unprivileged(t, dir, func() {
			facts, err := survey(t, at(dir))
			if !errors.Is(err, want) || !strings.Contains(err.Error(), file) {
				t.Errorf("%s: %v, want %v", file, err, want)
			}
			for _, key := range []string{"id", "kernel", "hostname", "boot_id", "machine_id_digest"} {
				if _, ok := facts[key]; ok == (key == lost) {
					t.Errorf("without %s: fact %s there %v", lost, key, ok)
				}
			}
		})
	}
	forbid := func(dir, file string) { machinetest.Forbid(t, dir, file) }
	away := func(dir, file string) { machinetest.Link(t, dir, file, "away") }
	loop := func(dir, file string) { machinetest.Link(t, dir, file, filepath.Base(file)) }
	f(fs.ErrNotExist, "id", "usr/lib/os-release", away)
	f(fs.ErrNotExist, "", "proc/sys/kernel/osrelease", away)
	f(fs.ErrPermission, "id", "etc/os-release", forbid)
	f(fs.ErrPermission, "machine_id_digest", "etc/machine-id", forbid)
	f(syscall.ELOOP, "boot_id", "proc/sys/kernel/random/boot_id", loop)
}

// A file that is not what it should be gives facts of a bounded size, and is never waited for.
func TestHostile(t *testing.T) {
	dir := machinetest.New(t, "testdata/server.txt")
	machinetest.Put(t, dir, "etc/os-release", "ID="+strings.Repeat("x", 1<<16)+"\nNAME=\"a\x1b[31m\\0\xff\"\nVERSION_ID=\n=\n"+strings.Repeat("y\n", 1<<20))
	machinetest.Put(t, dir, "proc/sys/kernel/random/boot_id", strings.Repeat("\xff", 1<<16))
	machinetest.Put(t, dir, "etc/hosts", strings.Repeat("1 db-7", 1<<18))
	machinetest.Pipe(t, dir, "etc/hostname")
	facts, err := survey(t, at(dir))
	for _, want := range []string{"os-release: too long", "hostname: not a regular file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
	if text := machinetest.Show(t, facts); len(text) > 4<<10 || facts["hostname"] != "another-namespace" || facts["name"] != "a [31m ?" {
		t.Errorf("facts are %d bytes: %.2000s", len(text), text)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := at(t.TempDir()).Survey(ctx, telemetry.Facts{}); !errors.Is(err, context.Canceled) {
		t.Errorf("survey after the end of its context: %v", err)
	}
}

func TestThisMachine(t *testing.T) {
	d := Define()
	made, err := d.Build(t.Context(), d.Defaults(), plugin.Env{})
	if err != nil {
		t.Fatal(err)
	}
	facts := telemetry.Facts{}
	err = made.(interface {
		Survey(context.Context, telemetry.Facts) error
	}).Survey(t.Context(), facts)
	if facts["hostname"] == "" || facts["arch"] != runtime.GOARCH {
		t.Errorf("facts of this machine: %v, %v", facts, err)
	}
}

func TestPlain(t *testing.T) {
	facts := telemetry.Facts{}
	if err := (plain{}).Survey(t.Context(), facts); err != nil || facts["id"] != runtime.GOOS || facts["hostname"] == nil {
		t.Errorf("facts %v, %v", facts, err)
	}
}

func TestValidate(t *testing.T) {
	err := Config{}.Validate()
	for _, want := range []string{`proc "": want a folder, such as /proc`, `sys ""`, `root ""`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q in it", err, want)
		}
	}
}

func TestUnquote(t *testing.T) {
	f := func(value, want string) {
		t.Helper()
		if got := unquote(value); got != want {
			t.Errorf("unquote(%s) = %s, want %s", value, got, want)
		}
	}
	f(`debian`, "debian")
	f(`"Debian GNU/Linux"`, "Debian GNU/Linux")
	f(`'12'`, "12")
	f(`"a \"b\" \$c \\d"`, `a "b" $c \d`)
	f(`'a \"b'`, `a \"b`)
	f(`"`, `"`)
	f(`"a'`, `"a'`)
	f(``, "")
}

func TestDigest(t *testing.T) {
	id := strings.Repeat("0a", 16)
	if d := digest(id); len(d) != 32 || d == id || d != digest(id) || d == digest(strings.Repeat("0b", 16)) {
		t.Errorf("digest(%s) = %s", id, d)
	}
	for _, none := range []string{"", "uninitialized"} {
		if d := digest(none); d != "" {
			t.Errorf("digest(%q) = %s, want none", none, d)
		}
	}
}

func FuzzRelease(f *testing.F) {
	f.Add("ID=debian\nNAME=\"Debian\"\n")
	f.Add("export LANG='x'\n\x00=\xff")
	f.Fuzz(func(t *testing.T, text string) {
		for key, value := range assignments(strings.Lines(text)) {
			if strings.Contains(key, "=") || len(value) > len(text) {
				t.Errorf("%q = %q", key, value)
			}
		}
	})
}
