package config

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// found has programs of plugin directories: some that can be used, and some that are in somebody's way.
func found(name, kind, path, properties string) Program {
	return Program{Kind: kind, Name: name, Path: path,
		Schema: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{` + properties + `}}`)}
}

func withFound(list ...Program) Options {
	o := options()
	o.PluginDirs = []string{"/usr/lib/pacewire/plugins"}
	o.Discover = func(Discovery) []Program { return list }
	return o
}

func TestDiscoverIsAskedOnce(t *testing.T) {
	var asked []Discovery
	o := options()
	o.PluginDirs = []string{"/a", "/b"}
	o.Discover = func(d Discovery) []Program { asked = append(asked, d); return nil }
	f := func(text string, want Discovery) {
		t.Helper()
		asked = nil
		s, err := Parse(o, "c.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(asked) != 1 || !slices.Equal(asked[0].Dirs, want.Dirs) || asked[0].Autostart != want.Autostart || !slices.Equal(s.Discovery.Dirs, want.Dirs) {
			t.Errorf("%q: asked %+v, settings %+v, want %+v", text, asked, s.Discovery, want)
		}
	}
	f("collect: { cpu: }", Discovery{Dirs: []string{"/a", "/b"}})
	f("discover: { autostart: true }", Discovery{Dirs: []string{"/a", "/b"}, Autostart: true})
	f("discover: { dirs: [/c/] }", Discovery{Dirs: []string{"/c"}})
	f("discover: { dirs: /c }", Discovery{Dirs: []string{"/c"}})
	f("discover: { dirs: [] }", Discovery{})

	o.Offline = true
	asked = nil
	if _, err := Parse(o, "c.yaml", []byte("collect: { cpu: }")); err != nil || len(asked) > 0 {
		t.Errorf("offline: asked %v, %v", asked, err)
	}
}

func TestFoundProgram(t *testing.T) {
	o := withFound(found("zebra", Collector, "/p/zebra", `"stripes":{"type":"integer"},"pin":{"type":"string","writeOnly":true}`))
	s, err := Parse(o, "c.yaml", []byte("collect: { z: { use: zebra, stripes: 5 }, zebra: { attached: true, use: zebra } }"))
	if err != nil {
		t.Fatal(err)
	}
	if p := s.Plugins[0]; p.Program != "zebra" || !slices.Equal(p.Run, []string{"/p/zebra"}) || string(p.Config) != `{"stripes":5}` {
		t.Errorf("got %+v", p)
	}
	if p := s.Plugins[1]; p.Program != "zebra" || p.Run != nil {
		t.Errorf("attached: got %+v", p)
	}
	f := func(text string, want ...string) {
		t.Helper()
		_, err := Parse(o, "c.yaml", []byte(text))
		if got := messages(err); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
	f("collect: { zebra: { stripes: many } }", "stripes: want a whole number, got many")
	f("publish: { zebra: { from: all } }", "zebra is a collector: it brings points in")
	f("collect: { zebr: }", "there is no collector program zebr")

	_, err = Parse(o, "c.yaml", []byte("collect: { zebra: { pin: hunter2, strips: 5 } }"))
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret of a found program is shown: %v", err)
	}
}

// TestPassedOver checks who wins a name, and that the others are told.
func TestPassedOver(t *testing.T) {
	s, err := Parse(withFound(
		found("cpu", Collector, "/p/cpu", ""),
		found("cpu", Processor, "/p/cpu2", ""), // a name may have a program of each kind
		found("zebra", Collector, "/p/zebra", ""),
		found("zebra", Collector, "/q/zebra", ""),
		found("Zebra!", Collector, "/q/loud", ""),
		found("x", "collect", "/q/x", ""),
	), "c.yaml", []byte("collect: { cpu: , zebra: }\nprocess: { c: { use: cpu, from: zebra } }\npublish: { prometheus: { from: all } }"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range s.Warnings {
		got = append(got, w.Error())
	}
	want := []string{
		"/p/cpu: passed over: cpu is the name of a built-in collector\n    rename it, or run it by its path: run: /p/cpu",
		"/q/zebra: passed over: /p/zebra is the collector zebra already\n    remove or rename one of them",
		"/q/loud: passed over: it calls itself collector \"Zebra!\", which is no program of pacewire\n    correct what it says to --describe",
		"/q/x: passed over: it calls itself collect \"x\", which is no program of pacewire\n    correct what it says to --describe",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q,\nwant %q", got, want)
	}
	if s.Plugins[0].Run != nil || s.Plugins[1].Run[0] != "/p/zebra" || s.Plugins[2].Run[0] != "/p/cpu2" {
		t.Errorf("got %+v", s.Plugins)
	}
}

func TestAutostart(t *testing.T) {
	o := withFound(
		found("sink", Publisher, "/p/sink", ""),
		found("zebra", Collector, "/p/zebra", ""),
		found("used", Collector, "/p/used", ""),
		found("off", Collector, "/p/off", ""),
		found("taken", Collector, "/p/taken", ""),
		found("stripe", Processor, "/p/stripe", ""),
		found("all", Collector, "/p/all", ""),
		Program{Kind: Collector, Name: "needy", Path: "/p/needy", Schema: json.RawMessage(`{"required":["url"],"properties":{"url":{"type":"string"}}}`)},
	)
	text := "collect: { u: { use: used }, off: { enabled: false }, taken: { use: cpu } }\npublish: { prometheus: { from: zebra } }\n"
	f := func(text string, want ...string) *Settings {
		t.Helper()
		s, err := Parse(o, "c.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range s.Plugins {
			got = append(got, p.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		return s
	}
	s := f("discover: { autostart: true }\n"+text, "u", "off", "taken", "zebra", "stripe", "prometheus", "sink")
	if p := s.Plugins[3]; !p.Enabled || p.Run[0] != "/p/zebra" || p.Position != (Position{File: "/p/zebra"}) || string(p.Config) != "{}" {
		t.Errorf("got %+v", p)
	}
	if got := s.Inputs(s.Plugins[6]); !slices.Equal(got, []string{"u", "off", "taken", "zebra", "stripe"}) {
		t.Errorf("sink reads %v", got)
	}
	want := []string{
		"/p/taken: passed over: another plugin is called taken, in c.yaml:2:55",
		"/p/all: passed over: all is reserved: no plugin can have this name",
		"/p/needy: passed over: needy: url is missing",
	}
	for i, w := range s.Warnings[:len(want)] {
		if got, _, _ := strings.Cut(w.Error(), "\n"); got != want[i] {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
	if o.Programs[len(o.Programs)-1].Path != "" {
		t.Error("the caller's list of programs has changed")
	}
	if s := f("discover: { autostart: true }\n", "zebra", "used", "off", "taken", "stripe", "sink"); len(s.Warnings) != 2 {
		t.Errorf("warnings %v", s.Warnings)
	}
	o.Discover = func(Discovery) []Program { return []Program{found("zebra", Collector, "/p/zebra", "")} }
	if s := f("discover: { autostart: true }\n", "zebra"); len(s.Warnings) != 1 || s.Warnings[0].Error() !=
		"/p/zebra: nobody reads zebra: its points go nowhere\n    name it in a from: of publish:, or remove it" {
		t.Errorf("warnings %v", s.Warnings)
	}
}

func TestPluginDirs(t *testing.T) {
	f := func(root bool, xdg string, want ...string) {
		t.Helper()
		environ := func(name string) (string, bool) {
			v := map[string]string{"XDG_DATA_HOME": xdg, "HOME": "/home/u"}[name]
			return v, v != ""
		}
		if got := PluginDirs(root, environ); !slices.Equal(got, want) {
			t.Errorf("PluginDirs(%v) with %q = %q, want %q", root, xdg, got, want)
		}
	}
	f(true, "/x", "/usr/local/lib/pacewire/plugins", "/usr/lib/pacewire/plugins")
	f(false, "/x", "/x/pacewire/plugins")
	f(false, "", "/home/u/.local/share/pacewire/plugins")
}
