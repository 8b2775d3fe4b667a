package config

import (
	"slices"
	"strings"
	"testing"
)

// TestMissing has a plugin without a program beside one that has one: a fault, or a warning where the loader is lenient.
func TestMissing(t *testing.T) {
	o := withFound(
		found("zebra", Collector, "/p/zebra", ""),
		Program{Name: "dice", Path: "/p/dice", Unavailable: "unsigned: nobody vouches for /p/dice"},
		Program{Name: "fan.py", Path: "/p/fan.py", Unavailable: "--describe prints nothing"},
		Program{Name: "cpu", Path: "/p/cpu", Unavailable: "busy"}, // in nobody's way
	)
	f := func(entry, hint, want string, program string, run ...string) {
		t.Helper()
		text := []byte("collect: { x: { " + entry + ", config: { a: 1, b: [c] } }, cpu: }")
		o.Lenient = false
		_, err := Parse(o, "c.yaml", text)
		faults := faultsOf(err)
		if len(faults) != 1 || faults[0].Message != want || faults[0].Hint != hint {
			t.Errorf("%s: got %v, want %s", entry, err, want)
			return
		}
		o.Lenient = true
		s, err := Parse(o, "c.yaml", text)
		if err != nil {
			t.Errorf("%s: %v", entry, err)
			return
		}
		p := s.Plugins[0]
		if p.Missing != want || p.Kind != Collector || p.Program != program || !slices.Equal(p.Run, run) || string(p.Config) != `{"a":1,"b":["c"]}` {
			t.Errorf("%s: got %+v", entry, p)
		}
		if !slices.Contains(s.Warnings, faults[0]) || s.Plugins[1].Missing != "" {
			t.Errorf("%s: warnings %v, the other %+v", entry, s.Warnings, s.Plugins[1])
		}
		// Who loads it waits for the answer.
		main := Source{Name: "c.yaml", Text: []byte("collect: { mem: }")}
		_, err = Join(o, main, Source{Name: "piece", Text: text, Loaded: true, Strict: true})
		if got := messages(err); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: loaded: %q", entry, got)
		}
		if _, err = Join(o, main, Source{Name: "piece", Text: text, Loaded: true}); err != nil {
			t.Errorf("%s: kept: %v", entry, err)
		}
	}
	const known = "say what it runs: use: PROGRAM or run: COMMAND; known are cpu, host, mem, os, zebra"
	const list = "pacewire plugin list --programs shows it: "
	f("use: redis", known, "there is no collector program redis", "redis")
	f("use: dice", list+"/p/dice", "the collector program dice cannot be used: unsigned: nobody vouches for /p/dice", "dice")
	f("use: fan", list+"/p/fan.py", "the collector program fan cannot be used: --describe prints nothing", "fan")
	f("use: fan.py", list+"/p/fan.py", "the collector program fan.py cannot be used: --describe prints nothing", "fan.py")
	f("use: zebras", "did you mean zebra?", "there is no collector program zebras", "zebras")
	f("run: /no/such thing", "", "run: there is no program /no/such", "", "/no/such", "thing")
	f("run: nothing", "install it, or write its whole path", "run: there is no program nothing on PATH", "", "nothing")
	f("run: [/opt/plain.txt, a b]", "chmod +x it, or name its interpreter: run: python3 /opt/plain.txt", "run: /opt/plain.txt may not be executed", "", "/opt/plain.txt", "a b")
	f("run: /opt", "name the program in it", "run: /opt is a folder", "", "/opt")
}

// TestLenientRefuses has what is wrong however few programs there are.
func TestLenientRefuses(t *testing.T) {
	o := withFound(Program{Name: "dice", Path: "/p/dice", Unavailable: "busy"})
	o.Lenient = true
	f := func(text string, want ...string) {
		t.Helper()
		_, err := Parse(o, "c.yaml", []byte(text))
		if got := messages(err); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	f("collect: { x: { use: hots } }", "there is no collector program hots")
	f("collect: { cpu2: }", "there is no collector program cpu2")
	f("collect: { x: { use: no name } }", "there is no collector program no name")
	f("collect: { x: { use: filter } }", "filter is a processor: it changes points")
	f("collect: { x: { use: dice, every: soon } }", "every: want a duration such as 10s, got soon")
	f("publish: { x: { use: dice } }", "x reads nothing: a publisher needs from:")
	f("collect: { x: { cmd: /no/such } }", "x: unknown key cmd")
}

// TestUnavailableIsNotSuggested looks at what people are told to use.
func TestUnavailableIsNotSuggested(t *testing.T) {
	gone := found("zebra", Collector, "/p/zebra", "")
	gone.Unavailable = "busy"
	o := withFound(gone, Program{Name: "dice", Path: "/p/dice", Unavailable: "busy"})
	for _, name := range []string{"zebr", "dic"} {
		if _, err := Parse(o, "c.yaml", []byte("collect: { x: { use: "+name+" } }")); err == nil || strings.Contains(err.Error(), "zebra") || strings.Contains(err.Error(), "dice") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAsBefore has a program that could be run before: whoever runs it goes on, and nobody begins with it.
func TestAsBefore(t *testing.T) {
	zebra := found("zebra", Collector, "/p/zebra", `"stripes":{"type":"integer"}`)
	zebra.Unavailable = "bad_signature: of other bytes"
	o := withFound(zebra)
	o.Lenient = true
	const why = "the collector program zebra cannot be used: bad_signature: of other bytes"
	f := func(text string) {
		t.Helper()
		s, err := Parse(o, "c.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if p := s.Plugins[0]; p.Missing != "" || p.Program != "zebra" || !slices.Equal(p.Run, []string{"/p/zebra"}) {
			t.Errorf("got %+v", p)
		}
		if len(s.Warnings) == 0 || s.Warnings[0].Message != why {
			t.Errorf("warnings %v", s.Warnings)
		}
	}
	f("collect: { zebra: { stripes: 5 } }\npublish: { prometheus: { from: all } }")
	f("discover: { autostart: true }\npublish: { prometheus: { from: all } }")

	text := Source{Name: "c.yaml", Text: []byte("collect: { zebra: { stripes: many } }")}
	if got := messages(second(Join(o, text))); !slices.Equal(got, []string{"stripes: want a whole number, got many"}) {
		t.Errorf("got %q", got)
	}
	text.Text, text.Strict = []byte("collect: { z: { use: zebra } }"), true
	if got := messages(second(Join(o, text))); !slices.Equal(got, []string{why}) {
		t.Errorf("got %q", got)
	}
}

func second(_ *Settings, err error) error { return err }
