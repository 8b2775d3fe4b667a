package host

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/telemetry"
)

// A testHub hears the beats of agents, and answers them as a test wants.
type testHub struct {
	t    testing.TB
	id   string
	conn *bus.Conn

	mu    sync.Mutex
	beats []telemetry.Heartbeat
	edit  func(*telemetry.Ack, telemetry.Heartbeat)
	mute  bool
}

// newTestHub connects a hub that accepts whoever comes.
func newTestHub(t testing.TB, b *bustest.Bus, id string) *testHub {
	t.Helper()
	u := &testHub{t: t, id: id, conn: b.Conn(t, "hub")}
	decode := func(body []byte) (telemetry.Heartbeat, error) {
		b, _, err := telemetry.DecodeHeartbeat(body)
		return b, err
	}
	if _, err := bus.Handle(u.conn, bus.Pattern(bus.AreaBeat, bus.Any, bus.Name(bus.Agent), bus.HTB), bus.Rules{}, decode, u.answer); err != nil {
		t.Fatal(err)
	}
	if err := u.conn.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return u
}

func (u *testHub) answer(_ context.Context, _ bus.Subject, b telemetry.Heartbeat) ([]byte, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.beats = append(u.beats, b)
	now := time.Now().UnixNano()
	a := telemetry.Ack{
		Version: telemetry.ProtocolVersion, Server: u.id, Seq: b.Seq, T1: b.T1, T2: now, T3: now, State: telemetry.Accepted,
		NextMS: 50, Digest: b.Digest, Received: uint64(len(u.beats)), Gen: b.Gen,
	}
	if u.edit != nil {
		u.edit(&a, b)
	}
	if u.mute {
		return nil, nil
	}
	return telemetry.EncodeControl(a, telemetry.MsgPack)
}

// says changes how the hub answers.
func (u *testHub) says(edit func(*telemetry.Ack, telemetry.Heartbeat)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.edit = edit
}

// heard returns the beats that have come.
func (u *testHub) heard() []telemetry.Heartbeat {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.beats)
}

// next waits for so many beats from now on, and returns the last.
func (u *testHub) next(n int) telemetry.Heartbeat {
	u.t.Helper()
	before := len(u.heard())
	bustest.Wait(u.t, soon, fmt.Sprintf("%d beats", n), func() bool { return len(u.heard()) >= before+n })
	return u.heard()[before+n-1]
}

// hears does something, and waits for the first beat from then on that is as cond says.
func (u *testHub) hears(what string, do func(), cond func(telemetry.Heartbeat) bool) (found telemetry.Heartbeat) {
	u.t.Helper()
	before := len(u.heard())
	do()
	bustest.Wait(u.t, soon, what, func() bool {
		list := u.heard()[before:]
		i := slices.IndexFunc(list, cond)
		if i >= 0 {
			found = list[i]
		}
		return i >= 0
	})
	return found
}

// last waits for the goodbye, and returns it.
func (u *testHub) last() (last telemetry.Heartbeat) {
	u.t.Helper()
	bustest.Wait(u.t, soon, "a goodbye", func() bool {
		list := u.heard()
		last = list[len(list)-1]
		return last.Bye != ""
	})
	return last
}

// hearted returns a host whose heart beats, without plugins that run, and what stops the heart. It beats fast.
func hearted(t testing.TB, b *bustest.Bus, edit ...func(*Options)) (h *Host, log *texttest.Buffer, stop func()) {
	t.Helper()
	log = new(texttest.Buffer)
	h = newHost(t, b.URL, pair)
	o := h.o
	o.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.Times.Beat, o.Settings.Hub.Interval = 20*time.Millisecond, 50*time.Millisecond
	for _, e := range edit {
		e(&o)
	}
	h = New(o)
	if err := h.dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	stop = sync.OnceFunc(h.heart.start())
	t.Cleanup(stop)
	return h, log, stop
}

// pulseIs waits until the agent knows what it should of its hub.
func pulseIs(t testing.TB, h *Host, what string, ok func(telemetry.PulseStatus) bool) {
	t.Helper()
	bustest.Wait(t, soon, what, func() bool { return ok(h.Pulse()) })
}

