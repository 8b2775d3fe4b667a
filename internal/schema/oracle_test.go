package schema

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"pgregory.net/rapid"
)

// drawn makes schemas and values out of few words, so that they often have to do with each other.
type drawn struct{ *rapid.T }

func (d drawn) of(words ...string) string { return rapid.SampledFrom(words).Draw(d.T, "word") }

func (d drawn) below(n int) int { return rapid.IntRange(0, n-1).Draw(d.T, "number") }

func (d drawn) key() string { return d.of("a", "b", "ab", "x") }

func (d drawn) count() json.Number { return json.Number(d.of("0", "1", "2", "3", "2.0")) }

func (d drawn) number() json.Number {
	return json.Number(d.of("0", "1", "1.0", "-1", "2", "2.5", "0.5", "10", "1e1", "0.1", "1.5e-1", "9007199254740993", "9007199254740992"))
}

func (d drawn) value(depth int) any {
	kinds := 5
	if depth > 0 {
		kinds = 9
	}
	switch d.below(kinds) {
	case 0:
		return nil
	case 1:
		return d.below(2) == 0
	case 2:
		return d.number()
	case 3, 4:
		return d.of("", "a", "b", "ab", "äx", "1")
	case 5, 6:
		return d.list(func() any { return d.value(depth - 1) })
	}
	return d.object(func() any { return d.value(depth - 1) })
}

func (d drawn) list(one func() any) []any {
	list := []any{}
	for range d.below(4) {
		list = append(list, one())
	}
	return list
}

func (d drawn) object(one func() any) map[string]any {
	m := map[string]any{}
	for range d.below(4) {
		m[d.key()] = one()
	}
	return m
}

func (d drawn) schema(depth int) any {
	if d.below(12) == 0 {
		return d.below(2) == 0
	}
	s := map[string]any{"title": "ignored"}
	for range 1 + d.below(3) {
		d.simple(s)
		if depth > 0 {
			d.nested(s, func() any { return d.schema(depth - 1) })
		}
	}
	return s
}

// simple adds a keyword without schemas in it.
func (d drawn) simple(s map[string]any) {
	typeName := func() any { return d.of("null", "boolean", "integer", "number", "string", "array", "object") }
	switch d.below(12) {
	case 0:
		s["type"] = typeName()
	case 1:
		s["type"] = unique(append(d.list(typeName), "object", "array"))
	case 2:
		s["enum"] = append(d.list(func() any { return d.value(1) }), d.value(2))
	case 3:
		s["const"] = d.value(1)
	case 4:
		s["pattern"] = d.of("^a", "b$", "x", "^.$")
	case 5:
		s["required"] = unique(d.list(func() any { return d.key() }))
	case 6:
		s["uniqueItems"] = d.below(2) == 0
	case 7:
		s["$ref"] = d.of("#", "#/$defs/a", "#/$defs/b", "#/$defs/ab", "#/$defs/x")
	case 8:
		s["multipleOf"] = json.Number(d.of("1", "0.5", "0.1", "2", "1e1"))
	case 9:
		s[d.of("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")] = d.count()
	default:
		s[d.of("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")] = d.number()
	}
}

func unique(list []any) []any {
	slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
	return slices.Compact(list)
}

// nested adds a keyword with schemas in it.
func (d drawn) nested(s map[string]any, one func() any) {
	switch d.below(8) {
	case 0, 1:
		s["properties"] = d.object(one)
	case 2:
		s["patternProperties"] = map[string]any{d.of("^a", "b$", "x"): one(), d.of("a", "^x"): one()}
	case 3:
		s[d.of("additionalProperties", "items")] = d.below(3) == 0
	case 4:
		s["prefixItems"] = append(d.list(one), one())
	case 5:
		s[d.of("allOf", "anyOf", "oneOf")] = append(d.list(one), one())
	case 6:
		s["if"], s["then"], s["else"] = one(), one(), one()
	default:
		s[d.of("additionalProperties", "items", "propertyNames", "not")] = one()
	}
}

