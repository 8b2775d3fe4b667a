package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestSuggest(t *testing.T) {
	known := []string{"cpu", "mem", "filter", "prometheus", "per_core", "disk"}
	f := func(word, want string) {
		t.Helper()
		if got := Suggest(word, known); got != want {
			t.Errorf("Suggest(%q) = %q, want %q", word, got, want)
		}
	}
	f("cpuu", "cpu")
	f("CPU", "cpu")
	f("fitler", "filter")
	f("promethues", "prometheus") //nolint:misspell // mistyped on purpose
	f("per-core", "per_core")
	f("percore", "per_core")
	f("dsik", "disk")
	f("per", "per_core")
	f("me", "mem")
	f("nginx", "")
	f("x", "")
	f("", "")
	f("cpu", "") // itself is no suggestion
	f(strings.Repeat("x", 1000), "")
}

func TestDuration(t *testing.T) {
	f := func(text string, want time.Duration) {
		t.Helper()
		if got, ok := parseDuration(text); !ok || got != want {
			t.Errorf("parseDuration(%q) = %v, %v; want %v", text, got, ok, want)
		}
	}
	f("10s", 10*time.Second)
	f("1m30s", 90*time.Second)
	f("250ms", 250*time.Millisecond)
	f("1d", 24*time.Hour)
	f("1.5d", 36*time.Hour)
	f("2d12h", 60*time.Hour)
	for _, bad := range []string{"", "10", "s", "-1s", "+1s", "1h1d", "1d1d", "1 s", "5x", "99999999d", "9999999999h", "1e3s"} {
		if d, ok := parseDuration(bad); ok {
			t.Errorf("parseDuration(%q) = %v", bad, d)
		}
	}
}

func TestParseDuration(t *testing.T) {
	if d, err := ParseDuration("2d"); d != 48*time.Hour || err != nil {
		t.Errorf("%v, %v", d, err)
	}
	if d, err := ParseDuration("2 days"); d != 0 || err == nil || err.Error() != `want a duration such as 10s or 2d, got "2 days": did you mean 2d?` {
		t.Errorf("%v, %v", d, err)
	}
}

func TestDurationHint(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := durationHint(text); got != want {
			t.Errorf("durationHint(%q) = %q, want %q", text, got, want)
		}
	}
	f("10", "did you mean 10s?")
	f("1.5", "did you mean 1.5s?")
	f("10 s", "did you mean 10s?")
	f("10S", "did you mean 10s?")
	f("5min", "did you mean 5m?")
	f("2 Hours", "did you mean 2h?")
	f("3 days", "did you mean 3d?")
	f("5x", durationUnitsHint)
	f("often", durationUnitsHint)
}

func TestSize(t *testing.T) {
	f := func(text string, want int64, hint string) {
		t.Helper()
		if got, ok := parseSize(text); got != want || ok != (hint == "") {
			t.Errorf("parseSize(%q) = %v, %v; want %v", text, got, ok, want)
		}
		if hint != "" && !strings.HasPrefix(sizeHint(text), hint) {
			t.Errorf("sizeHint(%q) = %q, want %q", text, sizeHint(text), hint)
		}
	}
	f("1GiB", 1<<30, "")
	f("1.5KiB", 1536, "")
	f("10 MB", 1e7, "")
	f("1gib", 0, "did you mean 1GiB?")
	f("1kb", 0, "did you mean 1KB?")
	f("2G", 0, "did you mean 2GiB?")
	f("500", 0, "did you mean 500MiB?")
	f("lots", 0, "units are")
	f("5XB", 0, "units are")
}

func TestNumbers(t *testing.T) {
	f := func(text string, integer, number bool, hint string) {
		t.Helper()
		if isInteger(text) != integer || isNumber(text) != number {
			t.Errorf("%q: integer %v, number %v", text, isInteger(text), isNumber(text))
		}
		if got := numberHint(text, "integer"); !integer && got != hint {
			t.Errorf("numberHint(%q) = %q, want %q", text, got, hint)
		}
	}
	f("0", true, true, "")
	f("-5", true, true, "")
	f("18446744073709551615", true, true, "")
	f("18446744073709551616", false, true, "")
	f("010", false, false, "did you mean 10?")
	f("1_000", false, false, "did you mean 1000?")
	f("1,000", false, false, "did you mean 1000?")
	f("+5", false, false, "did you mean 5?")
	f("5%", false, false, "did you mean 5?")
	f("1.0", false, true, "did you mean 1?")
	f("1e3", false, true, "did you mean 1000?")
	f("64KiB", false, false, "did you mean 65536?")
	f(".nan", false, false, "")
	f(".inf", false, false, "")
	f("-.inf", false, false, "")
	f("0x10", false, false, "")
	f("1e999", false, false, "")
	f("1e-999999999", false, false, "") // would cost the validator all memory
	f("1e9999999999", false, false, "")
	f("2026-01-31", false, false, "")
	f("", false, false, "")
}

