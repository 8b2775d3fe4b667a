package fleet

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

const quick = 100 * time.Millisecond

func steady(b telemetry.Heartbeat) bool { return !b.Hello && b.Inventory == nil && b.Bye == "" }

// A host says hello until it is answered, then beats with all that a hub looks at.
func TestHostsBeat(t *testing.T) {
	b, h := newHub(t)
	f := start(t, b, Options{Hosts: 20, Conns: 3, Interval: quick, Sites: 2, Owner: "ops"})
	for i, name := range f.Names() {
		b := h.until(t, name, "a steady beat after an answer that came in time", 0, func(b telemetry.Heartbeat) bool {
			return steady(b) && b.Ack == b.Seq-1
		})
		hello := h.heard(name)[0]
		if !hello.Hello || hello.Manifest == nil || hello.Seq != 1 || hello.Digest != telemetry.InventoryDigest(hello.Inventory) {
			t.Errorf("hello %+v", hello)
		}
		if site := hello.Manifest.Labels["site"]; site != []string{"site-0", "site-1"}[i%2] {
			t.Errorf("%s is at %q", name, site)
		}
		if hello.Items != 5 || len(hello.Inventory) != 5 || hello.Digest != f.Digest(name) {
			t.Errorf("inventory of %s: %+v", name, hello.Inventory)
		}
		if b.Inst != hello.Inst || b.Boot != hello.Boot || b.Gen != 1 || b.Manifest != nil ||
			b.Name != name || b.Digest != hello.Digest || b.IntervalMS != 100 || b.Owner != "ops" {
			t.Errorf("beat %+v", b)
		}
		if off := time.Since(time.Unix(0, b.T1)); off < 0 || off > limit || b.Mono1 <= hello.Mono1 || b.HostUpMS < b.UpMS {
			t.Errorf("clocks of %+v", b)
		}
		h.mu.Lock()
		size := h.bodies[name]
		h.mu.Unlock()
		if size < 300 || size > 600 {
			t.Errorf("a beat of %d bytes", size)
		}
	}
	bustest.Wait(t, limit, "more beats", func() bool { return f.Stats().Acks > 100 })
	s := f.Stats()
	if s.Beats < s.Acks || s.Bad+s.Unsent+s.Dropped != 0 || len(s.Refused) != 0 || s.P50 <= 0 || s.P99 < s.P50 || s.Max < s.P99 || s.BytesOut == 0 {
		t.Errorf("stats %+v", s)
	}
}

// What fills the stencils is what encoding would have made of it.
func TestStencils(t *testing.T) {
	o := Options{Hosts: 1, Plugins: 3, Inventory: 3000, Owner: "ops"}
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	k := newKind(o)
	h := k.host(7)
	h.begun, h.inst, h.gen, h.seq, h.interval, h.acked, h.missed = time.Now().Add(-time.Hour), newInst(), 3, 812, 12345*time.Millisecond, 811, 2
	h.held, h.greeted = h.digest, true
	now := time.Now()
	filled, _, err := telemetry.DecodeHeartbeat(k.beat.fill(nil, h, now))
	if err != nil {
		t.Fatal(err)
	}
	encoded, _, err := telemetry.DecodeHeartbeat(k.full(h, now, ""))
	if err != nil {
		t.Fatal(err)
	}
	a, b := encode(filled), encode(encoded)
	if !slices.Equal(a, b) {
		t.Errorf("%+v is not %+v", filled, encoded)
	}
	k.change(h)
	for n := range k.entries {
		e := &k.entries[n]
		d, _, err := telemetry.DecodePluginData(e.fill(nil, h, n, now))
		if err != nil {
			t.Fatal(err)
		}
		facts, err := d.Data.Encode(telemetry.MsgPack)
		if err != nil || d.Host != h.name || d.Inst != h.inst || d.Time != now.UnixNano() || d.Plugin != e.plugin || d.Type != e.typ {
			t.Errorf("%+v, %v", d, err)
		}
		if sum := telemetry.DigestOf(facts); d.Digest != sum || h.items[n].Digest != sum || len(facts) != e.size() {
			t.Errorf("%s/%s: digest %s, listed as %s, is %s", e.plugin, e.typ, d.Digest, h.items[n].Digest, sum)
		}
		if e.typ == telemetry.DataInfo && (len(facts) < 1000 || len(facts) > 1100 || d.Data["host"] != h.name) {
			t.Errorf("info of %d bytes about %v", len(facts), d.Data["host"])
		}
		want := noChange
		if n == changing {
			want = "change 00000001"
		}
		if d.Data["change"] != want {
			t.Errorf("%s/%s: %v", e.plugin, e.typ, d.Data["change"])
		}
	}
}

