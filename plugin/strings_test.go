package plugin_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
)

func TestStrings(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		var s plugin.Strings
		if err := json.Unmarshal([]byte(text), &s); err != nil || !slices.Equal(s, want) {
			t.Errorf("%s: %q, %v; want %q", text, s, err, want)
		}
	}
	f(`"a"`, "a")
	f(`["a"]`, "a")
	f(`["a","b"]`, "a", "b")
	f(`[]`)

	bad := func(text string) {
		t.Helper()
		var s plugin.Strings
		if err := json.Unmarshal([]byte(text), &s); err == nil {
			t.Errorf("%s: %q; want an error", text, s)
		}
	}
	bad(`1`)
	bad(`{"a":"b"}`)
	bad(`["a",1]`)
}

func TestStringsInConfig(t *testing.T) {
	type config struct {
		Names plugin.Strings `json:"names" jsonschema:"who"`
	}
	d := collector.Define(collector.Spec[config]{
		Program: "named", Summary: "Has names.", Config: config{Names: plugin.Strings{"a"}},
		New: func(context.Context, config, plugin.Env) (collector.Collector, error) { return nil, plugin.ErrNoData },
	})
	for _, want := range []string{`"type":["string","array"]`, `"items":{"type":"string"}`, `"default":["a"]`, `"description":"who"`} {
		if !strings.Contains(string(d.Schema()), want) {
			t.Errorf("schema lacks %s: %s", want, d.Schema())
		}
	}
	for _, settings := range []string{`{"names":"b"}`, `{"names":["b","c"]}`} {
		if err := d.Check([]byte(settings)); err != nil {
			t.Errorf("%s: %v", settings, err)
		}
	}
	if err := d.Check([]byte(`{"names":1}`)); err == nil || !strings.Contains(err.Error(), "names: want a text or a list of texts") {
		t.Errorf("number: %v", err)
	}
}
