package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/golden"
	"github.com/pacewire/pacewire/internal/machine"
	"github.com/pacewire/pacewire/internal/machinetest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

func look(t *testing.T, dir string, most int) (telemetry.Facts, error) {
	t.Helper()
	facts := telemetry.Facts{}
	err := packages{Config{machine.Dir(dir), most}}.Survey(t.Context(), facts)
	return facts, err
}

func TestMachines(t *testing.T) {
	f := func(name string) {
		t.Helper()
		facts, err := look(t, machinetest.New(t, "testdata/"+name+".txt"), 100)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, "testdata/"+name+".golden", machinetest.Show(t, facts))
	}
	f("debian")
	f("distroless")
	f("alpine")
	f("arch")
}

// A machine with several managers has the packages of each.
func TestSeveral(t *testing.T) {
	dir := machinetest.New(t, "testdata/debian.txt")
	machinetest.Put(t, dir, "lib/apk/db/installed", "P:musl\nV:1\nA:x\n")
	facts, err := look(t, dir, 100)
	lists := facts["packages"].(map[string][]item)
	if err != nil || facts["count"] != 5 || len(lists["apk"]) != 1 || len(lists["dpkg"]) != 4 {
		t.Errorf("facts = %v, %v", facts, err)
	}
}

func TestMost(t *testing.T) {
	f := func(most int, truncated any, listed int) {
		t.Helper()
		facts, err := look(t, machinetest.New(t, "testdata/debian.txt"), most)
		n := len(facts["packages"].(map[string][]item)["dpkg"])
		if err != nil || facts["truncated"] != truncated || n != listed || facts["count"] != 4 {
			t.Errorf("most %d: %v, %v", most, facts, err)
		}
	}
	f(3, true, 3)
	f(4, nil, 4)
}

func TestFaults(t *testing.T) {
	f := func(machine string, want error, text string, change func(dir string)) {
		t.Helper()
		dir := machinetest.New(t, "testdata/"+machine+".txt")
		change(dir)
		machinetest.Unprivileged(t, dir, func() {
			facts, err := look(t, dir, 100)
			if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v, %v; want %v with %q", machine, facts, err, want, text)
			}
		})
	}
	f("debian", fs.ErrPermission, "dpkg: open ", func(dir string) { machinetest.Forbid(t, dir, dpkgStatus) })
	f("distroless", fs.ErrPermission, "dpkg: open ", func(dir string) { machinetest.Forbid(t, dir, dpkgFolder) })
	f("alpine", fs.ErrPermission, "apk: open ", func(dir string) { machinetest.Forbid(t, dir, "lib/apk/db/installed") })
	f("arch", fs.ErrPermission, "pacman: open ", func(dir string) { machinetest.Forbid(t, dir, pacmanFolder) })
	f("debian", fs.ErrNotExist, "no package manager below", func(dir string) { machinetest.Link(t, dir, dpkgStatus, "away") })
	f("debian", exec.ErrNotFound, "rpm: read ", func(dir string) { machinetest.Put(t, dir, "var/lib/rpm/rpmdb.sqlite", "SQLite format 3\x00") })
}

// One bad file costs only what is in it.
func TestHalf(t *testing.T) {
	dir := machinetest.New(t, "testdata/arch.txt")
	machinetest.Pipe(t, dir, "var/lib/pacman/local/zlib-1:1.3.1-2/desc")
	facts, err := look(t, dir, 100)
	if err == nil || !strings.Contains(err.Error(), "not a regular file") || facts["count"] != 1 {
		t.Errorf("facts = %v, %v", facts, err)
	}
	dir = machinetest.New(t, "testdata/debian.txt")
	machinetest.Put(t, dir, "var/lib/rpm/Packages", "")
	if facts, err = look(t, dir, 100); err == nil || facts["count"] != 4 || fmt.Sprint(facts["managers"]) != "[dpkg rpm]" {
		t.Errorf("facts = %v, %v", facts, err)
	}
}

