// Package schema finds the places where a value does not fit a JSON Schema.
package schema

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Schema is a JSON Schema of draft 2020-12, without what settings never need: format, contains, unevaluated...,
// dependent..., anchors and references to other documents. An unknown keyword is ignored, as the draft wants it.
//
// A Schema is read only, and may be used by several goroutines. Property and Item may be called on nil.
type Schema struct {
	Description string
	Default     any            // nil when there is none
	WriteOnly   bool           // a secret
	Types       []string       // none: every type
	Enum        []any          // none: every value
	Const       *any           // nil when there is none
	Pattern     *regexp.Regexp // nil when there is none
	Properties  map[string]*Schema

	// Limits are the values of minimum, maxLength, minItems, multipleOf and their like, by keyword.
	Limits map[string]json.Number

	never         bool // the schema false
	unique        bool
	required      []string
	patterns      []pattern // sorted
	additional    *Schema
	propertyNames *Schema
	prefixItems   []*Schema
	items         *Schema

	refersTo            string // the text of $ref
	ref                 *Schema
	allOf, anyOf, oneOf []*Schema
	not                 *Schema
	when, then, orElse  *Schema
}

// pattern is one pair of patternProperties.
type pattern struct {
	name   *regexp.Regexp
	schema *Schema
}

// Parse reads a schema. It refuses one that no value could be checked against: a keyword with a value of the wrong type,
// a pattern that is none, a reference to nowhere or in a circle.
func Parse(text []byte) (*Schema, error) {
	s := new(Schema)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, err
	}
	r := references{text: text, found: map[string]*Schema{"#": s}}
	if err := r.resolve(s); err != nil {
		return nil, err
	}
	return s, nil
}

// UnmarshalJSON reads a schema whose references are not resolved: for Parse, which does that.
func (s *Schema) UnmarshalJSON(text []byte) error {
	if text[0] == 't' || text[0] == 'f' {
		s.never = text[0] == 'f'
		return nil
	}
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(text, &doc); err != nil {
		return err
	}
	if doc == nil {
		return errNull
	}
	fields := s.fields()
	for _, keyword := range slices.Sorted(maps.Keys(doc)) { // sorted: the same error each time
		if err := s.read(keyword, doc[keyword], fields[keyword]); err != nil {
			return fmt.Errorf("%s: %w", keyword, err)
		}
	}
	return nil
}

var errNull = errors.New("want a schema, got null")

// read takes the value of one keyword; it goes into field, if there is one.
func (s *Schema) read(keyword string, text []byte, field any) error {
	switch keyword {
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties":
		return s.limit(keyword, text)
	case "const":
		s.Const = new(any) // null is a value here
		return decode(text, s.Const)
	case "patternProperties":
		return s.readPatterns(text)
	}
	if field == nil {
		return nil
	}
	return decode(text, field)
}

// fields says where the values of the other keywords go. Tags would not do: encoding/json takes TYPE for type.
func (s *Schema) fields() map[string]any {
	return map[string]any{
		"description": &s.Description, "default": &s.Default, "writeOnly": &s.WriteOnly,
		"type": (*typeNames)(&s.Types), "enum": &s.Enum, "pattern": &s.Pattern, "$ref": &s.refersTo,
		"properties": &s.Properties, "additionalProperties": &s.additional, "propertyNames": &s.propertyNames, "required": &s.required,
		"prefixItems": &s.prefixItems, "items": &s.items, "uniqueItems": &s.unique,
		"allOf": &s.allOf, "anyOf": &s.anyOf, "oneOf": &s.oneOf, "not": &s.not, "if": &s.when, "then": &s.then, "else": &s.orElse,
	}
}

func decode(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(into)
}

// typeNames reads one type or several.
type typeNames []string

func (t *typeNames) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		text = slices.Concat([]byte("["), text, []byte("]"))
	}
	if err := json.Unmarshal(text, (*[]string)(t)); err != nil {
		return err
	}
	for _, name := range *t {
		switch name {
		case "null", "boolean", "integer", "number", "string", "array", "object":
		default:
			return fmt.Errorf("there is no type %q", name)
		}
	}
	return nil
}

func (s *Schema) limit(keyword string, text []byte) error {
	var n json.Number
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	if n == "" || keyword == "multipleOf" && exact(n).Sign() <= 0 {
		return fmt.Errorf("%s is no limit", text)
	}
	if s.Limits == nil {
		s.Limits = make(map[string]json.Number)
	}
	s.Limits[keyword] = n
	return nil
}

func (s *Schema) readPatterns(text []byte) error {
	var schemas map[string]*Schema
	if err := json.Unmarshal(text, &schemas); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		re, err := regexp.Compile(name)
		if err != nil {
			return err
		}
		s.patterns = append(s.patterns, pattern{re, schemas[name]})
	}
	return nil
}

// Property is the schema of the values of a key, nil when there is none.
func (s *Schema) Property(name string) *Schema {
	s = s.target()
	if s == nil {
		return nil
	}
	if p := s.Properties[name]; p != nil {
		return p.target()
	}
	for _, p := range s.patterns {
		if p.name.MatchString(name) {
			return p.schema.target()
		}
	}
	return s.additional.target()
}

// Item is the schema of the i-th element of a list, nil when there is none.
func (s *Schema) Item(i int) *Schema {
	s = s.target()
	switch {
	case s == nil:
		return nil
	case i < len(s.prefixItems):
		return s.prefixItems[i].target()
	}
	return s.items.target()
}

// target goes through references, which end: Parse refuses circles.
func (s *Schema) target() *Schema {
	for s != nil && s.ref != nil {
		s = s.ref
	}
	return s
}
