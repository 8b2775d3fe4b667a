package plugintest

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// property is what a schema says about a setting.
type property struct {
	Description string              `json:"description"`
	Type        any                 `json:"type"`
	WriteOnly   bool                `json:"writeOnly"`
	Default     json.RawMessage     `json:"default"`
	Properties  map[string]property `json:"properties"`
	Items       *property           `json:"items"`
	Additional  json.RawMessage     `json:"additionalProperties"`
}

// checkSchema checks that every setting is described, and called as settings are.
func (c *conform) checkSchema(schema json.RawMessage) {
	var s property
	if err := json.Unmarshal(schema, &s); err != nil {
		c.Errorf("schema is no JSON: %v", err)
		return
	}
	anything := len(s.Properties) == 0 && string(s.Additional) == "true" // of a program whose settings are others' business
	if s.Type != "object" || string(s.Additional) != "false" && !anything {
		c.Errorf("schema: want an object that allows nothing besides its properties")
	}
	for _, key := range plugin.Reserved() {
		if _, ok := s.Properties[key]; ok {
			c.Errorf("setting %s: the name is reserved, it means the same for every plugin", key)
		}
	}
	c.checkSettings("", s)
}

func (c *conform) checkSettings(path string, s property) {
	for _, key := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[key]
		if !settingName.MatchString(key) {
			c.Errorf("setting %s%s: want lower snake case", path, key)
		}
		if p.Description == "" {
			c.Errorf("setting %s%s is not described: it wants a jsonschema tag", path, key)
		}
		if p.WriteOnly && len(p.Default) > 0 {
			c.Errorf("setting %s%s: a secret has no default", path, key)
		}
		c.checkSettings(path+key+".", p)
	}
	if s.Items != nil {
		c.checkSettings(path, *s.Items)
	}
}

// catalog checks that every series is described, and each of its fields has a unit.
func (c *conform) catalog() {
	for _, s := range c.def.Catalog {
		if s.Series == "" || s.Help == "" {
			c.Errorf("catalog: series %q: want a name and a help text", s.Series)
		}
		if len(s.Fields) == 0 {
			c.Errorf("catalog: series %s has no fields", s.Series)
		}
		for _, name := range slices.Sorted(maps.Keys(s.Fields)) {
			if s.Fields[name] == "" {
				c.Errorf("catalog: field %s of %s: want a unit", name, s.Series)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(s.Tags)) {
			if s.Tags[key] == "" {
				c.Errorf("catalog: tag %s of %s: want a help text", key, s.Series)
			}
		}
		for name := range s.Types {
			if _, ok := s.Fields[name]; !ok {
				c.Errorf("catalog: type of %s of %s: no such field", name, s.Series)
			}
		}
	}
}

// listed checks that what was emitted is in the catalog.
func (c *conform) listed(b *telemetry.Batch) {
	for g := range b.Groups() {
		if g.Len() == 0 {
			continue
		}
		i := slices.IndexFunc(c.def.Catalog, func(s telemetry.Desc) bool { return s.Series == g.Series })
		if i < 0 {
			c.Errorf("series %s is not in the catalog", g.Series)
			continue
		}
		c.listedPoint(c.def.Catalog[i], g.Point(0))
	}
}

func (c *conform) listedPoint(s telemetry.Desc, p telemetry.Point) {
	for key := range p.Tags {
		if _, ok := s.Tags[key]; !ok && key != "host" {
			c.Errorf("tag %s of %s is not in the catalog", key, s.Series)
		}
	}
	for name, value := range p.Fields {
		if _, ok := s.Fields[name]; !ok {
			c.Errorf("field %s of %s is not in the catalog", name, s.Series)
			continue
		}
		want := s.Types[name]
		if want == "" {
			want = "f"
		}
		if got := letter(value); got != want {
			c.Errorf("field %s of %s has type %s, the catalog says %s", name, s.Series, got, want)
		}
	}
}

// letter returns the letter of a value's type, as the catalog has it.
func letter(value any) string {
	switch value.(type) {
	case float64:
		return "f"
	case int64:
		return "i"
	case uint64:
		return "u"
	case bool:
		return "b"
	case string:
		return "s"
	}
	return "?"
}
