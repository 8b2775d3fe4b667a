package host

import (
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/telemetry"
)

const pair = "collect: { numbers: }\npublish: { sink: { from: numbers } }\n"

// A beater is the heart of a plugin without the plugin.
type beater struct {
	telemetry.Heartbeat
	t    testing.TB
	conn *bus.Conn
	enc  telemetry.Encoding
}

// newPulse connects as a plugin of h1 and prepares a hello.
func newPulse(t testing.TB, b *bustest.Bus, name, kind, inst string) *beater {
	t.Helper()
	return &beater{t: t, conn: b.Conn(t, bus.User("h1", name)), Heartbeat: telemetry.Heartbeat{
		Version: telemetry.ProtocolVersion, Host: "h1", Plugin: name, Inst: inst, IntervalMS: 60000, Hello: true, T1: 42,
		Digest: telemetry.Digest{15: 7}, Manifest: &telemetry.Manifest{Kind: kind, Program: "p", API: 1, Version: "1.2.3"},
	}}
}

// beat beats once, and returns the answer.
func (p *beater) beat() telemetry.Ack {
	p.t.Helper()
	p.Seq++
	body, err := telemetry.EncodeControl(p.Heartbeat, p.enc)
	if err != nil {
		p.t.Fatal(err)
	}
	reply, err := p.conn.Request(p.t.Context(), bus.HeartbeatSubject("h1", p.Plugin, bus.HTB), body)
	if err != nil {
		p.t.Fatal(err)
	}
	ack, enc, err := telemetry.DecodeAck(reply)
	if err != nil || enc != p.enc {
		p.t.Fatalf("answer in %v: %v", enc, err)
	}
	return ack
}

// refused beats once, and wants to be refused for a reason.
func (p *beater) refused(reason string) {
	p.t.Helper()
	if ack := p.beat(); ack.State != telemetry.Refused || !strings.HasPrefix(ack.Reason, reason) || ack.Work != nil || ack.Received != 0 {
		p.t.Errorf("%+v, want refused for %s", ack, reason)
	}
}

// accepted beats once, and wants to be accepted.
func (p *beater) accepted() telemetry.Ack {
	p.t.Helper()
	ack := p.beat()
	if ack.State != telemetry.Accepted || ack.Reason != "" {
		p.t.Errorf("%+v, want accepted", ack)
	}
	return ack
}

func TestAccepted(t *testing.T) {
	for _, enc := range []telemetry.Encoding{telemetry.MsgPack, telemetry.JSON} {
		b := bustest.New(t)
		h := connected(t, b, pair)
		p := newPulse(t, b, "sink", "publisher", "a")
		p.enc = enc
		before := time.Now().UnixNano()
		ack := p.accepted()
		e := h.find("sink")
		if ack.Server != h.inst || ack.Seq != 1 || ack.T1 != 42 || ack.T2 < before || ack.T3 < ack.T2 || ack.NextMS != 100 || ack.ConfigRev != e.plan().rev {
			t.Errorf("%v: %+v", enc, ack)
		}
		if ack.Work == nil || string(ack.Config) != "{}" || len(ack.Inputs) != 1 || ack.Inputs[0].Durable != "sink" {
			t.Errorf("%v: work %+v", enc, ack.Work)
		}
		if m := e.now.manifest; m == nil || m.Version != "1.2.3" {
			t.Errorf("%v: manifest %+v", enc, m)
		}
	}
}

// Work comes with an answer for as long as the plugin tells another revision.
func TestWorkUntilTaken(t *testing.T) {
	b := bustest.New(t)
	connected(t, b, pair)
	p := newPulse(t, b, "numbers", "collector", "a")
	rev := p.accepted().ConfigRev
	f := func(has uint64, work bool) {
		t.Helper()
		p.ConfigRev = has
		if ack := p.accepted(); (ack.Work != nil) != work || ack.ConfigRev != rev {
			t.Errorf("with revision %d: %+v", has, ack)
		}
	}
	f(0, true)
	f(rev, false)
	f(rev, false)
	f(rev+1, true)
	f(rev, false)
}

func TestCounts(t *testing.T) {
	b := bustest.New(t)
	connected(t, b, pair)
	p := newPulse(t, b, "numbers", "collector", "a")
	f := func(seq, received, lost uint64) {
		t.Helper()
		p.Seq = seq - 1
		if ack := p.accepted(); ack.Seq != seq || ack.Received != received || ack.Lost != lost {
			t.Errorf("beat %d: %+v", seq, ack)
		}
	}
	f(1, 1, 0)
	f(2, 2, 0)
	f(5, 3, 2)
	f(6, 4, 2)
	f(16, 5, 11)
	p.Bye = "shutdown"
	f(17, 6, 11)
	p = newPulse(t, b, "numbers", "collector", "b") // what another process lost is not its loss, nor what it sent before we listened
	f(9, 1, 0)
	f(11, 2, 1)
}

