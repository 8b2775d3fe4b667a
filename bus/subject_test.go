package bus_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pacewire/pacewire/bus"
)

func TestSubjects(t *testing.T) {
	f := func(got, want string, s bus.Subject) {
		t.Helper()
		if got != want {
			t.Errorf("subject %q; want %q", got, want)
		}
		s.Raw = want
		if parsed, err := bus.ParseSubject(got); err != nil || parsed != s {
			t.Errorf("ParseSubject(%q) = %+v, %v; want %+v", got, parsed, err, s)
		}
	}
	type s = bus.Subject
	f(bus.MetricsSubject("web.1", "cpu"), "pw.metrics.web=2E1.cpu", s{Area: bus.AreaMetrics, Host: "web.1", Plugin: "cpu"})
	f(bus.EventSubject("h", "p", "down"), "pw.events.h.p.down", s{Area: bus.AreaEvents, Host: "h", Plugin: "p", Verb: "down"})
	f(bus.DeadSubject("influx"), "pw.dead.influx", s{Area: bus.AreaDead, Plugin: "influx"})
	f(bus.CopySubject("web.1", bus.DeadSubject("a.b")), "pw.dead.web=2E1.a=2Eb", s{Area: bus.AreaDead, Host: "web.1", Plugin: "a.b"})
	f(bus.HeartbeatSubject("h", bus.Agent, bus.HTB), "pw.hb.h.agent.htb", s{Area: bus.AreaBeat, Host: "h", Plugin: "agent", Verb: "htb"})
	f(bus.CtlSubject("h", "p", "drain"), "pw.ctl.h.p.drain", s{Area: bus.AreaCtl, Host: "h", Plugin: "p", Verb: "drain"})
	f(bus.LogSubject("h", "p"), "pw.log.h.p", s{Area: bus.AreaLog, Host: "h", Plugin: "p"})
	f(bus.HubSubject("get"), "pw.hub.get", s{Area: bus.AreaHub, Verb: "get"})
	f(bus.HTTPSubject("h", "p"), "pw.http.h.p", s{Area: bus.AreaHTTP, Host: "h", Plugin: "p"})
	f(bus.HTTPExchangeSubject("h", "p", "x1", "up"), "pw.http.h.p.x1.up", s{Area: bus.AreaHTTP, Host: "h", Plugin: "p", Exchange: "x1", Verb: "up"})
	// Names that look like wildcards are names.
	f(bus.MetricsSubject("*", ">"), "pw.metrics.=2A.=3E", s{Area: bus.AreaMetrics, Host: "*", Plugin: ">"})
	f(bus.MetricsSubject("", "a.b"), "pw.metrics.=.a=2Eb", s{Area: bus.AreaMetrics, Plugin: "a.b"})
}

func TestHashedSubject(t *testing.T) {
	long := strings.Repeat("h", 5000)
	s, err := bus.ParseSubject(bus.MetricsSubject(long, "cpu"))
	if err != nil || !s.Hashed || s.Host != bus.Token(long) || s.Plugin != "cpu" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestPatterns(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q; want %q", got, want)
		}
	}
	f(bus.MetricsFilter("cpu"), "pw.metrics.*.cpu")
	f(bus.MetricsFilter("*"), "pw.metrics.*.=2A")
	f(bus.EventFilter("down"), "pw.events.*.*.down")
	f(bus.Pattern(bus.AreaBeat, bus.Name("web.1"), bus.Any, bus.HTB), "pw.hb.web=2E1.*.htb")
	f(bus.User("web.1", "cpu"), "web=2E1_cpu")
	f(bus.User("a_b", "c"), "a=5Fb_c")
	f(bus.User("a", "b_c"), "a_b_c")
}

// One user is one plugin of one host, whatever they are called, and is what a
// subject of that plugin says.
func TestUsersDiffer(t *testing.T) {
	name := rapid.OneOf(rapid.StringOf(rapid.SampledFrom([]rune("ab_=5F."))), rapid.String())
	rapid.Check(t, func(t *rapid.T) {
		host, plugin := name.Draw(t, "host"), name.Draw(t, "plugin")
		other, second := name.Draw(t, "other host"), name.Draw(t, "other plugin")
		same := bus.Token(host) == bus.Token(other) && bus.Token(plugin) == bus.Token(second)
		user := bus.User(host, plugin)
		if (user == bus.User(other, second)) != same {
			t.Fatalf("%q of %q and %q of %q: users %q, %q", plugin, host, second, other, user, bus.User(other, second))
		}
		first, last, _ := strings.Cut(user, "_")
		if bus.Token(host) != strings.ReplaceAll(first, "=5F", "_") || bus.Token(plugin) != last {
			t.Fatalf("%q of %q: user %q", plugin, host, user)
		}
	})
}

func TestParseSubjectRefuses(t *testing.T) {
	f := func(raw string) {
		t.Helper()
		if s, err := bus.ParseSubject(raw); !errors.Is(err, bus.ErrBadToken) {
			t.Errorf("ParseSubject(%q) = %+v, %v", raw, s, err)
		}
	}
	f("")
	f("pw")
	f("pw.")
	f("pw.metrics")
	f("pw.metrics.h1")
	f("pw.metrics.h1.cpu.x")
	f("pw.metrics.*.cpu")
	f("pw.metrics.>")
	f("pw.metrics..cpu")
	f("pw.other.h1.cpu")
	f("xx.metrics.h1.cpu")
	f("$JS.API.STREAM.INFO.METRICS")
	f("pw.ctl.h1.a=2eb.beat")
	f("pw.hub." + strings.Repeat("a", 300))
}

func FuzzParseSubject(f *testing.F) {
	f.Add("pw.metrics.web=2E1.cpu")
	f.Add("pw.hb.h.agent.htb")
	f.Add("pw.http.h.p.x.down")
	f.Fuzz(func(t *testing.T, raw string) {
		s, err := bus.ParseSubject(raw)
		if err != nil || s.Hashed {
			return
		}
		rebuilt := map[string]string{
			bus.AreaMetrics: bus.MetricsSubject(s.Host, s.Plugin),
			bus.AreaEvents:  bus.EventSubject(s.Host, s.Plugin, s.Verb),
			bus.AreaDead:    bus.DeadSubject(s.Plugin),
			bus.AreaBeat:    bus.HeartbeatSubject(s.Host, s.Plugin, s.Verb),
			bus.AreaCtl:     bus.CtlSubject(s.Host, s.Plugin, s.Verb),
			bus.AreaLog:     bus.LogSubject(s.Host, s.Plugin),
			bus.AreaHub:     bus.HubSubject(s.Verb),
			bus.AreaHTTP:    bus.HTTPSubject(s.Host, s.Plugin),
		}[s.Area]
		switch {
		case s.Area == bus.AreaDead && strings.Count(raw, ".") == 3:
			rebuilt = bus.CopySubject(s.Host, rebuilt)
		case strings.Count(raw, ".") == 5:
			rebuilt = bus.HTTPExchangeSubject(s.Host, s.Plugin, s.Exchange, s.Verb)
		}
		if rebuilt != raw {
			t.Fatalf("%q parses as %+v, which is %q", raw, s, rebuilt)
		}
	})
}
