package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// warned returns the warnings of a good config.
func warned(t *testing.T, o Options, text string) []string {
	t.Helper()
	s, err := Parse(o, "c.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var list []string
	for _, w := range s.Warnings {
		list = append(list, w.Message+"; "+w.Hint)
	}
	return list
}

// Who reads all of nothing is told so; a machine that collects nothing may name what others collect.
func TestReadersOfOthers(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		if got := warned(t, options(), text); !slices.Equal(got, want) {
			t.Errorf("%s: warnings %q, want %q", text, got, want)
		}
	}
	const nobody = "from: all means the plugins of this config, and there is none: influx gets no points; name the plugins of other machines, as from: [host, app]"
	f("bus: nats://b\npublish: { influx: { from: all } }", nobody)
	f("bus: nats://b\ncollect: { os: }\npublish: { influx: { from: all } }", nobody)
	own, _, _ := strings.Cut(nobody, "; ")
	f("publish: { influx: { from: all } }", own+"; add one to collect:")
	f("bus: nats://b\ncollect: { cpu: }\npublish: { influx: { from: all } }")
	f("bus: nats://b\nprocess: { filter: { from: [host] } }\npublish: { influx: { from: all } }")
	f("bus: nats://b\npublish: { influx: { from: [host, app] } }")
	f("bus: nats://b\nprocess: { filter: { from: [host, app] } }\npublish: { influx: { from: [filter, sensors] } }")
	f("bus: nats://b\ncollect: { cpu: }\npublish: { influx: { from: [cpu, app] } }",
		"from: no plugin here is called app: taken for one of other machines on the bus; ")
}

// A reader cannot begin in the future, as far as the clock is to be believed.
func TestStart(t *testing.T) {
	f := func(now, start, want string) {
		t.Helper()
		o := options()
		o.Now = func() time.Time {
			at, err := time.Parse(time.RFC3339, now)
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		_, err := Parse(o, "c.yaml", []byte("collect: { cpu: }\npublish: { influx: { from: cpu, start: "+start+" } }"))
		if got := strings.Join(messages(err), "; "); got != want {
			t.Errorf("%s at %s: %q, want %q", start, now, got, want)
		}
	}
	const refused = "start: 2026-05-01T00:00:00Z is in the future, and a reader begins with what is there: it would not wait until then"
	f("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z", refused)
	f("2026-04-30T23:59:30Z", "2026-05-01T00:00:00Z", "")
	f("2026-06-01T00:00:00Z", "2026-05-01T00:00:00Z", "")
	f("1970-01-01T00:00:09Z", "2026-05-01T00:00:00Z", "") // this machine has no clock yet
	f("2026-04-01T00:00:00Z", "1d ago", "")
}

// Who boots with a clock that is late is warned of a start that seems to be in the future; who loads it waits for the answer.
func TestStartOfClockUnset(t *testing.T) {
	o := options()
	o.Now = func() time.Time { return time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC) }
	o.ClockUnset = true
	text := Source{Name: "c.yaml", Text: []byte("collect: { cpu: }\npublish: { influx: { from: cpu, start: 2026-05-01T00:00:00Z } }")}
	s, err := Join(o, text)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Warnings) != 1 || !strings.HasPrefix(s.Warnings[0].Message, "start: 2026-05-01T00:00:00Z is in the future") || s.Plugins[1].Start != "2026-05-01T00:00:00Z" {
		t.Errorf("warnings %v, start %q", s.Warnings, s.Plugins[1].Start)
	}
	text.Strict = true
	if _, err := Join(o, text); len(faultsOf(err)) != 1 {
		t.Errorf("in a strict source: %v, want a fault", err)
	}
}

// Only as many processes as the settings allow.
func TestAlone(t *testing.T) {
	f := func(plugin, want string) {
		t.Helper()
		_, err := Parse(options(), "c.yaml", []byte("collect: { cpu: }\npublish: { x: { from: cpu, "+plugin+" } }"))
		if got := strings.Join(messages(err), "; "); got != want {
			t.Errorf("%s: %q, want %q", plugin, got, want)
		}
	}
	f("use: prometheus, replicas: 3", "replicas: one process alone can listen there")
	f("use: prometheus, replicas: 1", "")
	f("use: prometheus", "")
	f("use: influx, replicas: 3", "")
	f("run: python3 x.py, replicas: 3", "")
}