// However long the names are and however many packages there are, the facts can be sent.
func TestHostile(t *testing.T) {
	dir := t.TempDir()
	long := strings.Repeat("x", 300)
	machinetest.Put(t, dir, dpkgStatus, strings.Repeat("Package: "+long+"\nVersion: "+long+"\nArchitecture: "+long+"\n\n", 20_000)+
		strings.Repeat("\xff", 1<<20)+"\n"+strings.Repeat("\x00\n", 1000))
	facts, err := look(t, dir, maxMost)
	if err != nil || facts["count"] != 20_000 || facts["truncated"] != true {
		t.Errorf("%v packages, truncated %v, %v", facts["count"], facts["truncated"], err)
	}
	if err := sendable(facts); err != nil {
		t.Error(err)
	}
	machinetest.Pipe(t, dir, dpkgStatus)
	if _, err := look(t, dir, maxMost); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe as database: %v", err)
	}
}

// As many packages as may be listed come through all limits of the wire.
func TestLargest(t *testing.T) {
	dir := t.TempDir()
	var status strings.Builder
	for i := range maxMost + 1 {
		fmt.Fprintf(&status, "Package: package-%d\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.%d-1+deb12u1\n\n", i, i)
	}
	machinetest.Put(t, dir, dpkgStatus, status.String())
	facts, err := look(t, dir, maxMost)
	if err != nil || facts["count"] != maxMost+1 || facts["truncated"] != true {
		t.Errorf("%v packages, truncated %v, %v", facts["count"], facts["truncated"], err)
	}
	if err := sendable(facts); err != nil {
		t.Error(err)
	}
}

// sendable reports why facts do not come through: each message below its limit, and all of them together again.
func sendable(facts telemetry.Facts) error {
	d := telemetry.PluginData{Version: telemetry.ProtocolVersion, Host: "web-1", Plugin: "packages", Type: telemetry.DataInfo,
		Time: time.Now().UnixNano(), Data: facts}
	parts, err := d.Split(telemetry.MsgPack)
	if err != nil {
		return err
	}
	for i, p := range parts {
		message, err := telemetry.EncodeControl(p, telemetry.MsgPack)
		if err != nil {
			return err
		}
		if len(message) > 256<<10 {
			return fmt.Errorf("a message of %d bytes", len(message))
		}
		if parts[i], _, err = telemetry.DecodePluginData(message); err != nil {
			return err
		}
	}
	_, err = telemetry.JoinPluginData(parts)
	return err
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := packages{Config{machine.Dir(machinetest.New(t, "testdata/debian.txt")), 100}}
	facts := telemetry.Facts{}
	if err := p.Survey(ctx, facts); !errors.Is(err, context.Canceled) || facts["count"] != 0 {
		t.Errorf("survey after the end of its context: %v, %v", facts, err)
	}
}

func TestNew(t *testing.T) {
	d := Define()
	made, err := d.Build(t.Context(), d.Defaults(), plugin.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if p := made.(packages); p.Root != "/" || p.Most != 20_000 {
		t.Errorf("made %+v", p)
	}
}

func TestValidate(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		if err := c.Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", c, err, want)
		}
	}
	f(Config{"/", 1}, "")
	f(Config{"", 1}, `root "": want a folder`)
	f(Config{"/", 0}, "most 0: want 1 to 50000")
	f(Config{"/", 50_001}, "most 50001")
}

func FuzzParagraphs(f *testing.F) {
	f.Add("Package: a\nVersion: 1\n\nPackage: b\nStatus: x installed")
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		machinetest.Put(t, dir, dpkgStatus, text)
		for it, err := range readDpkg(machine.Dir(dir)) {
			if err == nil && (it[0] == "" || !strings.Contains(text, "Package:")) {
				t.Errorf("package %q of %q", it, text)
			}
		}
	})
}

func BenchmarkSurvey(b *testing.B) {
	dir := b.TempDir()
	var status strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&status, "Package: package-%d\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1:2.%d-1\nDescription: %s\n\n", i, i, strings.Repeat("word ", 200))
	}
	machinetest.Put(b, dir, dpkgStatus, status.String())
	b.ReportAllocs()
	b.SetBytes(int64(status.Len()))
	for b.Loop() {
		if err := (packages{Config{machine.Dir(dir), 20_000}}).Survey(b.Context(), telemetry.Facts{}); err != nil {
			b.Fatal(err)
		}
	}
}