// Hellos go on until somebody answers, ever more slowly.
func TestHelloUntilAnswered(t *testing.T) {
	b, h := newHub(t)
	h.answers(nil)
	f := start(t, b, Options{Hosts: 1, Interval: 1500 * time.Millisecond, Spread: time.Millisecond})
	name := f.Names()[0]
	h.until(t, name, "three hellos", 2, func(b telemetry.Heartbeat) bool { return b.Hello && b.Manifest != nil && b.Inventory != nil })
	h.answers(h.accept)
	h.until(t, name, "a steady beat", 0, func(b telemetry.Heartbeat) bool { return steady(b) && b.AckLost >= 3 && b.Ack == b.Seq-1 })
}

// A refused host stays at hello, and is counted by the reason.
func TestRefused(t *testing.T) {
	b, h := newHub(t)
	h.answers(func(b telemetry.Heartbeat) telemetry.Ack {
		a := h.accept(b)
		a.State, a.Reason = telemetry.Refused, "not_allowed: for a test"
		return a
	})
	f := start(t, b, Options{Hosts: 2, Interval: quick})
	bustest.Wait(t, limit, "refusals", func() bool { return f.Stats().Refused["not_allowed"] >= 6 })
	for _, name := range f.Names() {
		if slices.ContainsFunc(h.heard(name), func(b telemetry.Heartbeat) bool { return !b.Hello }) {
			t.Errorf("%s has gone on", name)
		}
	}
	if s := f.Stats(); s.Acks != 0 {
		t.Errorf("%d accepted", s.Acks)
	}
}

// The interval that a hub wants is taken, from the one with the highest term.
func TestObeys(t *testing.T) {
	b, h := newHub(t)
	say := func(term uint64, next int64) {
		h.answers(func(b telemetry.Heartbeat) telemetry.Ack {
			a := h.accept(b)
			a.Term, a.NextMS = term, next
			return a
		})
	}
	say(5, 150)
	f := start(t, b, Options{Hosts: 1, Interval: quick})
	name := f.Names()[0]
	h.until(t, name, "150 ms", 0, func(b telemetry.Heartbeat) bool { return b.IntervalMS == 150 })
	say(4, 50)
	bustest.Wait(t, limit, "ACKs that do not count", func() bool { return f.Stats().Stray >= 3 })
	if all := h.heard(name); all[len(all)-1].IntervalMS != 150 {
		t.Errorf("beats each %d ms", all[len(all)-1].IntervalMS)
	}
	say(6, 50)
	h.until(t, name, "50 ms", 0, func(b telemetry.Heartbeat) bool { return b.IntervalMS == 50 && b.AckLost > 0 })
}

func TestAnswers(t *testing.T) {
	b, h := newHub(t)
	f := start(t, b, Options{Hosts: 3, Conns: 2, Plugins: 2, Inventory: 32 << 10, Interval: time.Hour, Spread: quick})
	name := f.Names()[1]
	hello := h.until(t, name, "a hello", 0, func(b telemetry.Heartbeat) bool { return b.Hello })
	if r, err := h.ask(t, name, "ping", telemetry.CtlRequest{}); err != nil || !r.OK {
		t.Errorf("ping: %+v, %v", r, err)
	}
	if r, err := h.ask(t, name, "drain", telemetry.CtlRequest{}); err != nil || r.OK || r.Error == nil {
		t.Errorf("drain: %+v, %v", r, err)
	}
	if r, err := h.ask(t, name, "beat", telemetry.CtlRequest{}); err != nil || !r.OK {
		t.Errorf("beat: %+v, %v", r, err)
	}
	h.until(t, name, "another hello", 1, func(b telemetry.Heartbeat) bool { return b.Hello && b.Manifest != nil })

	refresh := func(want ...string) {
		t.Helper()
		before := len(h.learnt(name))
		r, err := h.ask(t, name, "refresh", telemetry.CtlRequest{Want: want})
		if err != nil || !r.OK {
			t.Fatalf("refresh: %+v, %v", r, err)
		}
		m, _, err := telemetry.DecodeRefreshManifest(r.Payload)
		if err != nil || len(m.Items) != len(hello.Inventory) {
			t.Fatalf("refresh: %+v, %v", m, err)
		}
		for i, it := range m.Items {
			if it.InventoryItem != hello.Inventory[i] || it.Size == 0 {
				t.Errorf("item %+v; the hello had %+v", it, hello.Inventory[i])
			}
		}
		n := len(want)
		if slices.Contains(want, "*") {
			n = len(m.Items)
		}
		bustest.Wait(t, limit, "what was wanted", func() bool { return len(h.learnt(name)) == before+n })
		for _, d := range h.learnt(name)[before:] {
			if !slices.ContainsFunc(hello.Inventory, func(it telemetry.InventoryItem) bool {
				return it.Plugin == d.Plugin && it.Type == d.Type && it.Digest == d.Digest && it.Version == d.ProgramVersion
			}) {
				t.Errorf("came %s/%s with digest %s", d.Plugin, d.Type, d.Digest)
			}
		}
	}
	refresh()
	refresh("plugin-1/info")
	refresh("agent/manifest", "plugin-0/status")
	refresh("*")
	if s := f.Stats(); s.Pings != 1 || s.Asked != 1 || s.Refreshes != 4 || s.Entries != 8 || s.Bad != 0 {
		t.Errorf("stats %+v", s)
	}
	if len(h.learnt(f.Names()[0])) != 0 {
		t.Error("another host has answered as well")
	}
	if err := h.conn.Tell(bus.CtlSubject(name, bus.Agent, "ping"), []byte("no request")); err != nil {
		t.Error(err)
	}
	bustest.Wait(t, limit, "a bad request", func() bool { return f.Stats().Bad == 1 })
}