// agree checks a drawn value against a drawn schema here and there.
func agree(t *rapid.T) {
	d := drawn{t}
	doc, ok := d.schema(3).(map[string]any)
	if !ok {
		return
	}
	doc["$defs"] = map[string]any{"a": d.schema(2), "b": d.schema(1), "ab": d.schema(1), "x": d.schema(0)}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	theirs := foreign(t, text)
	ours, err := Parse(text)
	if err != nil {
		if !strings.Contains(err.Error(), "in a circle") {
			t.Fatalf("%s: %v", text, err)
		}
		return // they find it when a value comes that leads around it
	}
	for range 8 {
		v := d.value(3)
		faults := ours.Check(v)
		for i := range faults {
			if faults[i].Keyword == "propertyNames" {
				faults[i].Path = nil // theirs changes after it was noted
			}
		}
		got, want := strings.Split(said(faults), "; "), theirFaults(t, theirs.Validate(v))
		if slices.Sort(got); !slices.Equal(slices.Compact(got), want) {
			shown, _ := json.Marshal(v)
			t.Fatalf("%s\n%s\nhas the faults %q, want %q", text, shown, got, want)
		}
	}
}

func foreign(t rapid.TB, text []byte) *jsonschema.Schema {
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("mem:schema", doc); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	s, err := c.Compile("mem:schema")
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// theirFaults writes an error of the other validator as said does faults, sorted and each once.
func theirFaults(t rapid.TB, err error) []string {
	if err == nil {
		return []string{""}
	}
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	list := leaves(invalid)
	slices.Sort(list)
	return slices.Compact(list)
}

func leaves(e *jsonschema.ValidationError) (list []string) {
	place := strings.Join(e.InstanceLocation, ".")
	add := func(keyword string, list ...string) (out []string) {
		for _, name := range list {
			out = append(out, strings.TrimSpace(place+" "+keyword+" "+name))
		}
		return out
	}
	switch k := e.ErrorKind.(type) {
	case *kind.Schema, *kind.Group, *kind.AllOf, *kind.Reference:
		for _, cause := range e.Causes {
			list = append(list, leaves(cause)...)
		}
		return list
	case *kind.Not:
		return add("not", "")
	case *kind.FalseSchema:
		return add("false", "")
	case *kind.AdditionalProperties:
		return add("additionalProperties", k.Properties...)
	case *kind.Required:
		return add("required", k.Missing...)
	case *kind.PropertyNames:
		return []string{"propertyNames " + k.Property}
	}
	return add(e.ErrorKind.KeywordPath()[0], "")
}

func TestAgreesWithOther(t *testing.T) { rapid.Check(t, agree) }

func FuzzAgreesWithOther(f *testing.F) { f.Fuzz(rapid.MakeFuzz(agree)) }

// FuzzParse gives what is no schema, or hardly one: whatever is accepted can be checked against.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		`true`, `{"type":["string","null"],"pattern":"^a","enum":["a",null],"minLength":1}`,
		`{"properties":{"a":{"$ref":"#/$defs/a~1b"}},"$defs":{"a/b":{"items":{"$ref":"#"}}},"required":["a"]}`,
		`{"anyOf":[{"minimum":1e5},{"multipleOf":0.5}],"if":false,"then":{},"else":{"not":{"const":1}}}`,
		`{"patternProperties":{"^x":false},"propertyNames":{"maxLength":1e999999999},"uniqueItems":true}`,
	} {
		f.Add([]byte(text), []byte(`{"a":[{"a":[]},1,"x"],"x":1.5}`))
	}
	f.Fuzz(func(t *testing.T, text, data []byte) {
		s, err := Parse(text)
		if err != nil || !json.Valid(data) {
			return
		}
		for _, fault := range s.Check(value(t, string(data))) {
			if fault.Keyword == "" || fault.Schema == nil {
				t.Fatalf("%s: %s: incomplete %+v", text, data, fault)
			}
		}
	})
}