func watched(p telemetry.PulseStatus) bool { return p.State == telemetry.PulseWatched }

func TestAgentHello(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	h, _, _ := hearted(t, b, func(o *Options) {
		o.Name, o.Version, o.Gen = "web-1.example.org", "1.2.3", 7
		o.Settings.Owner, o.Settings.Site, o.Settings.Tags = "ops", "north", map[string]string{"rack": "r7"}
	})
	pulseIs(t, h, "the hub watches", watched)
	u.next(1)
	first := u.heard()[0]
	if first.Host != "h1" || first.Plugin != bus.Agent || first.Name != "web-1.example.org" || first.Inst != h.inst || first.Gen != 7 || first.Seq != 1 ||
		first.IntervalMS != 50 || first.T1 == 0 || !first.Hello || first.Owner != "ops" || first.ConfigRev == 0 || first.State != running || first.Bye != "" {
		t.Errorf("%+v", first)
	}
	if runtime.GOOS == "linux" && (first.Boot == "" || first.HostUpMS <= 0 || first.Load["rss"] <= 0) {
		t.Errorf("boot %q, up %d ms, load %v", first.Boot, first.HostUpMS, first.Load)
	}
	want := &telemetry.Manifest{Kind: "agent", Program: "pacewire", Version: "1.2.3", API: 1, OS: runtime.GOOS, Arch: runtime.GOARCH,
		Labels: map[string]string{"rack": "r7", "site": "north"}}
	if !reflect.DeepEqual(first.Manifest, want) {
		t.Errorf("manifest %+v", first.Manifest)
	}
	if first.Plugins == nil || first.Plugins.OK+first.Plugins.Fail+first.Plugins.Late != 0 {
		t.Errorf("plugins that were never started: %+v", first.Plugins)
	}
	later := u.hears("a beat that knows of an ACK", func() {}, func(b telemetry.Heartbeat) bool { return b.Ack > 0 && !b.Hello })
	if later.Manifest != nil || later.Inventory != nil || later.RTTUS <= 0 || later.ConfigRev != first.ConfigRev {
		t.Errorf("%+v", later)
	}
	if p := h.Pulse(); p.Server != "hub-1" || p.Host != "h1" || p.Inst != h.inst || p.Gen != 7 || p.Received == 0 || p.IntervalMS != 50 || p.RTTUS <= 0 {
		t.Errorf("%+v", p)
	}
}

// A bus without a hub is the normal case: the agent beats, and says nothing of it. One that comes, goes and comes again is told of.
func TestHubAbsent(t *testing.T) {
	b := bustest.New(t)
	h, log, _ := hearted(t, b)
	pulseIs(t, h, "beats without a hub", func(p telemetry.PulseStatus) bool { // the last may have run out of time instead: this machine is busy
		return p.Seq >= 5 && p.AckLost >= 4 && p.State == telemetry.PulseAlone && strings.Contains(p.Reason, "nobody answers")
	})
	if text := log.String(); strings.Contains(text, "level=WARN") || strings.Count(text, "no hub") != 1 {
		t.Errorf("log %s", text)
	}
	u := newTestHub(t, b, "hub-1")
	pulseIs(t, h, "the hub watches", watched)
	u.conn.Close()
	pulseIs(t, h, "the hub is gone", func(p telemetry.PulseStatus) bool { return p.State == telemetry.PulseAlone && p.Server == "hub-1" })
	newTestHub(t, b, "hub-2")
	pulseIs(t, h, "another hub watches", func(p telemetry.PulseStatus) bool { return watched(p) && p.Server == "hub-2" })
	f := func(what string) {
		t.Helper()
		if n := strings.Count(log.String(), what); n != 1 {
			t.Errorf("%s: %d times in %s", what, n, log)
		}
	}
	f(`level=INFO msg="hub watches this host" hub=hub-1`)
	f(`level=WARN msg="hub does not answer, work goes on without"`)
	f(`level=INFO msg="hub answers again" hub=hub-2`)
}