// TestBombs feeds what makes walkers of YAML trees run for ever or out of memory.
func TestBombs(t *testing.T) {
	f := func(name, text, want string) {
		t.Helper()
		_, err := Parse(options(), "bomb.yaml", []byte(text))
		got := messages(err)
		if !slices.ContainsFunc(got, func(m string) bool { return strings.Contains(m, want) }) {
			t.Errorf("%s: got %.300q, want %q", name, got, want)
		}
		if len(err.Error()) > 64<<10 {
			t.Errorf("%s: the error text has %d bytes", name, len(err.Error()))
		}
	}
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [x]\n")
	for i := 1; i < 20; i++ {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	var wide strings.Builder
	for i := range maxKeys + 1 {
		fmt.Fprintf(&wide, "k%d: 1\n", i)
	}
	f("billion laughs", laughs.String(), "anchors and aliases")
	f("self reference", "collect: &a { cpu: *a }\n", "anchors and aliases")
	f("alias as key", "a: &a x\n*a : 1\n", "anchors and aliases")
	f("deep flow", "a: "+strings.Repeat("[", 5000)+strings.Repeat("]", 5000), "nested more than 32 deep")
	f("deep flow, open", strings.Repeat("{a: ", 5000), "comma is missing")
	f("deeper than the library", strings.Repeat("[", 20000), "nested more than 32 deep")
	f("deep block", strings.Repeat("- ", 100)+"x", "want settings")
	f("deep map", "collect: { x: { run: python3, config: "+strings.Repeat("{ a: ", 40)+"1"+strings.Repeat("}", 40)+" } }", "nested more than 32 deep")
	f("wide", wide.String(), "more than 2000 keys in one map")
	f("wide below", "collect:\n  "+strings.ReplaceAll(wide.String(), "\n", "\n  ")+"\n", "more than 2000 keys in one map")
	f("large", "# "+strings.Repeat("x", maxBytes), "larger than 256 KiB")
	f("quotes", "a: "+strings.Repeat("'", 200001), "a quote is opened")
	f("open quote in a long file", "owner: 'x\n"+strings.Repeat("a: b\n", 40000), "a quote is opened")
	f("many documents", strings.Repeat("---\n", 60000), "a second document")
	f("NUL", "every: 1\x00s\n", "control character (U+0000)")
	f("UTF-16", "\xff\xfee\x00v\x00", "not UTF-8")
}

func TestLongLoop(t *testing.T) {
	var text strings.Builder
	text.WriteString("process:\n")
	const n = 1500
	for i := range n {
		fmt.Fprintf(&text, "  p%d: { use: filter, from: p%d }\n", i, (i+1)%n)
	}
	_, err := Parse(options(), "c.yaml", []byte(text.String()))
	if got := messages(err); len(got) != 1 || !strings.HasPrefix(got[0], "from: points would go round for ever: p0 reads p1 reads p2") {
		t.Errorf("%d faults: %.200q", len(got), got)
	}
}

// TestLines checks that our lines are those of the YAML library, whatever breaks them.
func TestLines(t *testing.T) {
	for _, br := range []string{"\n", "\r\n", "\r", "\u2028", "\u2029"} {
		_, err := Parse(options(), "c.yaml", []byte("owner: x"+br+"site: y"+br+"every: 5"+br))
		var faults Faults
		if !errors.As(err, &faults) || faults[0].Line != 3 || faults[0].Text != "every: 5" || faults[0].Caret != 7 {
			t.Errorf("%q: %+v", br, faults)
		}
	}
}

// TestSyntaxLines is TestLines for what the library refuses.
func TestSyntaxLines(t *testing.T) {
	for _, br := range []string{"\n", "\r\n", "\r", "\u2028", "\u2029"} {
		_, err := Parse(options(), "c.yaml", []byte("owner: x"+br+"site: @y"+br+"every: 5"+br))
		var faults Faults
		if !errors.As(err, &faults) || faults[0].Line != 2 || faults[0].Column != 7 {
			t.Errorf("%q: %+v", br, faults)
		}
	}
}

// TestRootSchema has faults of the settings as a whole.
func TestRootSchema(t *testing.T) {
	f := func(schema, text, want string) {
		t.Helper()
		o := Options{Programs: []Program{{Kind: Collector, Name: "x", Schema: json.RawMessage(schema)}}}
		_, err := Parse(o, "c.yaml", []byte("collect: { x: "+text+" }"))
		if got := fmt.Sprint(err); got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", schema, got, want)
		}
	}
	f(`{"minProperties":1}`, `{}`, "c.yaml:1:12: x: want a map of at least 1, got a map\n    collect: { x: {} }\n               ^")
	f(`{"required":["url"],"properties":{"url":{"description":"where to ask"}}}`, `{ a: 1 }`, "c.yaml:1:12: x: url is missing\n    collect: { x: { a: 1 } }\n               ^ where to ask")
	f(`{"required":["url"],"properties":{"url":{"type":"integer"}}}`, `{ url: x }`, "c.yaml:1:22: url: want a whole number, got x\n    collect: { x: { url: x } }\n                         ^")
}

