package host

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestParseLoads(t *testing.T) {
	f := func(text string, want map[string]float64) {
		t.Helper()
		if got := parseLoads(text); !maps.Equal(got, want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	f("0.20 0.50 0.75 1/100 42\n", map[string]float64{"load1": 0.2, "load5": 0.5, "load15": 0.75})
	f("0.20", map[string]float64{"load1": 0.2})
	f("x 1 2", map[string]float64{"load5": 1, "load15": 2})
	f("", map[string]float64{})
}

func TestParseRSS(t *testing.T) {
	f := func(text string, want float64) {
		t.Helper()
		if got := parseRSS(text, 4096); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	f("1000 25 3 4 5 6 7\n", 25*4096)
	f("1000", 0)
	f("1000 -1", 0)
	f("", 0)
}

// A beat of the agent counts its plugins, and names at most eight that do badly: those that fail before those that are late.
func TestCountsOfPlugins(t *testing.T) {
	var text strings.Builder
	text.WriteString("collect:\n")
	for i := range 14 {
		fmt.Fprintf(&text, "  p%d: { attached: true }\n", i)
	}
	text.WriteString("publish: { sink: { from: all } }\n")
	b := bustest.New(t)
	h := connected(t, b, text.String())
	say := func(i int, state string) {
		e := h.find(fmt.Sprint("p", i))
		e.set(func() {
			e.now.last = telemetry.Heartbeat{Inst: "a", State: state, IntervalMS: 4000}
			e.now.arrived = time.Now()
		})
	}
	f := func(ok, fail, late uint64, worst ...string) {
		t.Helper()
		c := h.counts(time.Now())
		if c.OK != ok || c.Fail != fail || c.Late != late || len(c.Worst) != len(worst) {
			t.Errorf("%+v, want %d ok, %d failed, %d late, worst %v", c, ok, fail, late, worst)
		}
		for _, w := range worst {
			if name, state, _ := strings.Cut(w, " "); c.Worst[name] != state {
				t.Errorf("%s is %q among the worst, want %s", name, c.Worst[name], state)
			}
		}
	}
	f(0, 0, 0) // nobody has come yet
	for i := range 14 {
		say(i, running)
	}
	f(14, 0, 0)
	say(0, failed)
	say(1, idle)
	e := h.find("p2")
	e.set(func() { e.now.arrived = time.Now().Add(-11 * time.Second) })
	f(12, 1, 1, "p0 failed", "p2 late")
	for i := 3; i < 12; i++ {
		say(i, failed)
	}
	if c := h.counts(time.Now()); c.Fail != 10 || c.Late != 1 || len(c.Worst) != mostWorst || c.Worst["p2"] != "" {
		t.Errorf("%+v", c)
	}
}

// A collector that has collected at each interval, and does not any more, is late.
func TestStale(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, "collect: { numbers: { attached: true, every: 10s } }\npublish: { sink: { attached: true, from: numbers } }\n")
	begun := time.Now()
	after := func(name string, d time.Duration, rev, ticks uint64) {
		e := h.find(name)
		beat := telemetry.Heartbeat{Inst: "a", State: running, IntervalMS: 5000, ConfigRev: rev, Stats: &telemetry.Stats{Ticks: ticks}}
		e.beat(beat, begun.Add(d), &telemetry.Ack{})
	}
	f := func(name string, d time.Duration, want string) {
		t.Helper()
		if got := h.find(name).tally(begun.Add(d)); got != want {
			t.Errorf("%s after %v: %s, want %s", name, d, got, want)
		}
	}
	for d := time.Duration(0); d <= 40*time.Second; d += 5 * time.Second {
		after("sink", d, 1, 0)
		after("numbers", d, 1, 1+min(uint64(d/(10*time.Second)), 1)) // none after 10 s
		f("sink", d, running)
		f("numbers", d, map[bool]string{false: running, true: late}[d > 10*time.Second+30*time.Second])
	}
	f("numbers", 41*time.Second, late)
	after("numbers", 45*time.Second, 2, 2) // another config
	f("numbers", 45*time.Second, running)
	after("numbers", 75*time.Second, 2, 3)
	f("numbers", 80*time.Second, running)
	f("numbers", 88*time.Second, late) // it is silent
}

// The revision is that of the config, and not of the moment.
func TestRevisionOfAll(t *testing.T) {
	b := bustest.New(t)
	one, same, other := newHost(t, b.URL, pair), newHost(t, b.URL, pair), newHost(t, b.URL, "site: north\n"+pair)
	if one.revision() == 0 || one.revision() != same.revision() || one.revision() == other.revision() {
		t.Errorf("%d, the same %d, another %d", one.revision(), same.revision(), other.revision())
	}
	before := one.revision()
	one.adopt(other.inForce())
	if one.revision() != other.revision() || one.revision() == before {
		t.Errorf("%d after a reload of %d", one.revision(), other.revision())
	}
	if m := one.manifest(); m.Labels["site"] != "north" {
		t.Errorf("labels %v", m.Labels)
	}
}

// Operators and hubs can ask an agent for its pulse, and for a beat.
func TestAskedForPulse(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	ask := func(verb string) telemetry.CtlReply {
		t.Helper()
		body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: "1"}, telemetry.MsgPack)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := b.Conn(t, "hub").Request(t.Context(), bus.CtlSubject("h1", bus.Agent, verb), body)
		if err != nil {
			t.Fatal(err)
		}
		reply, _, err := telemetry.DecodeCtlReply(answer)
		if err != nil || !reply.OK {
			t.Fatalf("%s: %+v, %v", verb, reply, err)
		}
		return reply
	}
	p, _, err := telemetry.DecodePulseStatus(ask("pulse").Payload)
	if err != nil || p.Host != "h1" || p.Inst != h.inst || p.State != telemetry.PulseAlone || p.Seq != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	ask("beat")
	if wait := h.heart.wait(); wait != 0 {
		t.Errorf("a beat is due in %v", wait)
	}
}