// Whoever ends, ends as in life: a killed host is not connected, a frozen one is silent, one that leaves says so.
func TestEnds(t *testing.T) {
	b, h := newHub(t)
	f := start(t, b, Options{Hosts: 8, Conns: 2, Interval: quick})
	names := f.Names()
	for _, name := range names {
		h.until(t, name, "a steady beat", 0, steady)
	}
	killed, still, left, lives := names[0], names[1], names[2], names[3]
	f.Kill(killed)
	f.Freeze(still)
	f.Bye("shutdown", left)
	bye := h.until(t, left, "goodbye", 0, func(b telemetry.Heartbeat) bool { return b.Bye == "shutdown" })
	f.Bye("shutdown", left, killed) // which are gone
	ask := func(name string, want error) {
		t.Helper()
		wait := limit
		if errors.Is(want, bus.ErrTimeout) {
			wait = time.Second
		}
		if _, err := h.askWithin(t, wait, name, "ping", telemetry.CtlRequest{}); !errors.Is(err, want) {
			t.Errorf("ping of %s: %v; want %v", name, err, want)
		}
	}
	ask(killed, bus.ErrNoResponders)
	ask(still, bus.ErrTimeout)
	ask(left, bus.ErrNoResponders)
	ask(lives, nil)
	gone := func() []int { return []int{len(h.heard(killed)), len(h.heard(still)), len(h.heard(left))} }
	var counts []int
	bustest.Wait(t, limit, "silence of those who are gone, once their last beats have come", func() bool {
		counts = gone()
		h.until(t, lives, "five more beats", len(h.heard(lives))+4, steady)
		return slices.Equal(gone(), counts)
	})
	if all := h.heard(left); all[len(all)-1].Seq != bye.Seq {
		t.Error("beats after goodbye")
	}

	f.Thaw(still, killed) // who is not frozen
	thawed := h.until(t, still, "a beat after it was frozen", counts[1], steady)
	if thawed.Inst != h.heard(still)[0].Inst {
		t.Error("thawed as another instance")
	}
	if err := f.Restart(killed, lives); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{killed, lives} {
		again := h.until(t, name, "another instance", 0, func(b telemetry.Heartbeat) bool { return b.Gen == 2 })
		if first := h.heard(name)[0]; !again.Hello || again.Seq != 1 || again.Inst == first.Inst || again.Boot != first.Boot {
			t.Errorf("restarted as %+v", again)
		}
		ask(name, nil)
	}
}