func TestBrokenSchema(t *testing.T) {
	f := func(schema, want string) {
		t.Helper()
		o := Options{Programs: []Program{{Kind: Collector, Name: "x", Schema: json.RawMessage(schema)}}}
		_, err := Parse(o, "c.yaml", []byte("collect: { x: { a: 1 } }"))
		if got := messages(err); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: got %q, want %q", schema, got, want)
		}
	}
	f(`{`, "its schema is broken")
	f(`{"type": 5}`, "its schema is broken")
	f(`{"$ref": "file:///etc/passwd"}`, "its schema is broken")
	f(`{"properties":{"a":{"pattern":"("}}}`, "its schema is broken")
}

// TestRareSchemas goes through the keywords that generated schemas seldom have.
func TestRareSchemas(t *testing.T) {
	f := func(property, value, want string) {
		t.Helper()
		schema := `{"type":"object","additionalProperties":false,"$defs":{"n":{"type":"integer"}},"properties":{"a":` + property + `}}`
		o := Options{Programs: []Program{{Kind: Collector, Name: "x", Schema: json.RawMessage(schema)}}}
		_, err := Parse(o, "c.yaml", []byte("collect: { x: { a: "+value+" } }"))
		if got := strings.Join(messages(err), "; "); got != want {
			t.Errorf("%s with %s: got %q, want %q", property, value, got, want)
		}
	}
	f(`{"$ref":"#/$defs/n"}`, `5`, "")
	f(`{"$ref":"#/$defs/n"}`, `x`, "a: want a whole number, got x")
	f(`{"type":"number","multipleOf":0.5}`, `0.7`, "a: want a multiple of 0.5, got 0.7")
	f(`{"type":"number","maximum":3}`, `4`, "a: want at most 3, got 4")
	f(`{"type":"number","exclusiveMaximum":3}`, `3`, "a: want less than 3, got 3")
	f(`{"type":"string","maxLength":2}`, `abc`, "a: want at most 2 characters, got abc")
	f(`{"type":"string","minLength":2}`, `a`, "a: want at least 2 characters, got a")
	f(`{"type":"string","const":"b"}`, `a`, "a: want b, got a")
	f(`{"type":"array","uniqueItems":true}`, `[a, a]`, "a: want a list without repetitions, got a list")
	f(`{"type":"array","minItems":2}`, `[a]`, "a: want a list of at least 2, got 1")
	f(`{"type":"array","prefixItems":[{"type":"integer"}],"items":{"type":"boolean"}}`, `[5, 5]`, "a[1]: want true or false, got 5")
	f(`{"type":"object","minProperties":1}`, `{}`, "a: want a map of at least 1, got a map")
	f(`{"type":"object","maxProperties":1}`, `{b: 1, c: 1}`, "a: want a map of at most 1, got a map")
	f(`{"type":"object","propertyNames":{"pattern":"^x"}}`, `{b: 1}`, "a: b cannot be a key here")
	f(`{"type":"object","patternProperties":{"^x":{"type":"integer"}},"additionalProperties":false}`, `{x1: 1, y: 2}`, "a: unknown key y")
	f(`{"type":"object","required":["b"]}`, `{c: 1}`, "a: b is missing")
	f(`{"type":"object","required":["b"],"properties":{"b":{"type":"integer"}}}`, `{b: x}`, "a.b: want a whole number, got x")
	f(`{"type":["integer","boolean"]}`, `x`, "a: want a whole number or true or false, got x")
	f(`{"oneOf":[{"type":"integer"},{"type":"boolean"}]}`, `x`, "a: want something else, got x")
	f(`{"allOf":[{"type":"integer"},{"minimum":5}]}`, `4`, "a: want at least 5, got 4")
	f(`{"type":"string","pattern":"^[0-9]+(KiB|MiB|GiB)$"}`, `5`, "a: want a size such as 1GiB, got 5")
	f(`{"type":"array","items":{"enum":["a","b"]}}`, `[a, c]`, "a[1]: want a or b, got c")
	f(`{"type":"array","items":{"type":"object","properties":{"b":{"minimum":2}}}}`, `[{ b: 1 }]`, "a[0].b: want at least 2, got 1")
	f(`{"type":"object","additionalProperties":{"minimum":2}}`, `{ b: 1 }`, "a.b: want at least 2, got 1")
	f(`{"enum":[1,2]}`, `3`, "a: want 1 or 2, got 3")
	f(`true`, `{b: [1, ~]}`, "a.b[1]: has no value")
}

