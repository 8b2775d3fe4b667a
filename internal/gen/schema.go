package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// schemas puts the schema of each program's settings into want.
func schemas(want map[string][]byte, programs []program) error {
	for _, p := range programs {
		text, err := p.titled()
		if err != nil {
			return fmt.Errorf("%s: schema: %w", p.path(), err)
		}
		want["schemas/plugins/"+p.label()+".json"] = text
	}
	return nil
}

// titled returns the schema of a program's settings with the program's name and summary at its head.
func (p program) titled() ([]byte, error) {
	own, err := members(p.Schema)
	if err != nil {
		return nil, err
	}
	head := []member{
		{"$schema", quote("https://json-schema.org/draft/2020-12/schema")},
		{"title", quote(p.kind + " " + p.Program)},
		{"description", quote(p.Summary)},
	}
	for _, m := range own {
		if !slices.ContainsFunc(head, func(h member) bool { return h.name == m.name }) {
			head = append(head, m)
		}
	}
	var parts []string
	for _, m := range head {
		parts = append(parts, fmt.Sprintf("%s:%s", quote(m.name), m.value))
	}
	var b bytes.Buffer
	if err := json.Indent(&b, []byte("{"+strings.Join(parts, ",")+"}\n"), "", "  "); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// A setting is one key of a program's settings.
type setting struct {
	Name    string // with the names of the objects around it: limits.points
	Type    string
	Default string // as JSON, "" where it has none
	Help    string
	Parts   []setting // of an object
}

// A member is a key of a JSON object and its value.
type member struct {
	name  string
	value json.RawMessage
}

// members returns the members of a JSON object in their order, which a map would lose.
func members(text json.RawMessage) ([]member, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if start, err := d.Token(); err != nil || start != json.Delim('{') {
		return nil, fmt.Errorf("want an object, got %.20s", text)
	}
	var list []member
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: key.(string)} // a key is nothing else
		if err := d.Decode(&m.value); err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	_, err := d.Token() // the end of the object
	return list, err
}

// A property is what a schema says of a value.
type property struct {
	Type        any // a text, or a list of texts
	Description string
	Default     json.RawMessage
	Enum        []json.RawMessage
	Pattern     string
	WriteOnly   bool
	Items       *property
	Properties  json.RawMessage

	// AdditionalProperties is a schema, or a boolean.
	AdditionalProperties json.RawMessage
}

// settings returns the settings that the schema of an object allows, in the order of the schema.
func settings(schema json.RawMessage, around string) ([]setting, error) {
	var s property
	if err := json.Unmarshal(schema, &s); err != nil {
		return nil, err
	}
	list, err := members(s.Properties)
	if err != nil {
		return nil, err
	}
	var found []setting
	for _, m := range list {
		var p property
		if err := json.Unmarshal(m.value, &p); err != nil {
			return nil, fmt.Errorf("%s: %w", around+m.name, err)
		}
		parts, err := settings(m.value, around+m.name+".")
		if err != nil {
			return nil, err
		}
		found = append(found, setting{around + m.name, p.kind(), string(p.Default), p.Description, parts})
	}
	return found, nil
}

// kind says in words what values a property takes.
func (p property) kind() string {
	if len(p.Enum) > 0 {
		var values []string
		for _, v := range p.Enum {
			values = append(values, "`"+strings.Trim(string(v), `"`)+"`")
		}
		return "one of " + strings.Join(values, ", ")
	}
	switch t := p.name(); {
	case p.WriteOnly:
		return "secret"
	case t == "string" && strings.Contains(p.Pattern, "ns|us|µs|ms|s|m|h"): // of a plugin.Duration
		return "duration"
	case t == "array" && p.Items != nil:
		return "list of " + p.Items.kind()
	case t == "object":
		var values property
		if json.Unmarshal(p.AdditionalProperties, &values) == nil && values.name() != "" {
			return "map of " + values.kind()
		}
		return "settings"
	case t == "":
		return "any"
	default:
		return t
	}
}

// name returns the type that is not null, "" where any will do.
func (p property) name() string {
	switch t := p.Type.(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if one != "null" {
				return fmt.Sprint(one)
			}
		}
	}
	return ""
}

// quote returns s as JSON.
func quote(s string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil { // a text can be encoded
		panic(err)
	}
	return bytes.TrimSpace(b.Bytes())
}