// Changed facts come before the beat that tells of them; the list comes along until a hub has them.
func TestChange(t *testing.T) {
	b, h := newHub(t)
	f := start(t, b, Options{Hosts: 2, Interval: quick})
	name := f.Names()[0]
	first := h.until(t, name, "a steady beat", 0, steady).Digest
	h.answers(func(b telemetry.Heartbeat) telemetry.Ack {
		a := h.accept(b)
		if b.Host == name {
			a.Digest = first
		}
		return a
	})
	f.Change(name)
	changed := h.until(t, name, "the change", 0, func(b telemetry.Heartbeat) bool { return b.Digest == f.Digest(name) })
	if changed.Digest == first || changed.Hello || telemetry.InventoryDigest(changed.Inventory) != changed.Digest {
		t.Errorf("beat %+v", changed)
	}
	bustest.Wait(t, limit, "the facts", func() bool { return len(h.learnt(name)) > 0 }) // another handler hears them
	data := h.learnt(name)
	if len(data) != 1 || !slices.ContainsFunc(changed.Inventory, func(it telemetry.InventoryItem) bool { return it.Digest == data[0].Digest }) {
		t.Errorf("published %+v", data)
	}
	n := len(h.heard(name))
	h.until(t, name, "the list again", n+2, func(b telemetry.Heartbeat) bool { return b.Inventory != nil })
	h.answers(h.accept)
	h.until(t, name, "a steady beat", n, func(b telemetry.Heartbeat) bool { return steady(b) && b.Digest == changed.Digest })

	f.ChangeUnheard(name)
	h.until(t, name, "another change", n, func(b telemetry.Heartbeat) bool { return b.Digest == f.Digest(name) && b.Inventory != nil })
	if len(h.learnt(name)) != 1 || h.heard(f.Names()[1])[0].Digest != f.Digest(f.Names()[1]) {
		t.Error("published what should get lost, or changed another host")
	}
}

// Hosts come back with the bus, and go on.
func TestBusRestarts(t *testing.T) {
	b, h := newHub(t)
	f := start(t, b, Options{Hosts: 10, Conns: 2, Interval: quick})
	for _, name := range f.Names() {
		h.until(t, name, "a steady beat", 0, steady)
	}
	b.Restart(t)
	bustest.Wait(t, limit, "the hub", h.conn.Connected)
	for _, name := range f.Names() {
		n := len(h.heard(name))
		h.until(t, name, "beats after the restart", n+2, func(b telemetry.Heartbeat) bool { return steady(b) && b.Gen == 1 && b.Ack == b.Seq-1 })
		if _, err := h.ask(t, name, "ping", telemetry.CtlRequest{}); err != nil {
			t.Errorf("ping of %s: %v", name, err)
		}
	}
}

// A bus that asks for passwords takes a fleet with those of an operator.
func TestCredentials(t *testing.T) {
	b := bustest.Guarded(t)
	if f, err := Start(t.Context(), Options{URL: b.URL, Hosts: 1}); err == nil {
		f.Stop()
		t.Error("without a password")
	}
	_, creds := b.Grant(t, "fleet", nil)
	f := start(t, b, Options{Hosts: 5, CredsFile: creds, Interval: quick})
	bustest.Wait(t, limit, "beats", func() bool { return f.Stats().Beats >= 5 })
}

func TestOptions(t *testing.T) {
	b, _ := newHub(t)
	f := func(o Options, want string) {
		t.Helper()
		o.URL = b.URL
		fleet, err := Start(t.Context(), o)
		if err == nil {
			fleet.Stop()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want %q", o, err, want)
		}
	}
	f(Options{}, "0 hosts")
	f(Options{Hosts: 1 << 30}, "hosts")
	f(Options{Hosts: 1, Plugins: 101}, "101 plugins")
	f(Options{Hosts: 1, Interval: -1}, "negative")
	f(Options{Hosts: 1, Inventory: 1 << 20}, "inventory of 1048576 bytes")
	f(Options{Hosts: 1, Prefix: "a.b"}, `prefix "a.b"`)
	defer func() {
		if recover() == nil {
			t.Error("a host that does not exist was killed")
		}
	}()
	start(t, b, Options{Hosts: 1}).Kill("nobody")
}

func TestHistogram(t *testing.T) {
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("median of nothing")
	}
	for i := range 1000 {
		h.add(time.Duration(i+1) * 100 * time.Microsecond)
	}
	f := func(q float64, want time.Duration) {
		t.Helper()
		if got := h.quantile(q); got < want || got > want+want/16 {
			t.Errorf("quantile %g is %v; want about %v", q, got, want)
		}
	}
	f(0.5, 50*time.Millisecond)
	f(0.99, 99*time.Millisecond)
	f(1, 100*time.Millisecond)
	h.add(-time.Second)
	h.add(1e6 * time.Hour)
	if h.max != 1e6*time.Hour || h.quantile(1) > h.max {
		t.Errorf("max %v", h.max)
	}
	var sum histogram
	sum.merge(&h)
	sum.merge(&h)
	if sum.n != 2*h.n || sum.quantile(0.5) != h.quantile(0.5) {
		t.Errorf("merged %d, %v", sum.n, sum.quantile(0.5))
	}
}