// A heartbeat that is late or comes twice is counted, and changes nothing: it says what was.
func TestOldBeat(t *testing.T) {
	b := bustest.New(t)
	e := connected(t, b, pair).find("numbers")
	p := newPulse(t, b, "numbers", "collector", "a")
	rev := p.accepted().ConfigRev
	f := func(seq uint64, state string, received, lost uint64, want string) {
		t.Helper()
		p.Seq, p.State, p.ConfigRev = seq-1, state, 0
		if ack := p.accepted(); ack.Received != received || ack.Lost != lost || ack.ConfigRev != rev || (ack.Work != nil) != (state == want) {
			t.Errorf("beat %d: %+v", seq, ack)
		}
		e.set(func() {
			if e.now.last.State != want {
				t.Errorf("beat %d: it is %s, want %s", seq, e.now.last.State, want)
			}
		})
	}
	f(5, running, 2, 3, running)
	f(3, failed, 3, 2, running)
	f(3, failed, 3, 2, running)
	f(5, failed, 3, 2, running)
	f(6, idle, 4, 2, idle)
	f(math.MaxUint64, running, 5, 2+1<<16, running)
	f(7, failed, 5, 2+1<<16, running)
}

// Who calls himself somebody else is refused, whatever his rights.
func TestOtherName(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	f := func(host, plugin string) {
		t.Helper()
		p := newPulse(t, b, "numbers", "collector", "a")
		subject := bus.HeartbeatSubject("h1", "numbers", bus.HTB)
		p.Host, p.Plugin, p.Seq = host, plugin, 1
		body, err := telemetry.EncodeControl(p.Heartbeat, telemetry.MsgPack)
		if err != nil {
			t.Fatal(err)
		}
		reply, err := p.conn.Request(t.Context(), subject, body)
		if err != nil {
			t.Fatal(err)
		}
		ack, _, err := telemetry.DecodeAck(reply)
		if err != nil || ack.State != telemetry.Refused || !strings.HasPrefix(ack.Reason, "not_allowed: the heartbeat of numbers calls itself") {
			t.Errorf("%s of %s: %+v, %v", plugin, host, ack, err)
		}
	}
	f("h2", "numbers")
	f("h1", "sink")
	f("h1", strings.Repeat("x", 5000))
	if h.find("numbers").now.last.Inst != "" {
		t.Error("it was taken")
	}
}

// What a process has sent that has ended by now is not taken for the first word of the next one.
func TestLateBeat(t *testing.T) {
	b := bustest.New(t)
	e := connected(t, b, pair).find("sink")
	former, next := newPulse(t, b, "sink", "publisher", "a"), newPulse(t, b, "sink", "publisher", "b")
	former.accepted()
	e.now.expect("b")
	former.refused("not_allowed: this process of sink has ended")
	heard := func(want string) {
		t.Helper()
		e.set(func() {
			if got := e.now.last.Inst; got != want || e.now.arrived.IsZero() != (want == "") {
				t.Errorf("heard of %q, want %q", got, want)
			}
		})
	}
	heard("")
	if ack := next.accepted(); ack.Received != 1 || ack.Lost != 0 {
		t.Errorf("%+v", ack)
	}
	former.refused("not_allowed: this process of sink has ended")
	if ack := next.accepted(); ack.Received != 2 {
		t.Errorf("%+v", ack)
	}
	heard("b")
}

func TestRefused(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	newPulse(t, b, "other", "collector", "a").refused("not_allowed: the config of this host has no plugin other")

	p := newPulse(t, b, "numbers", "collector", "a")
	p.Manifest.API = 2
	p.refused("api_version: the plugin speaks version 2, this agent version 1")
	p.Manifest.API, p.Manifest.Kind = 1, "publisher"
	p.refused("config_invalid: numbers is a publisher, but stands among the collectors")
	if i := h.find("numbers").now; !strings.HasPrefix(i.refused, "config_invalid") || !i.arrived.IsZero() {
		t.Errorf("refused %q, arrived %v", i.refused, i.arrived)
	}
	p.Manifest.Kind = "collector"
	if p.accepted(); h.find("numbers").now.refused != "" {
		t.Errorf("refused %q", h.find("numbers").now.refused)
	}
	p.Hello, p.Manifest = false, nil // the manifest came with the hello
	if p.accepted(); h.find("numbers").now.manifest == nil {
		t.Error("the manifest is forgotten")
	}
}

// What a plugin does again and again is logged once.
func TestRefusedOnce(t *testing.T) {
	b := bustest.New(t)
	h := newHost(t, b.URL, pair)
	var log texttest.Buffer
	h.log = slog.New(slog.NewTextHandler(&log, nil))
	arrived := time.Now()
	bad := telemetry.Heartbeat{Inst: "a", Manifest: &telemetry.Manifest{API: 3, Kind: "collector"}}
	for range 3 {
		h.find("numbers").beat(bad, arrived, &telemetry.Ack{})
	}
	if n := strings.Count(log.String(), "plugin refused"); n != 1 {
		t.Errorf("%d records: %s", n, &log)
	}
}

