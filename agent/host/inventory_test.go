package host

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// A teller is a plugin that has an inventory: a pulse with what it tells of itself.
type teller struct {
	*beater
	h     *Host
	mu    sync.Mutex
	data  map[string]telemetry.PluginData // by type
	asked [][]string                      // what refreshes wanted
	deaf  bool                            // it leaves them unanswered
}

// newTeller connects as a collector of h1 that answers refreshes.
func newTeller(t testing.TB, b *bustest.Bus, h *Host, name string) *teller {
	t.Helper()
	p := &teller{h: h, beater: newPulse(t, b, name, "collector", "a"), data: map[string]telemetry.PluginData{}}
	p.Digest, p.State = telemetry.Digest{}, running
	p.set(telemetry.DataManifest, telemetry.Facts{"kind": "collector"})
	decode := func(body []byte) (telemetry.CtlRequest, error) {
		r, _, err := telemetry.DecodeCtlRequest(body)
		return r, err
	}
	_, err := bus.Handle(p.conn, bus.CtlSubject("h1", name, "refresh"), bus.Rules{}, decode, p.refreshed)
	if err == nil {
		err = p.conn.Flush(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// set makes facts what the plugin has, without telling anybody.
func (p *teller) set(typ string, facts telemetry.Facts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	encoded, err := facts.Encode(telemetry.MsgPack)
	if err != nil {
		p.t.Fatal(err)
	}
	p.data[typ] = telemetry.PluginData{
		Version: telemetry.ProtocolVersion, Host: "h1", Inst: p.Inst, Plugin: p.Plugin, Type: typ, Time: 1e18, Data: facts,
		ProgramVersion: "1.2.3", Digest: telemetry.DigestOf(encoded),
	}
}

// items returns the list of what there is.
func (p *teller) items() []telemetry.RefreshItem {
	var list []telemetry.RefreshItem
	for typ, d := range p.data {
		it := telemetry.RefreshItem{Size: 10}
		if d.Data["huge"] != nil {
			it.Size = telemetry.MaxPluginData + 1
		}
		it.Plugin, it.Type, it.Version, it.Digest = p.Plugin, typ, d.ProgramVersion, d.Digest
		list = append(list, it)
	}
	return list
}

// list returns what there is as a heartbeat lists it.
func (p *teller) list() []telemetry.InventoryItem {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []telemetry.InventoryItem
	for _, it := range p.items() {
		list = append(list, it.InventoryItem)
	}
	return list
}

// tell beats with what there is, and returns the digest that the agent holds.
func (p *teller) tell(lists bool) telemetry.Digest {
	p.t.Helper()
	list := p.list()
	p.Heartbeat.Digest, p.Heartbeat.Inventory = telemetry.InventoryDigest(list), nil
	if lists {
		p.Heartbeat.Inventory = list
	}
	return p.accepted().Digest
}

// held beats, and waits until the agent holds what there is; the next beat is told so.
func (p *teller) held(lists bool) {
	p.t.Helper()
	p.tell(lists)
	bustest.Wait(p.t, soon, p.Plugin+" is held", func() bool { return p.h.inventory.held(p.Plugin) == p.Heartbeat.Digest })
	if p.tell(lists) != p.Heartbeat.Digest {
		p.t.Errorf("%s is not told what is held", p.Plugin)
	}
}

// send sends the facts of a type.
func (p *teller) send(typ string) {
	p.t.Helper()
	p.mu.Lock()
	d := p.data[typ]
	p.mu.Unlock()
	parts, err := d.Split(telemetry.MsgPack)
	if err != nil {
		p.t.Error(err)
	}
	for _, part := range parts {
		p.sendPart(part)
	}
}

func (p *teller) sendPart(d telemetry.PluginData) {
	p.t.Helper()
	body, err := telemetry.EncodeControl(d, p.enc)
	if err == nil {
		err = p.conn.Tell(bus.HeartbeatSubject("h1", p.Plugin, bus.PLG), body)
	}
	if err != nil {
		p.t.Error(err)
	}
}

func (p *teller) refreshed(_ context.Context, _ bus.Subject, r telemetry.CtlRequest) ([]byte, error) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Want)
	deaf, list := p.deaf, p.items()
	p.mu.Unlock()
	if deaf {
		return nil, nil
	}
	for _, it := range list {
		if it.Size > telemetry.MaxPluginData && slices.Contains(r.Want, it.Plugin+"/"+it.Type) { // as a plugin does that cannot encode it
			return telemetry.EncodeControl(telemetry.CtlReply{ID: r.ID, Error: &telemetry.Fault{Code: "internal", Message: "too much"}}, telemetry.MsgPack)
		}
	}
	for _, w := range r.Want {
		p.send(slotOf(w).typ)
	}
	payload, err := telemetry.EncodeControl(telemetry.RefreshManifest{Items: list}, telemetry.MsgPack)
	if err != nil {
		return nil, err
	}
	return telemetry.EncodeControl(telemetry.CtlReply{ID: r.ID, OK: true, Payload: payload}, telemetry.MsgPack)
}

// requests returns what the plugin was asked for, each request a text.
func (p *teller) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for _, want := range p.asked {
		list = append(list, strings.Join(slices.Sorted(slices.Values(want)), " "))
	}
	return list
}