// FuzzParse has no example it must accept: whatever comes, faults lie inside the file, say the same
// each time, and can be printed; settings are JSON.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml"} {
		for _, file := range glob(f, pattern) {
			f.Add(read(f, file))
		}
	}
	o := options()
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Parse(o, "f.yaml", text)
		_, again := Parse(o, "f.yaml", text)
		if fmt.Sprint(err) != fmt.Sprint(again) {
			t.Fatalf("once\n%v\nthen\n%v", err, again)
		}
		var faults Faults
		if err == nil {
			faults = s.Warnings
			for _, p := range s.Plugins {
				if !json.Valid(p.Config) || !json.Valid(p.Shown) || p.Config[0] != '{' {
					t.Fatalf("config of %s: %s", p.Name, p.Config)
				}
			}
			reloaded(t, o, text, s)
		} else if !errors.As(err, &faults) || len(faults) == 0 {
			t.Fatalf("no faults: %v", err)
		}
		lines := len(splitLines(string(text)))
		for _, fault := range faults {
			inside(t, fault, lines)
		}
	})
}

// reloaded loads each plugin of a good config again, in its own place: nothing may have changed.
func reloaded(t *testing.T, o Options, text []byte, want *Settings) {
	t.Helper()
	pieces, err := Split(Source{Text: text, Replaces: true})
	if err != nil {
		t.Fatal(err)
	}
	sources := []Source{{Name: "f.yaml", Text: text}}
	for _, p := range pieces {
		sources = append(sources, p.Source("loaded"))
	}
	got, err := Join(o, sources...)
	if err != nil {
		t.Fatalf("cut into pieces:\n%v", err)
	}
	shape := func(s *Settings) string {
		var plugins []Plugin
		for _, p := range s.Plugins {
			p.Position = Position{}
			plugins = append(plugins, p)
		}
		slices.SortFunc(plugins, func(a, b Plugin) int { return strings.Compare(a.Name, b.Name) })
		return fmt.Sprintf("%+v", plugins)
	}
	if shape(got) != shape(want) {
		t.Fatalf("cut into pieces:\n%s\nwas\n%s", shape(got), shape(want))
	}
}

func inside(t *testing.T, f Fault, lines int) {
	t.Helper()
	shown := len([]rune(f.Text))
	switch {
	case f.File != "f.yaml" || f.Message == "":
		t.Fatalf("incomplete: %+v", f)
	case f.Line < 0 || f.Line > lines || f.Line > 0 && f.Column < 1:
		t.Fatalf("outside of the file of %d lines: %+v", lines, f)
	case f.Caret < 0 || f.Caret > shown+1 && f.Text != "":
		t.Fatalf("caret outside of the text: %+v", f)
	case strings.ContainsFunc(f.Error(), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }):
		t.Fatalf("not printable: %q", f.Error())
	}
}

// TestSeries checks that a program may have its own bound of series, which a config may change.
func TestSeries(t *testing.T) {
	o := options()
	o.Programs = append(o.Programs, Program{Kind: Collector, Name: "many", Schema: []byte(`{"type":"object"}`), Series: 70})
	s, err := Parse(o, "a.yaml", []byte("collect: { cpu: {}, a: { use: many }, b: { use: many, max_series: 5 } }\npublish: { out: { from: all, use: influx } }\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Plugins {
		if want := map[string]int{"a": 70, "b": 5}[p.Name]; p.Series != want {
			t.Errorf("%s: %d, want %d", p.Name, p.Series, want)
		}
	}
}

// TestTimes checks that times are refused for a program that has its own, with the place of those.
func TestTimes(t *testing.T) {
	o := options()
	o.Programs = append(o.Programs, Program{Kind: Collector, Name: "patrol", Schema: []byte(`{"type":"object"}`), Times: "under defaults:"})
	text := "collect: { a: { use: patrol, every: 1m, timeout: 5s }, b: { use: patrol } }\npublish: { out: { from: all, use: influx } }\n"
	_, err := Parse(o, "a.yaml", []byte(text))
	for _, want := range []string{"every: patrol has times of its own", "timeout: patrol has times of its own", "write it under defaults:"} {
		if err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if strings.Count(fmt.Sprint(err), "has times of its own") != 2 {
		t.Error(err)
	}
}