// A name belongs to the process that beats under it, until it says goodbye or has been silent for two and a half intervals.
func TestNameTaken(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	first, second := newPulse(t, b, "numbers", "collector", "a"), newPulse(t, b, "numbers", "collector", "b")
	e := h.find("numbers")
	first.accepted()
	second.refused("name_taken: another process beats as numbers")
	if e.now.refused != "" || e.now.last.Inst != "a" {
		t.Errorf("the first is disturbed: %q, %+v", e.now.refused, e.now.last)
	}
	first.Seq = 1
	if ack := first.accepted(); ack.Received != 2 || ack.Lost != 0 {
		t.Errorf("the first is disturbed: %+v", ack)
	}
	silent := func(d time.Duration) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.now.arrived = time.Now().Add(-d)
	}
	silent(2 * time.Minute) // of an interval of one
	second.refused("name_taken")
	silent(2*time.Minute + 31*time.Second)
	second.accepted()
	first.refused("name_taken")
	second.Bye = "shutdown"
	second.accepted()
	first.accepted()
}

// Two that call themselves by one id are told apart by what they count: who came later gets nothing, and the agent tells of it once.
func TestCopiedInst(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	first, second := newPulse(t, b, "numbers", "collector", "a"), newPulse(t, b, "numbers", "collector", "a")
	clock := int64(100)
	beat := func(p *beater) telemetry.Ack {
		t.Helper()
		clock++
		p.T1 = clock
		return p.accepted()
	}
	told := func(want int) {
		t.Helper()
		n := 0
		for _, l := range h.find("numbers").journal.Page(0, 0, 0).Lines {
			if strings.HasPrefix(l.Text, "another process beats by the id of this one") {
				n++
			}
		}
		if n != want {
			t.Errorf("told %d times, want %d", n, want)
		}
	}
	for range 5 {
		beat(first)
	}
	if ack := beat(second); ack.Work != nil { // one that has begun anew by itself, as far as anybody knows
		t.Errorf("it gets work: %+v", ack)
	}
	beat(second)
	told(0)
	beat(first)
	for range 2 {
		if ack := beat(second); ack.Work != nil {
			t.Errorf("it gets work: %+v", ack)
		}
	}
	told(1)
	if e := h.find("numbers"); e.now.last.Seq != first.Seq || e.now.refused != "" {
		t.Errorf("the first is disturbed: %+v, %q", e.now.last, e.now.refused)
	}
	late := newPulse(t, b, "numbers", "collector", "a") // what was under way for long is nobody else
	late.T1 = 101
	late.accepted()
	told(1)
}

// A heartbeat of the agent itself, or without a place for the answer, is none of the host's.
func TestNoAnswer(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	p := newPulse(t, b, "numbers", "collector", "a")
	p.Seq = 1
	body, err := telemetry.EncodeControl(p.Heartbeat, telemetry.MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.conn.Tell(bus.HeartbeatSubject("h1", "numbers", bus.HTB), body); err != nil {
		t.Fatal(err)
	}
	bustest.Wait(t, soon, "it is refused", func() bool { return h.conn.BadRequests()["responder"] == 1 })
	if h.find("numbers").now.last.Inst != "" {
		t.Error("it was taken")
	}
	if reply, err := h.answer(t.Context(), bus.Subject{Plugin: bus.Agent}, beat{p.Heartbeat, telemetry.MsgPack}); reply != nil || err != nil {
		t.Errorf("%q, %v", reply, err)
	}
}

// The log tells when a plugin works, fails or has nothing to do, and why.
func TestNoted(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, idler)
	var log texttest.Buffer
	h.log = slog.New(slog.NewTextHandler(&log, nil))
	e := alive(t, h)
	for _, state := range []string{"starting", "running", "running", "failed", "failed", "idle", "running", "draining"} {
		beat := telemetry.Heartbeat{Inst: "a", State: state}
		if state == "failed" {
			beat.Error = &telemetry.Fault{Message: "port in use"}
		}
		e.beat(beat, time.Now(), &telemetry.Ack{})
	}
	f := func(what string, n int) {
		t.Helper()
		if got := strings.Count(log.String(), what); got != n {
			t.Errorf("%s: %d times, want %d in\n%s", what, got, n, &log)
		}
	}
	f(`msg="plugin `, 4)
	f(`level=INFO msg="plugin works" plugin=idle program=sh`, 2)
	f(`level=ERROR msg="plugin has failed" plugin=idle reason="port in use"`, 1)
	f(`level=INFO msg="plugin finds nothing to do here"`, 1)
}
