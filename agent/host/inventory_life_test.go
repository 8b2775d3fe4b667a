package host

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// factual runs a host with a collector that knows what stands in a file, and keeps its inventory in dir.
func factual(t *testing.T, dir string) (r *rig, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "known")
	if err := os.WriteFile(file, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = rigged(t, fmt.Sprintf("collect: { facts: { journal: %s } }\n", file), func(o *Options) { o.InventoryDir = dir })
	return r, file
}

// agrees waits until a plugin has n entries, and its own digest is that of what is held of it.
func (r *rig) agrees(name string, n int) {
	r.Helper()
	bustest.Wait(r, soon, name+" is held", func() bool {
		e := r.h.find(name)
		e.mu.Lock()
		last := e.now.last
		e.mu.Unlock()
		return int(last.Items) == n && last.Digest == r.h.inventory.held(name)
	})
}

// of returns how many entries a plugin itself has told.
func (v *inventory) of(plugin string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.owned(plugin))
}

// An agent has what a real plugin knows; one that starts again has the same, and asks nobody. G3: facts that are new are told.
func TestInventoryOfPlugin(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "inventory")
	r, file := factual(t, dir)
	r.agrees("facts", 2)
	k := newKeeper(t, r.b)
	if err := os.WriteFile(file, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.h.Restart(t.Context(), "facts"); err != nil { // it surveys, as it does each hour
		t.Fatal(err)
	}
	r.agrees("facts", 2)
	begun := time.Now()
	list, fault := refreshed(t, r.b.Conn(t, "hub"), telemetry.CtlRequest{Want: []string{"facts/info"}, Mode: telemetry.ModeCollect})
	t.Logf("facts of a moment ago came after %v", time.Since(begun)) // and are not collected anew, which would wait
	if fault != nil || fmt.Sprint(named(list.Items)) != "[agent/info agent/manifest facts/info facts/manifest facts/status]" {
		t.Fatalf("%v, %+v", named(list.Items), fault)
	}
	info := slot{"facts", telemetry.DataInfo}
	bustest.Wait(t, soon, "the newest facts", func() bool { return len(k.of(info)) > 0 && fmt.Sprint(k.of(info)[0].Data) == "map[text:second]" })
	if it := list.Items[2]; it.Digest != k.of(info)[0].Digest || it.AgeMS > 60_000 || it.Error != nil || it.Size == 0 {
		t.Errorf("%+v", it)
	}
	r.agrees("facts", 2)
	held := r.h.inventory.held("facts")
	r.stop()
	again := newInventory(dir, bustest.Log(t))
	if err := again.load(all); err != nil || again.held("facts") != held || again.of("facts") != 2 {
		t.Errorf("%d entries, %v", again.of("facts"), err)
	}
}

// What a file tells is not asked for.
func TestInventoryAfterRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "inventory")
	r, _ := factual(t, dir)
	r.agrees("facts", 2)
	r.stop()
	next := newHost(t, r.b.URL, "collect: { facts: { attached: true } }\n")
	next.o.InventoryDir, next.inventory.dir = dir, dir
	stop := run(t, next)
	defer stop()
	<-next.Ready()
	p := newTeller(t, r.b, next, "facts")
	v := next.inventory
	v.mu.Lock()
	owned := v.owned("facts")
	v.mu.Unlock()
	p.Heartbeat.Digest = telemetry.InventoryDigest(owned)
	if ack := p.accepted(); ack.Digest != p.Heartbeat.Digest || len(owned) != 2 {
		t.Errorf("%d entries, %+v", len(owned), ack)
	}
	if got := p.requests(); got != nil {
		t.Errorf("asked for %q", got)
	}
}

// However often an entry changes, it is published once a second, and then the agent beats.
func TestPublishedOnceASecond(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p, k := newTeller(t, b, h, "one"), newKeeper(t, b)
	p.held(true)
	tended(t, h)
	info := slot{"one", telemetry.DataInfo}
	begun := time.Now()
	for n := 0; time.Since(begun) < 1500*time.Millisecond; n++ {
		r, err := recordOf(telemetry.PluginData{Plugin: "one", Type: telemetry.DataInfo, Data: telemetry.Facts{"n": n}}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		h.inventory.put(info, r)
		time.Sleep(10 * time.Millisecond) // it is the rate that is tested
	}
	last := h.inventory.at(info).item.Digest
	bustest.Wait(t, soon, "the last one", func() bool { l := k.of(info); return len(l) > 0 && l[len(l)-1].Digest == last })
	if n, most := len(k.of(info)), int(time.Since(begun)/time.Second)+2; n > most {
		t.Errorf("published %d times, at most %d are due", n, most)
	}
	bustest.Wait(t, soon, "a beat is due", func() bool { return len(h.inventory.changed()) > 0 })
}

// Plugins come and go with the config, and their entries with them; the status follows the state.
func TestInventoryFollowsConfig(t *testing.T) {
	r := rigged(t, pair)
	r.agrees("sink", 1)
	k := newKeeper(t, r.b)
	status := slot{"sink", telemetry.DataStatus}
	if _, err := r.h.Stop(t.Context(), "sink"); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, soon, "its status is told", func() bool {
		l := k.of(status)
		return len(l) > 0 && l[len(l)-1].Data["state"] == stopped && l[len(l)-1].Data["reason"] == stoppedBy
	})
	r.reloaded("collect: { numbers: }\n")
	bustest.Wait(t, soon, "its entries are gone", func() bool {
		items, _ := r.h.inventory.list()
		return len(items) == 4 && items[3].Plugin == "numbers"
	})
}
