package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/atomicfile"
	"github.com/pacewire/pacewire/telemetry"
)

// stored returns an inventory with entries in a folder, and the folder.
func stored(t *testing.T) (*inventory, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "inventory")
	v := newInventory(dir, bustest.Log(t))
	if err := v.load(all); err != nil {
		t.Fatal(err)
	}
	for n, text := range []string{"first", "second", ""} {
		d := telemetry.PluginData{
			Plugin: fmt.Sprint("plugin ", n), Type: telemetry.DataInfo, Time: 5, DurationUS: 6, ProgramVersion: "1", Config: telemetry.Digest{4},
			Data: telemetry.Facts{"text": text + "\n\x00"}, Truncated: true, Digest: telemetry.Digest{byte(n + 1)},
		}
		if text == "" {
			d.Data, d.Error = nil, &telemetry.Fault{Code: telemetry.FaultDenied, Message: "no"}
		}
		r, err := recordOf(d, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		v.put(slot{d.Plugin, d.Type}, r)
	}
	v.put(slot{"plugin 0", telemetry.DataStatus}, &record{data: []byte{0x80}})
	v.save()
	return v, dir
}

func all(string) bool { return true }

// reloaded returns an inventory of what a folder has.
func reloaded(t *testing.T, dir string, wanted func(string) bool) *inventory {
	t.Helper()
	v := newInventory(dir, bustest.Log(t))
	if err := v.load(wanted); err != nil {
		t.Fatal(err)
	}
	return v
}

// An agent that starts again has what it had, tells nobody of it, and asks nobody. What it says itself of a plugin it says anew.
func TestInventoryOutlives(t *testing.T) {
	v, dir := stored(t)
	again := reloaded(t, dir, all)
	for _, name := range []string{"plugin 0", "plugin 1", "plugin 2"} {
		s := slot{name, telemetry.DataInfo}
		was, is := v.at(s), again.at(s)
		if is == nil || !is.same(was) || is.own != was.own || !is.told || string(is.data) != string(was.data) || !is.at.Equal(was.at) || is.took != was.took {
			t.Errorf("%+v, want %+v", is, was)
		}
		if again.held(name) != v.held(name) {
			t.Errorf("%s would be asked", name)
		}
	}
	if again.at(slot{"plugin 0", telemetry.DataStatus}) != nil {
		t.Error("a status was kept")
	}
	if again.tell(); len(again.due(time.Now())) > 0 || len(again.beats) > 0 || again.bytes != v.bytes-1 {
		t.Errorf("%d bytes, want %d", again.bytes, v.bytes-1)
	}
	info, err := os.Stat(again.file(slot{"plugin 0", telemetry.DataInfo}))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// What is gone from the config has no entry and no file any more.
func TestInventoryOfGone(t *testing.T) {
	v, dir := stored(t)
	v.forget(func(plugin string) bool { return plugin == "plugin 1" })
	v.save()
	files := func(want int) {
		t.Helper()
		if names, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(names) != want {
			t.Errorf("%q, %v", names, err)
		}
	}
	files(2)
	again := reloaded(t, dir, func(plugin string) bool { return plugin == "plugin 0" })
	if len(again.records) != 1 {
		t.Errorf("%d entries", len(again.records))
	}
	files(1)
}

// A file that is damaged, in whatever way, is one that is not there.
func TestDamagedFiles(t *testing.T) {
	f := func(what string, damage func(text []byte) []byte) {
		t.Helper()
		v, dir := stored(t)
		path := v.file(slot{"plugin 0", telemetry.DataInfo})
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage(text), 0o600); err != nil {
			t.Fatal(err)
		}
		again := reloaded(t, dir, all)
		if _, err := os.Stat(path); again.at(slot{"plugin 0", telemetry.DataInfo}) != nil || again.at(slot{"plugin 1", telemetry.DataInfo}) == nil || err == nil {
			t.Errorf("%s: %+v", what, again.records)
		}
	}
	f("empty", func([]byte) []byte { return nil })
	f("cut", func(text []byte) []byte { return text[:len(text)-1] })
	f("cut in its first line", func(text []byte) []byte { return text[:20] })
	f("other facts", func(text []byte) []byte { text[len(text)-1] ^= 1; return text })
	f("zeroes", func(text []byte) []byte { return make([]byte, len(text)) })
	f("another version", func(text []byte) []byte { return []byte(strings.Replace(string(text), `"v":1`, `"v":2`, 1)) })
	f("another plugin", func(text []byte) []byte { return []byte(strings.Replace(string(text), `plugin 0`, `../../x`, 1)) })
	f("facts that it says it has not", func(text []byte) []byte {
		return []byte(strings.Replace(string(text), `"data":true`, `"data":false`, 1))
	})
}

// What was being written when the power went is removed, and what is none of ours stays.
func TestStrayFiles(t *testing.T) {
	v, dir := stored(t)
	stray := v.file(slot{"plugin 0", telemetry.DataInfo}) + atomicfile.Ending
	other := filepath.Join(dir, "README")
	folder := filepath.Join(dir, "x"+fileEnding)
	for _, path := range []string{stray, other} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if again := reloaded(t, dir, all); len(again.records) != 3 {
		t.Errorf("%d entries", len(again.records))
	}
	if _, err := os.Stat(stray); err == nil {
		t.Error("the stray file is there")
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	if err := newInventory(other, bustest.Log(t)).load(all); err == nil || !strings.Contains(err.Error(), "folder of the inventory") {
		t.Errorf("%v", err)
	}
}

// A full disk costs the new entry, until there is room, and not the one that is there.
func TestFullDisk(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full, which writes as a full disk does:", err)
	}
	v, dir := stored(t)
	s := slot{"plugin 0", telemetry.DataInfo}
	was := v.at(s)
	full := func() {
		t.Helper()
		if err := os.Symlink("/dev/full", v.file(s)+atomicfile.Ending); err != nil {
			t.Fatal(err)
		}
	}
	full()
	d := telemetry.PluginData{Plugin: s.plugin, Type: s.typ, Data: telemetry.Facts{"text": "new"}}
	is, err := recordOf(d, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	v.put(s, is)
	begun := time.Now()
	v.save()
	if r := reloaded(t, dir, all).at(s); r == nil || !r.same(was) {
		t.Errorf("%+v, want what was there before", r)
	}
	if _, err := os.Lstat(v.file(s) + atomicfile.Ending); err == nil {
		t.Error("half a file is left")
	}
	v.saveDue(begun.Add(saveFirst - time.Second))
	if r := reloaded(t, dir, all).at(s); r == nil || r.same(is) {
		t.Error("it is tried again at once")
	}
	full()
	v.saveDue(time.Now().Add(saveFirst))
	if v.saveWait != 2*saveFirst || !v.unsaved[s] {
		t.Errorf("next try in %v, entries to be written %v", v.saveWait, v.unsaved)
	}
	v.saveDue(time.Now().Add(2 * saveFirst))
	if r := reloaded(t, dir, all).at(s); r == nil || !r.same(is) || v.saveWait != 0 || len(v.unsaved) > 0 {
		t.Errorf("%+v is not written, next try in %v", r, v.saveWait)
	}
}

func FuzzParseEntry(f *testing.F) {
	text, err := format(&record{item: telemetry.InventoryItem{Plugin: "p", Type: "info"}, data: []byte{0x80}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		s, r, err := parse(text)
		if err == nil && (r == nil || r.item.Plugin != s.plugin || r.data != nil && telemetry.DigestOf(r.data) != r.item.Digest) {
			t.Errorf("%q: %+v", text, r)
		}
	})
}
