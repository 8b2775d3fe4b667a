package hub

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// A keeper is an agent with an inventory that the test changes. It beats when the test says so, and answers what a hub asks.
type keeper struct {
	*agent
	crowd *bustest.Crowd

	mu      sync.Mutex
	entries map[entry]telemetry.PluginData
	wants   []int // how many entries each request wanted
}

func keeperOf(t testing.TB, b *bustest.Bus, host string) *keeper {
	t.Helper()
	k := &keeper{agent: agentOf(t, b, host, "i1", 1), entries: map[entry]telemetry.PluginData{}}
	var err error
	if k.crowd, err = bustest.NewCrowd(bustest.CrowdOptions{URL: b.URL, Name: host, Hear: k.hear}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.crowd.Close)
	if _, err := k.crowd.Listen(bus.Pattern(bus.AreaCtl, bus.Name(host), bus.Agent, bus.Any)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if err := k.crowd.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	return k
}

// set gives an entry facts, of which nobody hears yet.
func (k *keeper) set(name string, facts telemetry.Facts) {
	k.t.Helper()
	e := entryOf(name)
	d := telemetry.PluginData{Version: 1, Host: k.Host, Inst: k.Inst, Plugin: e.plugin, Type: e.typ, ProgramVersion: "1", Time: 1, Data: facts}
	parts, err := d.Split(telemetry.MsgPack)
	if err != nil || len(parts) != 1 {
		k.t.Fatalf("%s in %d parts, %v", name, len(parts), err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.entries[e] = parts[0]
}

// list is the inventory, in order.
func (k *keeper) list() []telemetry.InventoryItem {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []telemetry.InventoryItem
	for _, d := range k.entries {
		list = append(list, telemetry.InventoryItem{Plugin: d.Plugin, Type: d.Type, Version: d.ProgramVersion, Config: d.Config, Digest: d.Digest})
	}
	slices.SortFunc(list, compareItems)
	return list
}

// digest is that of the inventory.
func (k *keeper) digest() telemetry.Digest { return telemetry.InventoryDigest(k.list()) }

// steady sends a beat that is no hello, and tells of the inventory by its digest only.
func (k *keeper) steady(change ...func(*telemetry.Heartbeat)) telemetry.Ack {
	k.t.Helper()
	return k.beat(append(change, func(b *telemetry.Heartbeat) {
		b.Manifest, b.Digest, b.Items = nil, k.digest(), uint64(len(k.list()))
	})...)
}

// publish sends an entry.
func (k *keeper) publish(e entry) {
	k.mu.Lock()
	d := k.entries[e]
	k.mu.Unlock()
	body, err := telemetry.EncodeControl(d, telemetry.MsgPack)
	if err == nil {
		err = k.crowd.Tell(bus.HeartbeatSubject(k.Host, bus.Agent, bus.PLG), "", body)
	}
	if err != nil {
		k.t.Errorf("%s of %s: %v", e, k.Host, err)
	}
}

// hear answers a request.
func (k *keeper) hear(subject, reply string, body []byte) {
	r, enc, err := telemetry.DecodeCtlRequest(body)
	if err != nil {
		k.t.Errorf("request %.80q: %v", body, err)
		return
	}
	answer := telemetry.CtlReply{ID: r.ID, OK: true}
	if subject == bus.CtlSubject(k.Host, bus.Agent, "refresh") {
		k.mu.Lock()
		k.wants = append(k.wants, len(r.Want))
		k.mu.Unlock()
		if answer.Payload, err = telemetry.EncodeControl(k.page(r.Text("after")), telemetry.MsgPack); err != nil {
			k.t.Error(err)
		}
	}
	text, err := telemetry.EncodeControl(answer, enc)
	if err == nil {
		err = k.crowd.Tell(reply, "", text)
	}
	if err != nil {
		k.t.Error(err)
	}
	for _, name := range r.Want {
		k.publish(entryOf(name))
	}
}

// page is a part of the list, as much of it as a real agent sends.
func (k *keeper) page(after string) (m telemetry.RefreshManifest) {
	last := entryOf(after)
	for _, it := range k.list() {
		switch {
		case !last.before(it):
		case len(m.Items) == 300:
			m.More = true
			return m
		default:
			m.Items = append(m.Items, telemetry.RefreshItem{InventoryItem: it})
		}
	}
	return m
}

// held waits until a hub has the inventory as it is.
func (k *keeper) held(r *running) {
	k.t.Helper()
	bustest.Wait(k.t, limit, "the inventory of "+k.Host, func() bool { return r.holds(k.Host) == k.digest() && !r.busy() })
}

// asked returns how many entries each request since the last call wanted.
func (k *keeper) asked() []int {
	k.mu.Lock()
	defer k.mu.Unlock()
	wants := k.wants
	k.wants = nil
	return wants
}

// A host is described anew by its inventory, which no hello goes with: after it was forgotten, and when its config was read again.
func TestDescribed(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	k := keeperOf(t, b, "web")
	is := func(when, owner, version, os string, labels map[string]string) {
		t.Helper()
		bustest.Wait(t, limit, when, func() bool {
			s, err := r.Host("web")
			return err == nil && s.Owner == owner && s.Version == version && s.OS == os && maps.Equal(s.Labels, labels) && s.Site == labels["site"]
		})
	}
	manifest := func(version, site string) telemetry.Facts {
		return telemetry.Facts{"kind": "agent", "program": "pacewire", "version": version, "api": 1, "os": "plan9", "arch": "amd64", "labels": map[string]any{"site": site}}
	}
	again := func() { // what is written is true as well: nobody beats to the hub that comes
		t.Helper()
		bustest.Wait(t, limit, "the record", func() bool { return !r.busy() })
		r.stop()
		r = start(t, b)
	}
	k.beat(func(b *telemetry.Heartbeat) { b.Owner = "ops" })
	is("the hello", "ops", "1", "linux", nil)
	k.steady(func(b *telemetry.Heartbeat) { b.Owner = "dev" })
	is("another owner", "dev", "1", "linux", nil)
	again()
	is("the owner of the record", "dev", "1", "linux", nil)

	k.set("agent/manifest", manifest("2", "lab"))
	k.publish(entry{bus.Agent, telemetry.DataManifest})
	is("a changed entry", "dev", "2", "plan9", map[string]string{"site": "lab"})
	k.set("agent/manifest", manifest("3", "hall"))
	k.steady() // whose digest says that the entry is another one
	is("an entry that was asked for", "dev", "3", "plan9", map[string]string{"site": "hall"})
	k.held(r)
	again()
	is("the record", "dev", "3", "plan9", map[string]string{"site": "hall"})

	if err := r.Forget(t.Context(), "web"); err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	clear(k.entries)
	k.mu.Unlock()
	k.steady() // before that is written: nothing is left of the one before
	is("one that was forgotten", "dev", "", "", nil)
	k.set("agent/manifest", manifest("3", "hall"))
	k.steady()
	is("the entry of one that was forgotten", "dev", "3", "plan9", map[string]string{"site": "hall"})
	k.held(r)
}

// A job says how much has come: what has changed, and nothing when nothing has.
func TestRefreshBytes(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	k := keeperOf(t, b, "web")
	k.beat()
	refresh := func(least, most uint64) {
		t.Helper()
		j, err := r.Refresh([]string{"web"}, telemetry.ModeCached)
		if err != nil {
			t.Fatal(err)
		}
		if j = r.wait(t, j.ID); j.Bytes < least || j.Bytes > most || j.Missing != 0 {
			t.Errorf("job %+v, want %d to %d bytes", j, least, most)
		}
	}
	text := telemetry.Facts{"text": string(make([]byte, 10_000))}
	refresh(0, 0)
	k.set("os/info", text)
	k.set("cpu/info", text)
	refresh(20_000, 21_000)
	refresh(0, 0)
	k.set("os/info", telemetry.Facts{"text": string(make([]byte, 5_000))})
	refresh(5_000, 5_500)
	refresh(0, 0)
}

// More entries than one request can name are asked for in several, and all come.
func TestManyWanted(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	k := crowded(t, b, mostWanted+101)
	k.steady()
	k.held(r)
	if wants := slices.DeleteFunc(k.asked(), func(n int) bool { return n == 0 }); !slices.Equal(wants, []int{mostWanted, 101}) {
		t.Errorf("asked for %v", wants)
	}
	if r.counted("refresh_failed") != 0 || r.counted("inventory_asked") != 1 {
		t.Errorf("counts %v", r.Status().Counts)
	}
}

// An inventory of hundreds of entries is listed in pages. One that cannot be read says so, and does not hide the others.
func TestInventoryByPages(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	k := crowded(t, b, 600)
	k.steady()
	k.held(r)
	bucket, err := b.Conn(t, "hub").Bucket(t.Context(), bus.BucketInventory)
	if err != nil {
		t.Fatal(err)
	}
	bad := entryOf(entryName(300))
	if _, err := bucket.Put(t.Context(), partKey("web", bad, 0), []byte("garbage")); err != nil {
		t.Fatal(err)
	}
	for _, enc := range []telemetry.Encoding{telemetry.MsgPack, telemetry.JSON} {
		c := caller{t, b.Conn(t, "operator"), enc}
		name := func(it telemetry.RefreshItem) string {
			if is := (entry{it.Plugin, it.Type} == bad); is != (it.Error != nil) || is != (it.Size == 0) || is != (it.AgeMS == 0) {
				t.Errorf("item %+v", it)
			}
			return it.Plugin + "/" + it.Type
		}
		names, pages := inPages(t, name, func(after string) ([]telemetry.RefreshItem, bool) {
			p := payload(c, telemetry.DecodeInventoryPage, "inventory", map[string]any{"host": "web", "after": after})
			return p.Items, p.More
		})
		var want []string
		for i := range 600 {
			want = append(want, entryName(i))
		}
		same(t, "entries", names, want)
		if pages < 6 {
			t.Errorf("600 entries in %d pages", pages)
		}
	}
}

// What is told of an entry is of the one that is held, also when it came again with the same facts.
func TestAgeOfEntry(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	k := keeperOf(t, b, "web")
	e := entryOf("os/info")
	k.set("os/info", telemetry.Facts{"n": 1})
	k.steady()
	k.held(r)
	age := func() time.Duration {
		t.Helper()
		items, err := r.Inventory(t.Context(), "web")
		if err != nil || len(items) != 1 || items[0].Error != nil {
			t.Fatalf("inventory %+v, %v", items, err)
		}
		return time.Duration(items[0].AgeMS) * time.Millisecond
	}
	if age() < 24*time.Hour { // it is of 1970
		t.Errorf("it is %v old", age())
	}
	k.mu.Lock()
	d := k.entries[e]
	d.Time = time.Now().UnixNano()
	k.entries[e] = d
	k.mu.Unlock()
	k.publish(e)
	bustest.Wait(t, limit, "the same facts again", func() bool { return r.counted("inventory_stored") == 2 })
	if age() > time.Hour {
		t.Errorf("collected anew it is %v old", age())
	}
}

// The pieces of an entry have whole characters, and joined they are the entry, in both encodings.
func TestPiecesOfEntry(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	r := start(t, b)
	k := keeperOf(t, b, "web")
	texts := map[string]string{}
	for _, before := range []string{"", "x", "xx", "xxx"} { // one of them has its first cut between two characters, the others within one
		name := "os" + before + "/info"
		texts[name] = before + strings.Repeat("€", 20_000) + "𝄞ü"
		k.set(name, telemetry.Facts{"text": texts[name]})
	}
	k.steady()
	k.held(r)
	for _, enc := range []telemetry.Encoding{telemetry.MsgPack, telemetry.JSON} {
		for name, text := range texts {
			e := entryOf(name)
			d := readEntry(caller{t, b.Conn(t, "operator"), enc}, "web", name)
			facts, err := r.Facts(t.Context(), "web", e.plugin, e.typ)
			if err != nil || d.Data["text"] != text || facts.Data["text"] != text || d.Digest != facts.Digest {
				t.Errorf("%s in %v: %d bytes, facts of %d, want %d; %v", name, enc, len(fmt.Sprint(d.Data["text"])), len(fmt.Sprint(facts.Data["text"])), len(text), err)
			}
		}
	}
}

// crowded is a keeper with n entries.
func crowded(t testing.TB, b *bustest.Bus, n int) *keeper {
	t.Helper()
	k := keeperOf(t, b, "web")
	for i := range n {
		k.set(entryName(i), telemetry.Facts{"n": i})
	}
	return k
}

func entryName(i int) string { return fmt.Sprintf("plugin-%04d/info", i) }