// Of two hubs the one with the higher term is obeyed. When it has been silent for three intervals the other one is.
func TestTwoHubs(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	u.says(func(a *telemetry.Ack, _ telemetry.Heartbeat) { a.Term, a.NextMS = 5, 2000 })
	h, _, _ := hearted(t, b)
	pulseIs(t, h, "the first hub", func(p telemetry.PulseStatus) bool { return watched(p) && p.Term == 5 && p.IntervalMS == 2000 })
	u.conn.Close()
	v := newTestHub(t, b, "hub-2")
	v.says(func(a *telemetry.Ack, _ telemetry.Heartbeat) { a.Term, a.NextMS = 4, 40 })
	v.next(1)
	pulseIs(t, h, "an ack that is not obeyed", func(p telemetry.PulseStatus) bool { return p.AckLost > 0 })
	if p := h.Pulse(); p.Server != "hub-1" || p.Term != 5 || p.IntervalMS != 2000 {
		t.Errorf("%+v", p)
	}
	pulseIs(t, h, "the second hub", func(p telemetry.PulseStatus) bool {
		return watched(p) && p.Server == "hub-2" && p.Term == 4 && p.IntervalMS == 40
	})
}

// An agent never dies of a refusal: it goes on, and says why once.
func TestAgentRefused(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	for _, reason := range []string{"busy", "name_taken: another agent has it", "conflict", "not_allowed"} {
		u.says(func(a *telemetry.Ack, _ telemetry.Heartbeat) {
			a.State, a.Reason = telemetry.Refused, fmt.Sprint(reason, ": ", a.Received)
		})
		h, log, stop := hearted(t, b)
		u.hears("a beat that is no hello", func() {}, func(b telemetry.Heartbeat) bool { return b.Inst == h.inst && !b.Hello })
		if later := u.next(5); later.Hello || later.Manifest != nil || later.Inventory != nil {
			t.Errorf("%s: who refuses the host is told of it again and again: %+v", reason, later)
		}
		pulseIs(t, h, "it knows", func(p telemetry.PulseStatus) bool {
			return p.State == telemetry.PulseRefused && strings.HasPrefix(p.Reason, reason)
		})
		n := len(u.heard())
		u.says(nil)
		pulseIs(t, h, "accepted", watched)
		bustest.Wait(t, soon, "a hello", func() bool {
			return slices.ContainsFunc(u.heard()[n:], func(b telemetry.Heartbeat) bool { return b.Hello && b.Manifest != nil })
		})
		stop()
		text := log.String()
		if strings.Count(text, "hub refuses this host") != 1 || strings.Count(text, "hub accepts this host again") != 1 {
			t.Errorf("%s: log %s", reason, text)
		}
	}
}

func TestAgentInterval(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	h, _, _ := hearted(t, b)
	f := func(next, want int64) {
		t.Helper()
		u.says(func(a *telemetry.Ack, _ telemetry.Heartbeat) { a.NextMS = next })
		bustest.Wait(t, soon, "the interval is told", func() bool { return u.next(1).IntervalMS == want })
	}
	f(30, 30)
	f(70, 70)
	f(1, 20)
	f(0, 20)
	u.says(func(a *telemetry.Ack, _ telemetry.Heartbeat) { a.NextMS = telemetry.MaxIntervalMS })
	pulseIs(t, h, "an hour", func(p telemetry.PulseStatus) bool { return p.IntervalMS == telemetry.MaxIntervalMS })
	h.heart.hurry()
	n := h.Pulse().Seq
	got := u.hears("the next beat", func() {
		if _, err := h.beatNow(t.Context(), telemetry.CtlRequest{}); err != nil {
			t.Error(err)
		}
	}, func(b telemetry.Heartbeat) bool { return b.Seq > n })
	if !got.Hello || got.Manifest == nil || got.Seq != n+1 {
		t.Errorf("asked to greet: %+v", got)
	}
}

