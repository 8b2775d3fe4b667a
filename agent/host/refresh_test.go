package host

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// refreshed asks the agent of h1 for a refresh as a hub does.
func refreshed(t *testing.T, conn *bus.Conn, r telemetry.CtlRequest) (telemetry.RefreshManifest, *telemetry.Fault) {
	t.Helper()
	r.ID = "9"
	body, err := telemetry.EncodeControl(r, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := conn.Request(t.Context(), bus.CtlSubject("h1", bus.Agent, "refresh"), body)
	if err != nil {
		t.Fatal(err)
	}
	reply, _, err := telemetry.DecodeCtlReply(answer)
	if err != nil || reply.ID != "9" {
		t.Fatalf("%+v: %v", reply, err)
	}
	if !reply.OK {
		return telemetry.RefreshManifest{}, reply.Error
	}
	list, _, err := telemetry.DecodeRefreshManifest(reply.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return list, nil
}

// named returns the entries of a list, each a text.
func named(list []telemetry.RefreshItem) []string {
	var names []string
	for _, it := range list {
		names = append(names, slot{it.Plugin, it.Type}.String())
	}
	return names
}

func TestRefreshCached(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p := newTeller(t, b, h, "one")
	p.set(telemetry.DataInfo, telemetry.Facts{"cpus": 4})
	p.held(true)
	tended(t, h)
	k, hub := newKeeper(t, b), b.Conn(t, "hub")
	bustest.Wait(t, soon, "everything is there", func() bool { return len(h.inventory.refreshItems(time.Now())) == 5 })
	f := func(list string, want ...string) {
		t.Helper()
		k.mu.Lock()
		k.seen = nil
		k.mu.Unlock()
		got, fault := refreshed(t, hub, telemetry.CtlRequest{Want: want})
		if fault != nil || got.More || strings.Join(named(got.Items), " ") != "agent/info agent/manifest one/info one/manifest one/status" {
			t.Errorf("%q: %v, %+v", want, named(got.Items), fault)
		}
		items, digest := h.inventory.list()
		if len(items) != len(got.Items) || telemetry.InventoryDigest(items) != digest {
			t.Errorf("%q: %d items in a beat", want, len(items))
		}
		for name := range strings.FieldsSeq(list) {
			s := slotOf(name)
			bustest.Wait(t, soon, name+" comes", func() bool { return len(k.of(s)) > 0 })
			d := k.of(s)[0]
			at := slices.IndexFunc(items, func(it telemetry.InventoryItem) bool { return it.Plugin == s.plugin && it.Type == s.typ })
			if d.Digest != items[at].Digest || d.Host != "h1" || d.Inst != h.inst || d.Version != 1 {
				t.Errorf("%s: %+v", name, d)
			}
		}
	}
	f("one/info", "one/info", "nobody/info")
	f("agent/info agent/manifest one/info one/manifest one/status", "*")
	f("")
	if d := k.of(slot{"one", telemetry.DataInfo}); len(d) > 0 && fmt.Sprint(d[0].Data) != "map[cpus:4]" {
		t.Errorf("%+v", d[0].Data)
	}
	if n := len(p.requests()); n != 1 {
		t.Errorf("the plugin was asked %d times", n)
	}
}

// G4: whoever asks while facts are collected joins, and whoever asks right after gets what was found.
func TestCollectJoins(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p := newTeller(t, b, h, "one")
	p.set(telemetry.DataInfo, telemetry.Facts{"cpus": 4})
	p.held(true)
	asked := len(p.requests())
	done := make(chan string, 3)
	for range cap(done) {
		go func() {
			list, fault := refreshed(t, b.Conn(t, "hub"), telemetry.CtlRequest{Want: []string{"*"}, Mode: telemetry.ModeCollect})
			done <- fmt.Sprint(len(list.Items), fault)
		}()
	}
	for range cap(done) {
		if got := <-done; got != "2 <nil>" {
			t.Error(got)
		}
	}
	if got := p.requests()[asked:]; len(got) != 1 || got[0] != "one/info" {
		t.Errorf("asked for %q", got)
	}
	if h.refreshing() {
		t.Error("still refreshing")
	}
}

// A collector that does not come back is told as a fault; the others are not kept waiting, and more than a few refreshes are
// refused.
func TestCollectHangs(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	h.o.Times.Survey = 6 * time.Second // within which all of them are under way
	p, other := newTeller(t, b, h, "one"), newTeller(t, b, h, "two")
	for _, p := range []*teller{p, other} {
		p.set(telemetry.DataInfo, telemetry.Facts{"cpus": 4})
		p.held(true)
	}
	p.mu.Lock()
	p.deaf = true
	p.mu.Unlock()
	done := make(chan telemetry.RefreshManifest, refreshers)
	for range refreshers {
		go func() {
			list, _ := refreshed(t, b.Conn(t, "hub"), telemetry.CtlRequest{Mode: telemetry.ModeCollect})
			done <- list
		}()
	}
	bustest.Wait(t, soon, "all are under way", func() bool { return len(h.gathering.asked) == refreshers })
	if !h.refreshing() {
		t.Error("nobody refreshes")
	}
	if _, fault := refreshed(t, b.Conn(t, "hub"), telemetry.CtlRequest{}); fault == nil || fault.Code != telemetry.FaultTimeout {
		t.Errorf("one too many: %+v", fault)
	}
	for range refreshers {
		list := <-done
		if len(list.Items) != 4 {
			t.Fatalf("%v", named(list.Items))
		}
		for _, it := range list.Items {
			hung := it.Plugin == "one" && it.Type == telemetry.DataInfo
			if hung != (it.Error != nil) || hung && it.Error.Code != telemetry.FaultTimeout {
				t.Errorf("%s/%s: %+v", it.Plugin, it.Type, it.Error)
			}
		}
	}
	p.mu.Lock()
	p.deaf = false
	p.mu.Unlock()
	p.send(telemetry.DataInfo)
	bustest.Wait(t, soon, "the fault is gone", func() bool { return h.inventory.at(slot{"one", telemetry.DataInfo}).fault == nil })
}

// Facts that are older than a request takes are collected anew.
func TestMaxAge(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p := newTeller(t, b, h, "one")
	p.set(telemetry.DataInfo, telemetry.Facts{"cpus": 4})
	p.held(true)
	if got := h.toSurvey(telemetry.CtlRequest{Want: []string{"one/info"}, MaxAgeMS: 1000}); !slices.Equal(got, []string{"one"}) {
		t.Errorf("old facts: %q", got)
	}
	f := func(r telemetry.CtlRequest) {
		t.Helper()
		if got := h.toSurvey(r); got != nil {
			t.Errorf("%+v: %q", r, got)
		}
	}
	f(telemetry.CtlRequest{Want: []string{"one/info"}, MaxAgeMS: 1 << 40})
	f(telemetry.CtlRequest{Want: []string{"one/manifest", "two/info"}, Mode: telemetry.ModeCollect})
	f(telemetry.CtlRequest{Want: []string{"*"}})
}

// The list of many plugins comes by pages.
func TestRefreshPages(t *testing.T) {
	b := bustest.New(t)
	text := "collect:\n"
	for i := range 300 {
		text += fmt.Sprintf("  a-plugin-with-a-rather-long-name-%03d: { use: numbers }\n", i)
	}
	h := connected(t, b, text)
	for _, e := range h.entries() {
		for _, typ := range []string{telemetry.DataManifest, telemetry.DataInfo} {
			h.inventory.fail(slot{e.name, typ}, invalid("%s", strings.Repeat("x", 100)), false)
		}
		h.inventory.stirs(e.name)
	}
	h.describe()
	conn := b.Conn(t, "hub")
	var names []string
	pages, after := 0, ""
	for more := true; more && pages < 20; pages++ {
		list, fault := refreshed(t, conn, telemetry.CtlRequest{Args: map[string]any{"after": after}})
		if fault != nil {
			t.Fatalf("page %d: %+v", pages, fault)
		}
		names = append(names, named(list.Items)...)
		more, after = list.More, names[len(names)-1]
	}
	if len(names) != 902 || !slices.IsSorted(names) || len(slices.Compact(names)) != 902 || pages < 3 {
		t.Errorf("%d names on %d pages", len(names), pages)
	}
}

func TestPing(t *testing.T) {
	b := bustest.New(t)
	connected(t, b, collectors)
	reply := command(t, b.Conn(t, "hub"), telemetry.MsgPack, "ping", nil)
	if _, _, err := telemetry.DecodePulseStatus(reply.Payload); err != nil || !reply.OK {
		t.Errorf("%+v: %v", reply, err)
	}
	if reply := command(t, b.Conn(t, "hub"), telemetry.JSON, "beat", nil); !reply.OK || len(reply.Payload) > 0 {
		t.Errorf("%+v", reply)
	}
}
