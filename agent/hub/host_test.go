package hub

import (
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/pacewire/pacewire/telemetry"
)

// holding checks that a host holds entries in order, and has their digest.
func (x *host) holding(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, it := range x.held {
		got = append(got, it.Plugin+"/"+it.Type+" "+it.Version)
	}
	if !slices.Equal(got, want) || x.sum != telemetry.InventoryDigest(x.items()) {
		t.Errorf("%q, want %q; digest %v", got, want, x.sum)
	}
}

func item(text string) telemetry.InventoryItem {
	name, version, _ := strings.Cut(text, " ")
	e := entryOf(name)
	return telemetry.InventoryItem{Plugin: e.plugin, Type: e.typ, Version: version, Digest: telemetry.DigestOf([]byte(text))}
}

func TestHeld(t *testing.T) {
	x := &host{id: "web"}
	x.hold([]telemetry.InventoryItem{item("os/info 1"), item("cpu/status 1"), item("cpu/info 1"), item("os/info 1"), item("a.b/info 1")})
	x.holding(t, "a.b/info 1", "cpu/info 1", "cpu/status 1", "os/info 1")
	for _, it := range []string{"cpu/manifest 1", "cpu/info 2", "a/info 1", "z/info 1"} {
		x.keep(item(it))
	}
	all := []string{"a/info 1", "a.b/info 1", "cpu/info 2", "cpu/manifest 1", "cpu/status 1", "os/info 1", "z/info 1"}
	x.holding(t, all...)
	taken, before := x.items(), slices.Clone(all)
	for n, text := range all {
		if i, held := x.find(entryOf(strings.Fields(text)[0])); !held || i != n {
			t.Errorf("%s is at %d, %v", text, i, held)
		}
	}
	for _, name := range []string{"", "a/zoo", "cpu/", "zz/info"} {
		if i, held := x.find(entryOf(name)); held {
			t.Errorf("%s is at %d", name, i)
		}
	}

	all = slices.Delete(all, 4, 5)
	listed := map[entry]bool{{"new", "info"}: true}
	for _, text := range all {
		listed[entryOf(strings.Fields(text)[0])] = true
	}
	if !x.discard(listed) {
		t.Error("nothing was discarded")
	}
	x.holding(t, all...)
	if len(x.gone) != 1 || !x.gone[entry{"cpu", "status"}] {
		t.Errorf("to be removed: %v", x.gone)
	}
	x.forget()
	x.holding(t)
	if len(x.gone) != 7 {
		t.Errorf("to be removed: %v", x.gone)
	}
	if x.discard(nil) {
		t.Error("there was nothing to discard")
	}
	x.hold(nil)
	x.holding(t)
	for i, it := range taken { // a record that is being written
		if it != item(before[i]) {
			t.Errorf("what was taken has changed: %+v", it)
		}
	}
}

// A hundred thousand hosts have the same programs: their names are kept once.
func TestHeldIsShared(t *testing.T) {
	x, y := &host{id: "web"}, &host{id: "db"}
	x.hold([]telemetry.InventoryItem{item(strings.Clone("cpu/info 1.2.3"))})
	y.keep(item(strings.Clone("cpu/info 1.2.3")))
	a, b := x.held[0], y.held[0]
	for _, pair := range [][2]string{{a.Plugin, b.Plugin}, {a.Type, b.Type}, {a.Version, b.Version}} {
		if unsafe.StringData(pair[0]) != unsafe.StringData(pair[1]) {
			t.Errorf("%q is kept twice", pair[0])
		}
	}
}