// The last beat says why the agent ends; a hub that does not answer it holds nobody up.
func TestGoodbye(t *testing.T) {
	f := func(reason, want string, mute bool) {
		t.Helper()
		b := bustest.New(t)
		u := newTestHub(t, b, "hub-1")
		h, _, stop := hearted(t, b)
		pulseIs(t, h, "the hub watches", watched)
		if reason != "" {
			h.Leave(reason)
		}
		u.mu.Lock()
		u.mute = mute
		u.mu.Unlock()
		stop()
		if last := u.last(); last.Bye != want || last.State != draining {
			t.Errorf("last words %q in state %s, want %q", last.Bye, last.State, want)
		}
	}
	f("", "shutdown", false)
	f("upgrade", "upgrade", false)
	f("", "shutdown", true)
}

// A host that runs says goodbye after its plugins have ended.
func TestGoodbyeOfAll(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	h := newHost(t, b.URL, pair)
	h.o.Times.Beat = 20 * time.Millisecond
	h = New(h.o)
	stop := run(t, h)
	<-h.Ready()
	bustest.Wait(t, soon, "two plugins", func() bool {
		list := u.heard()
		return len(list) > 0 && list[len(list)-1].Plugins.OK == 2
	})
	stop()
	if last := u.last(); last.Bye != "shutdown" || last.Plugins.OK+last.Plugins.Fail != 0 {
		t.Errorf("last words %q, %+v", last.Bye, last.Plugins)
	}
}

// Beats that were due while the bus was away are never delivered.
func TestNoLateBeats(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	h, _, _ := hearted(t, b)
	pulseIs(t, h, "the hub watches", watched)
	b.Stop(t)
	bustest.Wait(t, soon, "the bus is away", func() bool { return !h.conn.Connected() && !u.conn.Connected() })
	first := h.Pulse().Seq
	pulseIs(t, h, "beats that cannot be sent", func(p telemetry.PulseStatus) bool { return p.Seq >= first+5 })
	last := h.Pulse().Seq
	b.Start(t)
	bustest.Wait(t, soon, "fresh beats", func() bool {
		list := u.heard()
		return list[len(list)-1].Seq >= last+5
	})
	for _, beat := range u.heard() {
		if beat.Seq > first && beat.Seq < last {
			t.Errorf("beat %d of %d to %d, when nobody could hear it, has come", beat.Seq, first, last)
		}
	}
	pulseIs(t, h, "it counts", func(p telemetry.PulseStatus) bool { return watched(p) && p.AckLost >= 4 })
}

// Of a cloned state the hub knows a later start: the agent goes on above it, and keeps that.
func TestAgentGen(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	u.says(func(a *telemetry.Ack, b telemetry.Heartbeat) { a.Gen = max(b.Gen, 9) })
	var kept []uint64
	var mu sync.Mutex
	keep := func(gen uint64) uint64 {
		mu.Lock()
		defer mu.Unlock()
		kept = append(kept, gen)
		return gen + 2
	}
	h, log, _ := hearted(t, b, func(o *Options) { o.Gen, o.GenAbove = 3, keep })
	bustest.Wait(t, soon, "a higher gen", func() bool { return u.next(1).Gen == 11 })
	u.next(3)
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(kept, []uint64{9}) || h.Pulse().Gen != 11 || strings.Count(log.String(), "cloned or restored") != 1 {
		t.Errorf("kept %v, %+v, log %s", kept, h.Pulse(), log)
	}
}

// The log tells once that a flag is new.
func TestAgentFlags(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	h, log, _ := hearted(t, b)
	f := func(flags ...string) {
		t.Helper()
		u.says(func(a *telemetry.Ack, _ telemetry.Heartbeat) { a.Flags = flags })
		pulseIs(t, h, "the flags", func(p telemetry.PulseStatus) bool { return slices.Equal(p.Flags, flags) })
		u.next(2)
	}
	f("warmup")
	f("conflict", "maintenance")
	f("conflict")
	f()
	f("conflict")
	text := log.String()
	if n := strings.Count(text, "another agent beats under the id of this host"); n != 2 {
		t.Errorf("%d times a conflict: %s", n, text)
	}
	if n := strings.Count(text, "host is in maintenance"); n != 1 {
		t.Errorf("%d times maintenance: %s", n, text)
	}
}

// A someList is an inventory that a test changes.
type someList struct {
	mu    sync.Mutex
	items []telemetry.InventoryItem
	news  chan struct{}
}

