package hub

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// entries are as many as a host may have, whose plugins have names of a length.
func entries(length int) []telemetry.InventoryItem {
	list := make([]telemetry.InventoryItem, mostEntries)
	for i := range list {
		name := fmt.Sprintf("plugin-%04d", i)
		list[i] = item(name + strings.Repeat("x", length-len(name)) + "/manifest 1.20.300-rc.1")
	}
	return list
}

// A host with the most entries is known again after a restart, with all of them.
func TestRecordOfMostEntries(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b, swift)
	a := agentOf(t, b, "web", "i1", 1)
	a.beat()
	want := entries(32)
	r.mu.Lock()
	x := r.fleet["web"]
	x.hold(want)
	r.save(x)
	r.mu.Unlock()
	told(t, b, "UP", is(1, "up", "web"))
	bustest.Wait(t, limit, "the record", func() bool { return !r.busy() })
	r.stop()
	r = start(t, b, swift)
	if r.state("web") != telemetry.HostUp || r.holds("web") != telemetry.InventoryDigest(want) || r.counted("records_unreadable") != 0 {
		t.Errorf("after a restart web is %s, with %v; counts %v", r.state("web"), r.holds("web"), r.Status().Counts)
	}
}

// A record is never too large to be read, however long the names of its entries and whatever else the host says.
func TestRecordIsBounded(t *testing.T) {
	h := New(Options{Log: bustest.Log(t)})
	if err := h.hears(t.Context(), "web", "i1", 1); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	x := h.at("web")
	x.labels = map[string]string{"notes": strings.Repeat("x", maxBeat)}
	f := func(length int, all bool) {
		t.Helper()
		x.hold(entries(length))
		body, err := telemetry.EncodeControl(h.record(x), telemetry.MsgPack)
		if err != nil {
			t.Fatal(err)
		}
		r, _, err := telemetry.DecodeHostRecord(body)
		if err != nil || len(r.Items) == 0 || all != (len(r.Items) == mostEntries) {
			t.Errorf("names of %d bytes: %d bytes, %d items, %v", length, len(body), len(r.Items), err)
		}
	}
	f(20, true)
	f(64, true)
	f(200, false)
	f(5000, false)
}
