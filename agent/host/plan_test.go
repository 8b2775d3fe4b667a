package host

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const plans = `
every: 7s
tags: { dc: eu, rack: r1 }
collect:
  numbers: { tags: { rack: r2 }, timeout: 3s }
  fast: { use: numbers, every: 20ms, journal: /j, queue: 4MiB, overflow: drop_oldest, max_rate: 1000, max_series: 50 }
  facts:
  daily: { use: facts, every: 24h }
  off: { use: numbers, enabled: false }
  mine: { run: [python3, mine.py, "--port=1"], every: 1s, config: { b: 1, a: 2 } }
process:
  first: { use: pass, from: [numbers, fast], tags: { seen: first }, parallel: 4, max_rate: 500 }
  every: { use: pass, from: all }
  alarms: { use: pass, on: [host.down, monitoring] }
publish:
  sink: { from: all }
  both: { use: sink, from: first, on: monitoring, start: all }
`

func TestWork(t *testing.T) {
	h := newHost(t, "nats://bus:4222", plans)
	f := func(name, want string) {
		t.Helper()
		e := h.find(name)
		if e == nil {
			t.Fatalf("there is no %s", name)
		}
		work := e.plan().work
		text, err := telemetry.EncodeControl(telemetry.Ack{Version: 1, Server: "s", State: telemetry.Accepted, Work: &work}, telemetry.JSON)
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := strings.Cut(string(text), `"config":`); got != want+"}" {
			t.Errorf("work of %s:\n%s, want\n%s", name, got, want)
		}
	}
	f("numbers", `{},"tags":{"dc":"eu","rack":"r2"},"every_ms":7000,"timeout_ms":3000,"parallel":1,"max_series":10000`)
	f("fast", `{"journal":"/j"},"tags":{"dc":"eu","rack":"r1"},"every_ms":20,"parallel":1,"queue_bytes":4194304,"overflow":"drop_oldest","max_rate":1000,"max_series":50`)
	f("facts", `{},"tags":{"dc":"eu","rack":"r1"},"parallel":1,"max_series":10000`) // the interval of points is none of facts
	f("daily", `{},"tags":{"dc":"eu","rack":"r1"},"every_ms":86400000,"parallel":1,"max_series":10000`)
	f("mine", `{"a":2,"b":1},"tags":{"dc":"eu","rack":"r1"},"every_ms":1000,"parallel":1,"max_series":10000`)
	f("first", `{},"inputs":[{"stream":"METRICS","durable":"first","filters":["pw.metrics.*.numbers","pw.metrics.*.fast"]}],"tags":{"seen":"first"},"parallel":4,"max_rate":500`)
	f("alarms", `{},"inputs":[{"stream":"EVENTS","durable":"alarms","filters":["pw.events.*.*.host=2Edown","pw.events.*.*.monitoring"]}],"parallel":1`)
	if h.find("off") != nil {
		t.Error("off is not enabled, and planned")
	}
}

func TestInputs(t *testing.T) {
	h := newHost(t, "nats://bus:4222", plans)
	f := func(name string, want ...string) {
		t.Helper()
		var got []string
		for _, in := range h.find(name).plan().inputs {
			got = append(got, in.Stream+" as "+in.Durable+" from "+in.Start)
			got = append(got, in.Filters...)
		}
		if !slices.Equal(got, want) {
			t.Errorf("inputs of %s: %q, want %q", name, got, want)
		}
	}
	f("numbers")
	f("every", "METRICS as every from ", "pw.metrics.*.numbers", "pw.metrics.*.fast", "pw.metrics.*.facts", "pw.metrics.*.daily", "pw.metrics.*.off", "pw.metrics.*.mine")
	f("sink", "METRICS as sink from ", "pw.metrics.*.numbers", "pw.metrics.*.fast", "pw.metrics.*.facts", "pw.metrics.*.daily", "pw.metrics.*.off", "pw.metrics.*.mine",
		"pw.metrics.*.first", "pw.metrics.*.every", "pw.metrics.*.alarms")
	f("both", "METRICS as both from all", "pw.metrics.*.first", "EVENTS as both from all", "pw.events.*.*.monitoring")
}

// A start of a duration counts back from now, all others are what the bus takes.
func TestStart(t *testing.T) {
	for _, same := range []string{"", "new", "all", "2026-01-31T08:00:00Z"} {
		if got := start(same); got != same {
			t.Errorf("start %q became %q", same, got)
		}
	}
	before := time.Now()
	got, err := time.Parse(time.RFC3339, start("24h0m0s"))
	after := time.Now()
	if err != nil || got.Before(before.Add(-24*time.Hour)) || got.After(after.Add(-24*time.Hour)) {
		t.Errorf("24h ago is %v, %v", got, err)
	}
}