func (l *someList) list() ([]telemetry.InventoryItem, telemetry.Digest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.items, telemetry.InventoryDigest(l.items)
}

func (l *someList) changed() <-chan struct{} { return l.news }

// add changes the list by n entries.
func (l *someList) add(n int) {
	l.mu.Lock()
	for range n {
		l.items = append(l.items, telemetry.InventoryItem{Plugin: fmt.Sprint("plugin-", len(l.items)), Type: telemetry.DataInfo})
	}
	l.mu.Unlock()
	l.news <- struct{}{}
}

// What is new in the inventory is told at once, in a list until the hub holds it.
func TestAgentInventory(t *testing.T) {
	b := bustest.New(t)
	u := newTestHub(t, b, "hub-1")
	var held telemetry.Digest
	u.says(func(a *telemetry.Ack, _ telemetry.Heartbeat) { a.Digest, a.NextMS = held, telemetry.MaxIntervalMS })
	h, _, stop := hearted(t, b)
	pulseIs(t, h, "the hub watches", watched)
	stop()
	l := &someList{news: make(chan struct{}, 1)}
	h.heart.lists = l
	t.Cleanup(h.heart.start())

	got := u.hears("the list, an hour before it is due", func() { l.add(2) }, func(b telemetry.Heartbeat) bool { return b.Items > 0 })
	_, digest := l.list()
	if got.Items != 2 || got.Digest != digest || len(got.Inventory) != 2 || got.Hello {
		t.Errorf("%+v", got)
	}
	u.says(func(a *telemetry.Ack, b telemetry.Heartbeat) { a.Digest, a.NextMS = b.Digest, 30 })
	if got := u.hears("one more", func() { l.add(1) }, func(b telemetry.Heartbeat) bool { return b.Items == 3 }); len(got.Inventory) != 3 {
		t.Errorf("%+v", got)
	}
	u.hears("a beat without the list, which the hub holds", func() {}, func(b telemetry.Heartbeat) bool { return b.Items == 3 && b.Inventory == nil })
	got = u.hears("more than a beat has room for: the hub asks for it", func() { l.add(8000) }, func(b telemetry.Heartbeat) bool { return b.Items == 8003 })
	if got.Inventory != nil {
		t.Errorf("%d of %d entries", len(got.Inventory), got.Items)
	}
}

// After a sleep of the machine every plugin is asked for a heartbeat, and those that are not there hold nobody up.
func TestGreetAll(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	if h.resumed() {
		t.Error("the machine has slept meanwhile")
	}
	asked := make(chan string, 2)
	for _, name := range []string{"numbers", "sink"} {
		decode := func(body []byte) (request, error) {
			r, enc, err := telemetry.DecodeCtlRequest(body)
			return request{CtlRequest: r, enc: enc}, err
		}
		conn := b.Conn(t, bus.User("h1", name))
		_, err := bus.Handle(conn, bus.CtlSubject("h1", name, "beat"), bus.Rules{}, decode, func(_ context.Context, s bus.Subject, r request) ([]byte, error) {
			asked <- s.Plugin
			return telemetry.EncodeControl(telemetry.CtlReply{ID: r.ID, OK: true}, telemetry.MsgPack)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.greetAll()
		for range len(asked) {
			<-asked
		}
	}
	h.greetAll()
	if one, two := <-asked, <-asked; one != "numbers" || two != "sink" {
		t.Errorf("asked %s, %s", one, two)
	}
}

// Who is replaced says so in its goodbye, and who is stopped too.
func TestGoodbyeOfPlugins(t *testing.T) {
	r := rigged(t, chain)
	f := func(name, want string, end func() error) {
		t.Helper()
		e := r.h.find(name)
		old := e.current()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		bustest.Wait(t, soon, name+" says goodbye: "+want, func() bool {
			e.mu.Lock()
			defer e.mu.Unlock()
			return old.last.Bye == want
		})
	}
	for _, name := range []string{"pass", "numbers"} {
		f(name, "upgrade", func() error { _, err := r.h.Upgrade(t.Context(), name); return err })
	}
	f("pass", "shutdown", func() error { _, err := r.h.Stop(t.Context(), "pass"); return err })
}
