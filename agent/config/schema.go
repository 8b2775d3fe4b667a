package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pacewire/pacewire/internal/schema"
)

// schema reads a program's schema, once.
func (l *loader) schema(p *Program) (*schema.Schema, error) {
	if s, ok := l.schemas[p]; ok || len(p.Schema) == 0 {
		return s, nil
	}
	s, err := schema.Parse(p.Schema)
	if err == nil {
		l.schemas[p] = s
	}
	return s, err
}

// config makes Plugin.Config of the settings, checked where their schema is known.
func (l *loader) config(d *definition) {
	d.Config, d.Shown = json.RawMessage("{}"), json.RawMessage("{}")
	list := d.gather()
	var sch *schema.Schema
	if d.builtin != nil {
		var err error
		if sch, err = l.schema(d.builtin); err != nil {
			d.fault(d.key, "this is a fault of the program, not of the file", "%s: its schema is broken: %v", d.Program, err)
			return
		}
	}
	c := checker{definition: d, files: l.secretFile, schema: sch}
	before := len(d.faults)
	values := c.object("", list, sch)
	if sch != nil {
		c.validate(values, list)
	}
	if len(d.faults) > before {
		return
	}
	// Maps, lists, texts, booleans and checked numbers: encoding them cannot fail.
	d.Config, _ = json.Marshal(values)
	d.Shown, _ = json.Marshal(c.shown(values, list, sch))
}

// gather joins the settings that stand beside the common keys with those under config:.
func (d *definition) gather() []entry {
	beside := d.beside
	if d.run != nil {
		for _, e := range d.beside {
			d.fault(e.key, didYouMean(e.name, useful(d.Kind), "write config: { "+e.name+": ... }"), "%s: beside run: the settings of the program stand under config:", e.name)
		}
		beside = nil
	}
	list := slices.Clone(beside)
	for _, e := range d.inside {
		i := slices.IndexFunc(beside, func(b entry) bool { return b.name == e.name })
		if i < 0 {
			list = append(list, e)
			continue
		}
		d.fault(e.key, "remove one of them", "%s is set twice: here under config:, and beside it in line %d", e.name, beside[i].key.Line)
	}
	return list
}

// checker turns the settings of one plugin into JSON values. Where a schema is known it decides what
// a scalar is, so that 010, 1.10, no, or 2026-01-31 is text where text is wanted. Where none is known,
// what JSON would take for a number, true, or false is that, and all else is text.
type checker struct {
	*definition
	files  func(s *source, key string, n *yaml.Node) // looks at the file of a secret
	schema *schema.Schema
}

// object converts the entries of a map; what is at fault is left out.
func (c *checker) object(path string, list []entry, sch *schema.Schema) map[string]any {
	out := make(map[string]any, len(list))
	for _, e := range list {
		sub := sch.Property(e.name)
		c.secret(path, e, sub, sch, list)
		if v, ok := c.convert(join(path, e.name), e.key, e.val, sub); ok {
			out[e.name] = v
		}
	}
	return out
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// secret looks at a setting that is a secret, or names the file of one.
func (c *checker) secret(path string, e entry, sub, sch *schema.Schema, list []entry) {
	_, fromEnv := c.written[e.val]
	if sub != nil && sub.WriteOnly && !fromEnv && e.val.Kind == yaml.ScalarNode {
		c.warn(e.key, "put it into a file of its own: "+e.name+"_file: /path", "%s: a secret stands in plain text", join(path, e.name))
	}
	base, isFile := strings.CutSuffix(e.name, "_file")
	if !isFile || sch == nil || e.val.Kind != yaml.ScalarNode {
		return
	}
	if p := sch.Property(base); p == nil || !p.WriteOnly {
		return
	}
	c.files(c.source, join(path, e.name), e.val)
	if slices.Contains(names(list), base) {
		c.fault(e.key, "remove "+base, "%s and %s exclude each other", base, e.name)
	}
}

// shown copies converted settings without what is nobody else's business.
func (c *checker) shown(values map[string]any, list []entry, sch *schema.Schema) map[string]any {
	out := make(map[string]any, len(values))
	for _, e := range list {
		sub := sch.Property(e.name)
		if sub != nil && sub.WriteOnly || c.secrets.MatchString(e.name+": x") {
			out[e.name] = "***"
			continue
		}
		out[e.name] = c.shownValue(values[e.name], e.val, sub)
	}
	return out
}

func (c *checker) shownValue(v any, n *yaml.Node, sch *schema.Schema) any {
	if text, fromEnv := c.written[n]; fromEnv {
		return text
	}
	switch v := v.(type) {
	case map[string]any:
		return c.shown(v, entries(n), sch)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = c.shownValue(v[i], n.Content[i], sch.Item(i))
		}
		return out
	case string:
		return noUserinfo(v)
	}
	return v
}

