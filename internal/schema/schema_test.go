package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

func parse(t testing.TB, text string) *Schema {
	t.Helper()
	s, err := Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return s
}

// value reads JSON as Check wants it.
func value(t testing.TB, text string) (v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// said writes faults as "a.0 minimum", a name behind the keyword.
func said(faults []Fault) string {
	var list []string
	for _, f := range faults {
		list = append(list, strings.TrimSpace(strings.Join(f.Path, ".")+" "+f.Keyword+" "+f.Name))
	}
	return strings.Join(list, "; ")
}

func TestCheck(t *testing.T) {
	f := func(schema, text, want string) {
		t.Helper()
		if got := said(parse(t, schema).Check(value(t, text))); got != want {
			t.Errorf("%s: %s has the faults %q, want %q", schema, text, got, want)
		}
	}
	f(`true`, `{"a":1}`, "")
	f(`false`, `1`, "false")
	f(`{}`, `null`, "")
	f(`{"type":"integer"}`, `1.0`, "")
	f(`{"type":"integer"}`, `1.5`, "type")
	f(`{"type":["null","array"]}`, `null`, "")
	f(`{"type":["null","array"]}`, `{}`, "type")
	f(`{"type":"boolean","enum":[true]}`, `0`, "type") // a wrong type is all that is said
	f(`{"enum":[1,"a",[1],{"a":null}]}`, `1.0`, "")
	f(`{"enum":[1,"a",[1],{"a":null}]}`, `[1e0]`, "")
	f(`{"enum":[1,"a",[1],{"a":null}]}`, `{"a":null}`, "")
	f(`{"enum":[1,"a",[1],{"a":null}]}`, `"1"`, "enum")
	f(`{"const":null}`, `null`, "")
	f(`{"const":null}`, `false`, "const")
	f(`{"const":"null"}`, `null`, "const")

	f(`{"minimum":1,"maximum":3}`, `0`, "minimum")
	f(`{"minimum":1,"maximum":3}`, `3.0001`, "maximum")
	f(`{"minimum":1,"maximum":3}`, `"0"`, "")
	f(`{"exclusiveMinimum":1,"exclusiveMaximum":3}`, `1`, "exclusiveMinimum")
	f(`{"exclusiveMinimum":1,"exclusiveMaximum":3}`, `3`, "exclusiveMaximum")
	f(`{"multipleOf":0.1}`, `0.3`, "")
	f(`{"multipleOf":0.1}`, `0.35`, "multipleOf")
	f(`{"maximum":18446744073709551614}`, `18446744073709551615`, "maximum")
	f(`{"maximum":18446744073709551615}`, `18446744073709551615`, "")
	f(`{"maximum":1}`, `1e999999999`, "maximum") // written out it would take all memory
	f(`{"minimum":0.1}`, `1e-999999999`, "minimum")
	f(`{"minLength":2,"maxLength":3}`, `"äö"`, "")
	f(`{"minLength":2,"maxLength":3}`, `"ä"`, "minLength")
	f(`{"minLength":2,"maxLength":3}`, `"äöüß"`, "maxLength")
	f(`{"pattern":"^a"}`, `"ba"`, "pattern")
	f(`{"pattern":"^a"}`, `5`, "")

	f(`{"minItems":1,"maxItems":2}`, `[]`, "minItems")
	f(`{"minItems":1,"maxItems":2}`, `[1,2,3]`, "maxItems")
	f(`{"uniqueItems":true}`, `[1,"1",true]`, "")
	f(`{"uniqueItems":true}`, `[{"a":1,"b":2},{"b":2.0,"a":1}]`, "uniqueItems")
	f(`{"items":{"type":"string"}}`, `["a",1,2]`, "1 type; 2 type")
	f(`{"prefixItems":[{"type":"string"}],"items":{"type":"integer"}}`, `[1,"a",2]`, "0 type; 1 type")
	f(`{"prefixItems":[{}],"items":false}`, `[1,2]`, "1 false")

	f(`{"minProperties":1,"maxProperties":2}`, `{}`, "minProperties")
	f(`{"minProperties":1,"maxProperties":2}`, `{"a":1,"b":2,"c":3}`, "maxProperties")
	f(`{"required":["b","a"]}`, `{}`, "required b; required a")
	f(`{"properties":{"a":{"type":"string"}}}`, `{"a":1,"b":1}`, "a type")
	f(`{"properties":{"a":true},"additionalProperties":false}`, `{"a":1,"c":1,"b":1}`, "additionalProperties b; additionalProperties c")
	f(`{"properties":{"a":true},"additionalProperties":{"type":"string"}}`, `{"a":1,"b":1}`, "b type")
	f(`{"patternProperties":{"^x":{"type":"string"},"y$":{"minLength":2}},"additionalProperties":false}`, `{"xy":"a","x":1,"z":1}`, "x type; xy minLength; additionalProperties z")
	f(`{"propertyNames":{"maxLength":1}}`, `{"a":1,"bb":1}`, "propertyNames bb")
	f(`{"properties":{"a":{"items":{"properties":{"b":{"minimum":2}}}}}}`, `{"a":[{"b":2},{"b":1}]}`, "a.1.b minimum")

	f(`{"allOf":[{"minimum":2},{"multipleOf":2}]}`, `1`, "minimum; multipleOf")
	f(`{"anyOf":[{"type":"integer"},{"minLength":2}]}`, `"ab"`, "")
	f(`{"anyOf":[{"type":"integer"},{"minLength":2}]}`, `"a"`, "anyOf")
	f(`{"oneOf":[{"type":"integer"},{"minimum":2}]}`, `2.5`, "")
	f(`{"oneOf":[{"type":"integer"},{"minimum":2}]}`, `2`, "oneOf")
	f(`{"oneOf":[{"type":"integer"},{"minimum":2}]}`, `1.5`, "oneOf")
	f(`{"not":{"type":"integer"}}`, `2`, "not")
	f(`{"if":{"type":"integer"},"then":{"minimum":2},"else":{"type":"string"}}`, `1`, "minimum")
	f(`{"if":{"type":"integer"},"then":{"minimum":2},"else":{"type":"string"}}`, `null`, "type")
	f(`{"if":{"type":"integer"}}`, `1`, "")
	f(`{"then":false,"else":false}`, `1`, "")
	f(`{"Type":"string","format":"date","x":5}`, `1`, "") // keywords are told apart by case
}

func TestReferences(t *testing.T) {
	f := func(schema, text, want string) {
		t.Helper()
		if got := said(parse(t, schema).Check(value(t, text))); got != want {
			t.Errorf("%s: %s has the faults %q, want %q", schema, text, got, want)
		}
	}
	f(`{"$ref":"#/$defs/n","$defs":{"n":{"type":"integer"}}}`, `"x"`, "type")
	f(`{"$ref":"#/$defs/n","$defs":{"n":{"type":"integer"}},"minimum":2}`, `1`, "minimum")
	f(`{"$ref":"#/allOf/0","allOf":[{"type":"integer"}]}`, `"x"`, "type; type")
	f(`{"$ref":"#/$defs/a~1b~0c%20d","$defs":{"a/b~c d":{"type":"integer"}}}`, `"x"`, "type")
	f(`{"properties":{"a":{"$ref":"#"}},"additionalProperties":false}`, `{"a":{"a":{"b":1}}}`, "a.a additionalProperties b")
	f(`{"allOf":[{"properties":{"a":{"$ref":"#"}}},{"type":"object"}]}`, `{"a":{"a":1}}`, "a.a type")
	f(`{"$ref":"#/$defs/list","$defs":{"list":{"items":{"$ref":"#/$defs/list"},"type":["array","integer"]}}}`, `[1,[2,["x"]]]`, "1.1.0 type")
}

func TestParseRefuses(t *testing.T) {
	f := func(schema, want string) {
		t.Helper()
		_, err := Parse([]byte(schema))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got the error %v, want %q", schema, err, want)
		}
	}
	f(``, "unexpected end")
	f(`{`, "unexpected end")
	f(`{} {}`, "after top-level value")
	f(`5`, "cannot unmarshal")
	f(`null`, "want a schema, got null")
	f(`{"type":5}`, "type: json: cannot unmarshal")
	f(`{"type":"int"}`, `type: there is no type "int"`)
	f(`{"type":["string",5]}`, "type: json: cannot unmarshal")
	f(`{"properties":{"a":{"pattern":"("}}}`, "properties: pattern: error parsing regexp")
	f(`{"properties":{"a":null}}`, "want a schema, got null")
	f(`{"allOf":[null]}`, "want a schema, got null")
	f(`{"patternProperties":{"(":{}}}`, "patternProperties: error parsing regexp")
	f(`{"minimum":"x"}`, "minimum: ")
	f(`{"minimum":null}`, "minimum: null is no limit")
	f(`{"multipleOf":0}`, "multipleOf: 0 is no limit")
	f(`{"additionalProperties":"no"}`, "additionalProperties: json: cannot unmarshal")
	f(`{"$ref":"file:///etc/passwd"}`, "want a place in this document")
	f(`{"$ref":"#n"}`, "want a place in this document")
	f(`{"$ref":"#/$defs/n"}`, "$ref #/$defs/n: there is no $defs")
	f(`{"$ref":"#/allOf/1","allOf":[{}]}`, "there is no 1")
	f(`{"$ref":"#/%zz"}`, "invalid URL escape")
	f(`{"$ref":"#/title","title":5}`, "cannot unmarshal")
	f(`{"$ref":"#"}`, "in a circle")
	f(`{"anyOf":[{"$ref":"#"},{}]}`, "in a circle")
	f(`{"properties":{"a":{"$ref":"#/$defs/b"}},"$defs":{"b":{"not":{"$ref":"#/$defs/c"}},"c":{"then":{"$ref":"#/$defs/b"}}}}`, "in a circle")
}

func TestLookup(t *testing.T) {
	s := parse(t, `{
		"properties":{"a":{"$ref":"#/$defs/d"},"l":{"prefixItems":[{"description":"first"}],"items":{"$ref":"#/$defs/d"}}},
		"patternProperties":{"^x":{"description":"x"}},
		"additionalProperties":{"description":"other"},
		"$defs":{"d":{"description":"d","default":1.50,"writeOnly":true}}}`)
	f := func(got *Schema, want string) {
		t.Helper()
		if got == nil || got.Description != want {
			t.Errorf("got %+v, want the one that says %s", got, want)
		}
	}
	f(s.Property("a"), "d")
	f(s.Property("x1"), "x")
	f(s.Property("b"), "other")
	f(s.Property("l").Item(0), "first")
	f(s.Property("l").Item(1), "d")
	if d := s.Property("a"); !d.WriteOnly || d.Default != json.Number("1.50") {
		t.Errorf("annotations %+v", d)
	}
	if none := s.Property("a").Property("b"); none != nil || none.Property("c") != nil || none.Item(0) != nil {
		t.Error("a schema without properties has one")
	}
}
