package host

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/telemetry"
)

// A sender sends the agent plugin data without a bus.
type sender struct {
	t *testing.T
	h *Host
}

// newSender returns one to a host whose plugins one and two have been heard as instance a.
func newSender(t *testing.T) sender {
	t.Helper()
	h := newHost(t, "nats://127.0.0.1:1", collectors)
	for _, e := range h.entries() {
		e.set(func() { e.now.last.Inst = "a" })
	}
	return sender{t, h}
}

// data returns facts of plugin one.
func (sender) data(facts telemetry.Facts) telemetry.PluginData {
	return telemetry.PluginData{Version: 1, Host: "h1", Inst: "a", Plugin: "one", Type: telemetry.DataInfo, Time: 5, Data: facts}
}

// sends sends d as it is, on the subject of plugin one.
func (s sender) sends(d telemetry.PluginData) {
	s.t.Helper()
	body, err := telemetry.EncodeControl(d, telemetry.MsgPack)
	if err != nil {
		s.t.Fatal(err)
	}
	s.body(body)
}

func (s sender) body(body []byte) {
	s.t.Helper()
	subject, err := bus.ParseSubject(bus.HeartbeatSubject("h1", "one", bus.PLG))
	if err != nil {
		s.t.Fatal(err)
	}
	s.h.hear(subject, body, time.Now())
}

// info returns the facts that are kept of plugin one.
func (s sender) info() *record { return s.h.inventory.at(slot{"one", telemetry.DataInfo}) }

// counted checks what was refused.
func (s sender) counted(want map[string]uint64) {
	s.t.Helper()
	if got := s.h.inventory.counts(); !maps.Equal(got, want) {
		s.t.Errorf("refused %v, want %v", got, want)
	}
}

// large returns facts of about so many bytes.
func large(bytes int) telemetry.Facts {
	list := make([]any, 0, bytes/1024+1)
	for n := 0; n < bytes; n += 1024 {
		list = append(list, strings.Repeat(string(rune('a'+n/1024%26)), min(1024, bytes-n)-3))
	}
	return telemetry.Facts{"list": list}
}

// G7: a plugin speaks for itself alone, by its present process.
func TestDataOfOthers(t *testing.T) {
	f := func(reason string, edit func(*telemetry.PluginData)) {
		t.Helper()
		s := newSender(t)
		d := s.data(telemetry.Facts{"cpus": 4})
		edit(&d)
		s.sends(d)
		if reason != "" {
			s.counted(map[string]uint64{reason: 1})
		}
		if (s.info() != nil) != (reason == "") {
			t.Errorf("%s: kept %+v", reason, s.info())
		}
	}
	f("", func(*telemetry.PluginData) {})
	f("foreign", func(d *telemetry.PluginData) { d.Host = "h2" })
	f("foreign", func(d *telemetry.PluginData) { d.Plugin = "two" })
	f("instance", func(d *telemetry.PluginData) { d.Inst = "b" })
	f("instance", func(d *telemetry.PluginData) { d.Inst = "" })
	f("type", func(d *telemetry.PluginData) { d.Type = telemetry.DataStatus })
	f("type", func(d *telemetry.PluginData) { d.Type = "../../etc" })
	s := newSender(t)
	stranger, err := bus.ParseSubject(bus.HeartbeatSubject("h1", "three", bus.PLG))
	if err != nil {
		t.Fatal(err)
	}
	s.h.hear(stranger, []byte("x"), time.Now())
	s.counted(map[string]uint64{"unknown": 1})
}