// types lists what a schema accepts besides null; none means anything.
func types(sch *schema.Schema) []string {
	if sch == nil {
		return nil
	}
	list := slices.DeleteFunc(slices.Clone(sch.Types), func(t string) bool { return t == "null" })
	if slices.Contains(list, "number") {
		list = slices.DeleteFunc(list, func(t string) bool { return t == "integer" })
	}
	return list
}

// convert makes a JSON value of a node; ok is false when it is at fault.
func (c *checker) convert(path string, key, n *yaml.Node, sch *schema.Schema) (v any, ok bool) {
	if c.settled[n] {
		return nil, false
	}
	if empty(n) {
		if sch == nil && c.schema == nil {
			return nil, true
		}
		c.fault(key, "give it one, or remove the key to have the default", "%s: has no value", path)
		return nil, false
	}
	want := types(sch)
	if n.Kind == yaml.ScalarNode {
		return c.scalar(path, n, sch, want)
	}
	if t := map[yaml.Kind]string{yaml.MappingNode: "object", yaml.SequenceNode: "array"}[n.Kind]; len(want) > 0 && !slices.Contains(want, t) {
		c.mismatch(path, n, sch)
		return nil, false
	}
	before := len(c.faults)
	if n.Kind == yaml.MappingNode {
		v = c.object(path, entries(n), sch)
	} else {
		v = c.list(path, n, sch)
	}
	return v, len(c.faults) == before
}

func (c *checker) list(path string, n *yaml.Node, sch *schema.Schema) []any {
	out := make([]any, 0, len(n.Content))
	for i, child := range n.Content {
		if v, ok := c.convert(index(path, i), child, child, sch.Item(i)); ok {
			out = append(out, v)
		}
	}
	return out
}

// scalar gives a scalar the type that is wanted of it.
func (c *checker) scalar(path string, n *yaml.Node, sch *schema.Schema, want []string) (any, bool) {
	if len(want) != 1 {
		return c.loose(n, want), true
	}
	_, fromEnv := c.written[n]
	plain := fromEnv || n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	switch want[0] {
	case "string":
		return n.Value, true
	case "boolean":
		if plain && (n.Value == "true" || n.Value == "false") {
			return n.Value == "true", true
		}
	case "integer":
		if plain && isInteger(n.Value) {
			return json.Number(n.Value), true
		}
	case "number":
		if plain && isNumber(n.Value) {
			return json.Number(n.Value), true
		}
	}
	c.mismatch(path, n, sch)
	return nil, false
}

// loose types a scalar by its form alone.
func (c *checker) loose(n *yaml.Node, want []string) any {
	_, fromEnv := c.written[n]
	if fromEnv || n.Style != 0 {
		return n.Value
	}
	may := func(t string) bool { return len(want) == 0 || slices.Contains(want, t) }
	switch {
	case may("boolean") && (n.Value == "true" || n.Value == "false"):
		return n.Value == "true"
	case (may("number") || may("integer")) && isNumber(n.Value):
		return json.Number(n.Value)
	}
	return n.Value
}

// secretNames lists the settings that programs declare secret.
func secretNames(programs []Program) []string {
	found := make(map[string]bool)
	for _, p := range programs {
		var doc any
		if json.Unmarshal(p.Schema, &doc) == nil {
			writeOnly(doc, found)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func writeOnly(doc any, found map[string]bool) {
	switch doc := doc.(type) {
	case []any:
		for _, v := range doc {
			writeOnly(v, found)
		}
	case map[string]any:
		for name, v := range doc {
			if m, ok := v.(map[string]any); ok && m["writeOnly"] == true {
				found[name] = true
			}
			writeOnly(v, found)
		}
	}
}