// Equal configs have equal revisions, whatever the order in which they are written; whoever has other work has another one.
func TestRevision(t *testing.T) {
	of := func(text string) uint64 {
		t.Helper()
		rev := newHost(t, "nats://bus:4222", text).find("p").plan().rev
		if rev == 0 || rev > 1<<63-1 {
			t.Errorf("revision %d", rev)
		}
		return rev
	}
	const rest = "collect: { numbers: }\n"
	same := func(a, b string) {
		t.Helper()
		if of(a) != of(b) {
			t.Errorf("revisions differ:\n%s\n%s", a, b)
		}
	}
	seen := map[uint64]string{}
	other := func(text string) {
		t.Helper()
		rev := of(text)
		if was, ok := seen[rev]; ok {
			t.Errorf("one revision:\n%s\n%s", was, text)
		}
		seen[rev] = text
	}
	same("collect: { p: { run: x, config: { a: 1, b: 2 }, tags: { k: v, l: w } } }", "collect: { p: { run: x, tags: { l: w, k: v }, config: { b: 2, a: 1 } } }")
	same("collect: { p: { use: numbers } }", "collect: { p: { use: numbers, every: 10s } }")
	same("collect: { p: { use: numbers, env: [A] } }", "collect: { p: { use: numbers } }") // it is the process's, not the work's
	same(rest+"publish: { p: { use: sink, from: numbers, start: 24h ago } }", rest+"publish: { p: { use: sink, from: all, start: 1h ago } }")

	other("collect: { p: { use: numbers } }")
	other("every: 5s\ncollect: { p: { use: numbers } }")
	other("collect: { p: { use: numbers, timeout: 1s } }")
	other("collect: { p: { use: numbers, journal: x } }")
	other("collect: { p: { use: numbers, tags: { a: b } } }")
	other("tags: { a: c }\ncollect: { p: { use: numbers } }")
	other(rest + "publish: { p: { use: sink, from: numbers } }")
	other(rest + "publish: { p: { use: sink, from: numbers, parallel: 2 } }")
	other(rest + "publish: { p: { use: sink, on: monitoring } }")
	other(rest + "publish: { p: { use: sink, from: numbers, on: monitoring } }")
	other("collect: { numbers: , more: { use: numbers } }\npublish: { p: { use: sink, from: all } }")
}

func TestCommand(t *testing.T) {
	h := newHost(t, "nats://bus:4222", plans)
	h.o.Executable = "/bin/pacewire"
	f := func(name, want string) {
		t.Helper()
		if got := strings.Join(h.command(h.find(name).plan().conf), " "); got != want {
			t.Errorf("command of %s: %s, want %s", name, got, want)
		}
	}
	f("numbers", "/bin/pacewire plugin run collector.numbers")
	f("first", "/bin/pacewire plugin run processor.pass")
	f("both", "/bin/pacewire plugin run publisher.sink")
	f("mine", "python3 mine.py --port=1")
}

// A process gets what is its own, a few harmless names, and what its env: lists; nothing else of the agent's.
func TestEnviron(t *testing.T) {
	for _, name := range passed {
		t.Setenv(name, "")
	}
	for name, value := range map[string]string{
		"PATH": "/bin", "LANG": "C", "LC_ALL": "C", "TZ": "UTC", "SSL_CERT_FILE": "f", "SSL_CERT_DIR": "d", "WANTED": "a=b", "EMPTY": "",
		"HOME": "/root", "AWS_SECRET_ACCESS_KEY": "x", "PACEWIRE_PASSWORD": "x", "PACEWIRE_PLUGIN": "other", "LD_PRELOAD": "x.so", "GOGC": "1",
	} {
		t.Setenv(name, value)
	}
	passed = slices.DeleteFunc(slices.Clone(passed), func(name string) bool { return name == "GORACE" }) // of TestMain
	defer func() { passed = append(passed, "GORACE") }()
	h := newHost(t, "nats://bus:4222", `
collect:
  one: { use: numbers }
  two: { run: x, env: [WANTED, EMPTY, MISSING] }
process:
  three: { use: pass, from: one, parallel: 2, replicas: 2 }
`)
	h.o.Dir = "/state"
	f := func(name string, more ...string) {
		t.Helper()
		plugin, _ := telemetry.PluginOf(name)
		want := append([]string{"PACEWIRE_BUS=nats://bus:4222", "PACEWIRE_HOST=h1", "PACEWIRE_PLUGIN=" + plugin, "PACEWIRE_DIR=/state/" + bus.Token(name),
			"PATH=/bin", "LANG=C", "LC_ALL=C", "TZ=UTC", "SSL_CERT_FILE=f", "SSL_CERT_DIR=d"}, more...)
		got := h.environ(h.find(name).plan().conf, name)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("environment of %s:\n%q, want\n%q", name, got, want)
		}
	}
	f("one", "GOGC=50", "GOMAXPROCS=1")
	f("two", "WANTED=a=b", "EMPTY=")
	f("three", "GOGC=50")
	f("three.2", "GOGC=50", "PACEWIRE_PROCESS=three.2")
	h.o.TLS = bus.TLS{CAFile: "ca", CertFile: "c", KeyFile: "k"}
	f("two", "WANTED=a=b", "EMPTY=", "PACEWIRE_BUS_CA=ca", "PACEWIRE_BUS_CERT=c", "PACEWIRE_BUS_KEY=k")
}

// What makes another revision has a name.
func TestDifferenceHasAName(t *testing.T) {
	f := func(n telemetry.Work, want string) {
		t.Helper()
		if got := (plan{}).difference(plan{work: n}); got != want+" changed" {
			t.Errorf("%q, want %s", got, want)
		}
	}
	f(telemetry.Work{QueueBytes: 1}, "queue")
	f(telemetry.Work{Overflow: "block"}, "overflow")
	f(telemetry.Work{MaxRate: 1}, "max_rate")
	f(telemetry.Work{MaxSeries: 1}, "max_series")
	f(telemetry.Work{Order: "source"}, "order")
}