// Facts in JSON are kept in the form that all have; by its own digest the plugin knows them again.
func TestDataInJSON(t *testing.T) {
	s := newSender(t)
	own := telemetry.DigestOf([]byte(`{"cpus":4}`))
	s.body(fmt.Appendf(nil, `{"v":1,"host":"h1","inst":"a","plugin":"one","type":"info","t":5,"version":"0.1","digest":"%s","data":{"cpus":4}}`, own))
	packed, err := telemetry.Facts{"cpus": 4}.Encode(telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	items, _ := s.h.inventory.list()
	if len(items) != 1 || items[0].Digest != telemetry.DigestOf(packed) || items[0].Version != "0.1" {
		t.Errorf("%+v", items)
	}
	listed := items[0]
	listed.Digest = own
	if s.h.inventory.held("one") != telemetry.InventoryDigest([]telemetry.InventoryItem{listed}) {
		t.Error("it is not held by the digest that the plugin gives")
	}
	s.counted(map[string]uint64{})
}

// What cannot be read is counted and logged, and changes no entry: a process that was replaced may have sent it.
func TestDataUndecodable(t *testing.T) {
	s := newSender(t)
	s.body([]byte("{"))
	if r := s.info(); r != nil {
		t.Fatalf("%+v", r)
	}
	s.sends(s.data(telemetry.Facts{"cpus": 4}))
	s.body([]byte{0xc1})
	if r := s.info(); r.data == nil || r.fault != nil {
		t.Errorf("%+v", r)
	}
	s.counted(map[string]uint64{"undecodable": 2})
	var log texttest.Buffer
	v, now := s.h.inventory, time.Now()
	v.log = slog.New(slog.NewTextHandler(&log, nil))
	for _, at := range []time.Duration{0, time.Second, time.Hour} { // nothing new is no news
		v.complain(now.Add(at))
	}
	if text := log.String(); strings.Count(text, "plugin data refused") != 1 || !strings.Contains(text, `unreadable="one: `) {
		t.Errorf("%s", &log)
	}
}

// Parts may come in any order, twice, and mixed with those of other facts before.
func TestParts(t *testing.T) {
	s := newSender(t)
	split := func(facts telemetry.Facts) []telemetry.PluginData {
		parts, err := s.data(facts).Split(telemetry.MsgPack)
		if err != nil {
			t.Fatal(err)
		}
		return parts
	}
	parts := split(large(1 << 20))
	s.sends(split(large(2 << 20))[1])
	for _, i := range rand.Perm(len(parts)) {
		s.sends(parts[i])
		if i > 0 {
			s.sends(parts[i])
		}
	}
	r := s.info()
	if r == nil || r.item.Digest != parts[0].Digest || r.own != parts[0].Digest || r.fault != nil {
		t.Fatalf("%+v", r)
	}
	s.h.inventory.expire(time.Now().Add(joinTime + time.Second)) // the part that came twice after the last
	if v := s.h.inventory; v.joining != 0 || len(v.joins) != 0 || v.bytes != len(r.data) {
		t.Errorf("%d bytes wait, %d of %d are kept", v.joining, v.bytes, len(r.data))
	}
	messages, err := s.h.messages(slot{"one", telemetry.DataInfo}, r)
	if err != nil || len(messages) != len(parts) {
		t.Fatalf("%d messages, %v", len(messages), err)
	}
	var again []telemetry.PluginData
	for _, body := range messages {
		d, _, err := telemetry.DecodePluginData(body)
		if err != nil {
			t.Fatal(err)
		}
		again = append(again, d)
	}
	if whole, err := telemetry.JoinPluginData(again); err != nil || whole.Digest != parts[0].Digest {
		t.Errorf("what is passed on: %v", err)
	}
}

// Parts that lie are told; parts that do not come are forgotten.
func TestHostileParts(t *testing.T) {
	s := newSender(t)
	part := func(n, of uint64, chunk string) {
		d := s.data(nil)
		d.Part, d.Parts, d.Chunk, d.Digest = n, of, telemetry.Chunk(chunk), telemetry.Digest{9}
		s.sends(d)
	}
	part(1, 2, "ab")
	part(2, 2, "cd")
	if r := s.info(); r == nil || r.fault == nil || !strings.Contains(r.fault.Message, "digest") {
		t.Fatalf("%+v", r)
	}
	s.counted(map[string]uint64{"parts": 1})
	part(1, 128, "ab")
	part(1, 3, "ab") // another number
	s.counted(map[string]uint64{"parts": 1, "incomplete": 1})
	s.h.inventory.expire(time.Now().Add(joinTime + time.Second))
	s.counted(map[string]uint64{"parts": 1, "incomplete": 2})
	if v := s.h.inventory; v.joining != 0 || len(v.joins) != 0 {
		t.Errorf("%d bytes wait", v.joining)
	}
}

// One byte more than an entry may have is told as such, and not asked for again: it is held as what it is.
func TestTooLarge(t *testing.T) {
	s := newSender(t)
	digest := telemetry.Digest{9}
	chunk := make(telemetry.Chunk, 200<<10)
	for n := range uint64(41) { // the last one is not waited for
		d := s.data(nil)
		d.Part, d.Parts, d.Chunk, d.Digest, d.ProgramVersion = n+1, 42, chunk, digest, "1"
		s.sends(d)
	}
	r := s.info()
	if r == nil || r.fault == nil || r.fault.Code != telemetry.FaultInvalid || !strings.Contains(r.fault.Message, "at most 8388608") || r.data != nil {
		t.Fatalf("%+v", r)
	}
	listed := telemetry.InventoryItem{Plugin: "one", Type: telemetry.DataInfo, Version: "1", Digest: digest}
	if s.h.inventory.held("one") != telemetry.InventoryDigest([]telemetry.InventoryItem{listed}) {
		t.Error("it would be asked for again")
	}
	if v := s.h.inventory; v.joining != 0 || v.bytes != 0 {
		t.Errorf("%d bytes wait, %d are kept", v.joining, v.bytes)
	}
	r = &record{item: listed, own: digest, told: true}
	s.h.inventory.put(slot{"two", telemetry.DataInfo}, r)
	if want := s.h.inventory.reconcile("two", []telemetry.RefreshItem{{InventoryItem: telemetry.InventoryItem{Plugin: "two", Type: telemetry.DataInfo, Digest: telemetry.Digest{8}},
		Size: telemetry.MaxPluginData + 1}}); want != nil {
		t.Errorf("wanted though it cannot be sent: %q", want)
	}
	if r := s.h.inventory.at(slot{"two", telemetry.DataInfo}); r.fault == nil || r.own != (telemetry.Digest{8}) {
		t.Errorf("%+v", r)
	}
}

// All entries together have room for so much; what does not fit is told, and fits when others have gone.
func TestInventoryFull(t *testing.T) {
	v := newInventory("", bustest.Log(t))
	data := make([]byte, telemetry.MaxPluginData)
	name := func(n int) slot { return slot{fmt.Sprint("p", n), telemetry.DataInfo} }
	for n := range 9 {
		v.put(name(n), &record{item: telemetry.InventoryItem{Digest: telemetry.Digest{byte(n)}}, told: true, data: data})
	}
	if r := v.at(name(8)); v.bytes != mostInventory || r.data != nil || r.fault == nil || r.told || v.counts()["full"] != 1 {
		t.Errorf("%d bytes, %+v", v.bytes, r.fault)
	}
	v.put(name(3), &record{item: telemetry.InventoryItem{Digest: telemetry.Digest{77}}, data: data}) // in its own place it fits
	if v.at(name(3)).data == nil {
		t.Error("an entry cannot be replaced")
	}
	v.forget(func(plugin string) bool { return plugin == "p0" })
	v.put(name(8), &record{told: true, data: data})
	if r := v.at(name(8)); r.data == nil || r.fault != nil {
		t.Errorf("%+v", r.fault)
	}
}

// A plugin that sends without end costs a look at each message, and keeps nobody else from being heard.
func TestDataFlood(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, collectors)
	p, other := newTeller(t, b, h, "one"), newTeller(t, b, h, "two")
	p.held(true)
	other.set(telemetry.DataInfo, telemetry.Facts{"cpus": 4})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := range 10_000 {
			p.set(telemetry.DataInfo, telemetry.Facts{"n": n, "text": strings.Repeat("x", 1000)})
			p.send(telemetry.DataInfo)
		}
	}()
	other.held(true)
	<-done
	if err := p.conn.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, soon, "the flood is refused", func() bool { return h.inventory.counts()["flood"] > 5000 })
	if v := h.inventory; v.bytes > 10_000 || len(v.records) != 4 || v.joining != 0 {
		t.Errorf("%d bytes in %d entries", v.bytes, len(v.records))
	}
}