// A keeper hears what the agent publishes of its inventory, as a hub does.
type keeper struct {
	mu   sync.Mutex
	seen []telemetry.PluginData
}

func newKeeper(t testing.TB, b *bustest.Bus) *keeper {
	t.Helper()
	k, conn := &keeper{}, b.Conn(t, "hub")
	decode := func(body []byte) (telemetry.PluginData, error) {
		d, _, err := telemetry.DecodePluginData(body)
		return d, err
	}
	_, err := bus.Handle(conn, bus.HeartbeatSubject("h1", bus.Agent, bus.PLG), bus.Rules{}, decode,
		func(_ context.Context, _ bus.Subject, d telemetry.PluginData) ([]byte, error) {
			k.mu.Lock()
			defer k.mu.Unlock()
			k.seen = append(k.seen, d)
			return nil, nil
		})
	if err == nil {
		err = conn.Flush(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// of returns what has come of an entry.
func (k *keeper) of(s slot) (list []telemetry.PluginData) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, d := range k.seen {
		if d.Plugin == s.plugin && d.Type == s.typ {
			list = append(list, d)
		}
	}
	return list
}

// tended keeps the inventory of h until the test ends.
func tended(t testing.TB, h *Host) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := h.tend(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

const collectors = "collect: { one: { use: numbers }, two: { use: numbers } }\n"

// G1: what came before the first heartbeat does not hide what is missing.
func TestEarlyData(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p := newTeller(t, b, h, "one")
	p.set(telemetry.DataInfo, telemetry.Facts{"cpus": 4})
	e := h.find("one")
	e.set(func() { e.now.id = "a" }) // it was given that id
	p.send(telemetry.DataInfo)
	bustest.Wait(t, soon, "it is kept", func() bool { return h.inventory.at(slot{"one", telemetry.DataInfo}) != nil })
	p.held(true)
	if got := p.requests(); len(got) != 1 || got[0] != "one/manifest" {
		t.Errorf("asked for %q", got)
	}
}

// G2: what got lost is asked for, of that plugin alone, and comes within two heartbeats.
func TestLostData(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p, other := newTeller(t, b, h, "one"), newTeller(t, b, h, "two")
	p.held(true)
	other.held(true)
	asked := len(other.requests())
	p.set(telemetry.DataInfo, telemetry.Facts{"cpus": 8})
	if p.tell(true) == p.Heartbeat.Digest {
		t.Fatal("it is held before it came")
	}
	bustest.Wait(t, soon, "it comes", func() bool { return h.inventory.at(slot{"one", telemetry.DataInfo}) != nil })
	if other.tell(true) != other.Heartbeat.Digest || p.tell(true) != p.Heartbeat.Digest {
		t.Error("not held with the second heartbeat")
	}
	if got := p.requests(); len(got) != 2 || got[1] != "one/info" || len(other.requests()) != asked {
		t.Errorf("asked for %q, and the other for %q", got, other.requests())
	}
}

// A plugin that tells the digest alone is asked for its list first, and what it has no longer is forgotten.
func TestListAskedFor(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p := newTeller(t, b, h, "one")
	p.set(telemetry.DataInfo, telemetry.Facts{"cpus": 4})
	p.held(false)
	if got := fmt.Sprintf("%q", p.requests()); got != `["" "one/info one/manifest"]` {
		t.Errorf("asked for %s", got)
	}
	p.mu.Lock()
	delete(p.data, telemetry.DataInfo)
	p.mu.Unlock()
	p.held(true)
	if h.inventory.at(slot{"one", telemetry.DataInfo}) != nil {
		t.Error("facts that it has no longer are kept")
	}
}

// Facts that a plugin cannot send, as they are too large, do not keep its others, and are not asked for again.
func TestTooLargeToSend(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p := newTeller(t, b, h, "one")
	p.set(telemetry.DataInfo, telemetry.Facts{"huge": true})
	p.held(true)
	if r := h.inventory.at(slot{"one", telemetry.DataInfo}); r.data != nil || r.fault == nil || !strings.Contains(r.fault.Message, "at most 8388608") {
		t.Errorf("%+v", r)
	}
	asked := len(p.requests())
	if h.inventory.at(slot{"one", telemetry.DataManifest}).data == nil || asked > 4 {
		t.Errorf("asked for %q", p.requests())
	}
}

// A plugin that does not answer is told as a fault, which is gone when it is seen to have nothing new.
func TestAskedInVain(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p := newPulse(t, b, "one", "collector", "a") // nobody listens there
	p.Inventory = []telemetry.InventoryItem{{Plugin: "one", Type: telemetry.DataInfo, Digest: telemetry.Digest{1}}}
	p.Digest = telemetry.InventoryDigest(p.Inventory)
	p.accepted()
	info := slot{"one", telemetry.DataInfo}
	bustest.Wait(t, soon, "it is told", func() bool { return h.inventory.at(info) != nil })
	if f := h.inventory.at(info).fault; f == nil || !strings.Contains(f.Message, "not connected") {
		t.Errorf("%+v", f)
	}
	p.Inventory, p.Digest = nil, telemetry.InventoryDigest(nil)
	p.accepted()
	if r := h.inventory.at(info); r != nil {
		t.Errorf("%+v", r)
	}
}

// A plugin that does not help is asked ever more rarely.
func TestAskedRarely(t *testing.T) {
	v := newInventory("", bustest.Log(t))
	now := time.Now()
	beat := telemetry.Heartbeat{Digest: telemetry.Digest{1}}
	var waits []string
	for range 9 {
		if !v.differs("one", beat, now) || v.differs("one", beat, now.Add(time.Hour)) {
			t.Fatal("it is not asked once")
		}
		v.tried("one", now)
		wait := time.Second
		for !v.repairs["one"].earliest.Equal(now.Add(wait)) {
			if wait += time.Second; wait > time.Hour {
				t.Fatal("no wait in whole seconds")
			}
		}
		if v.differs("one", beat, now.Add(wait-1)) {
			t.Error("asked too early")
		}
		waits, now = append(waits, wait.String()), now.Add(wait)
	}
	if got := strings.Join(waits, " "); got != "10s 20s 40s 1m20s 2m40s 5m20s 10m0s 10m0s 10m0s" {
		t.Error(got)
	}
	v.differs("one", beat, now)
	v.tried("one", now)
	beat.Digest = telemetry.Digest{2} // it has something new
	if v.differs("one", beat, now) || !v.differs("one", beat, now.Add(repairGap)) {
		t.Error("what is new is not asked for after a second")
	}
}