func TestAllowance(t *testing.T) {
	now := time.Now()
	var a allowance
	spent := 0
	for a.spend(1000, now) {
		spent++
	}
	if spent != burstMessages {
		t.Errorf("%d messages at once", spent)
	}
	if a.spend(1000, now.Add(-time.Hour)) || !a.spend(1000, now.Add(time.Second)) {
		t.Error("time back, or a second that gives nothing")
	}
	a, spent = allowance{}, 0
	for a.spend(maxData, now) {
		spent++
	}
	if spent*maxData < 2*telemetry.MaxPluginData || spent*maxData > burstBytes {
		t.Errorf("%d large messages at once", spent)
	}
	now = now.Add(time.Hour)
	if spent = 0; a.spend(maxData, now) {
		for spent = 1; a.spend(maxData, now); spent++ {
		}
	}
	if spent*maxData > burstBytes {
		t.Errorf("%d large messages after an hour", spent)
	}
}

// What a status says is all that an operator sees of a plugin, and nothing that changes from beat to beat.
func TestStatusFacts(t *testing.T) {
	h := newHost(t, "nats://127.0.0.1:1", "owner: ops\nsite: lab\ntags: { rack: b }\n"+pair)
	h.o.Version = "9.9"
	e := h.find("sink")
	text, err := json.Marshal(e.facts())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"owner":"ops"`, `"kind":"publisher"`, `"state":"stopped"`, `"durable":"sink"`, `"filters":["pw.metrics.*.numbers"]`, `"program":"sink"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	before := e.facts()
	e.set(func() {
		e.now.arrived = time.Now()
		e.now.last.Stats = &telemetry.Stats{PointsIn: 7}
	})
	if after := e.facts(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("%v became %v", before, after)
	}
	if got := fmt.Sprint(h.facts()["labels"], h.facts()["version"]); got != "map[rack:b site:lab]9.9" {
		t.Error(got)
	}
	h.inventory.stirs("sink")
	h.describe()
	if items, _ := h.inventory.list(); !slices.Equal(named(h.inventory.refreshItems(time.Now())), []string{"agent/info", "agent/manifest", "sink/status"}) || items[0].Version != "9.9" {
		t.Errorf("%+v", items)
	}
}
