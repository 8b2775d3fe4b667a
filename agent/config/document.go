package config

import (
	"encoding/json"
	"maps"
)

// Schema returns the JSON Schema of a whole config, for editors. What it cannot say (references, cycles, settings of
// commands of one's own) Load checks.
func Schema(programs []Program) map[string]any {
	return map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "pacewire config", "type": "object",
		"additionalProperties": false,
		"properties": map[string]any{
			"host":    text("the name of this machine; by default its own"),
			"bus":     map[string]any{"description": "embedded, one URL or several, or a map", "type": []string{"string", "array", "object"}},
			"every":   duration("the interval of collectors"),
			"tags":    map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}, "description": "of every point"},
			"owner":   text("who is asked about plugins without an owner of their own"),
			"site":    text("where the machine stands"),
			"log":     map[string]any{"type": "object", "description": "level and format of the log"},
			"env":     map[string]any{"type": "array", "items": map[string]any{"type": "string"}, "description": "the names that ${NAME} may use"},
			"web":     map[string]any{"type": "object", "properties": map[string]any{"listen": text("where the page is served")}},
			"collect": section(Collector, programs),
			"process": section(Processor, programs),
			"publish": section(Publisher, programs),
		},
	}
}

func text(description string) map[string]any {
	return map[string]any{"type": "string", "description": description}
}

func duration(description string) map[string]any {
	return map[string]any{"type": "string", "pattern": `^[0-9]`, "description": description + ", such as 10s"}
}

// section is the schema of the plugins of one kind: for a plugin called like a program, or with use, the program's settings.
func section(kind string, programs []Program) map[string]any {
	named := map[string]any{}
	var used []any
	for _, p := range programs {
		if p.Kind != kind {
			continue
		}
		settings := plugins(p)
		named[p.Name] = settings
		used = append(used, map[string]any{
			"if":   map[string]any{"properties": map[string]any{"use": map[string]any{"const": p.Name}}, "required": []string{"use"}},
			"then": settings,
		})
	}
	other := map[string]any{"type": []string{"object", "null"}}
	if len(used) > 0 {
		other["allOf"] = used
	}
	return map[string]any{"type": "object", "properties": named, "additionalProperties": other}
}

// plugins is the schema of a plugin that runs p: its own settings beside those that every plugin has.
func plugins(p Program) map[string]any {
	var schema struct {
		Properties map[string]any `json:"properties"`
	}
	_ = json.Unmarshal(p.Schema, &schema) // without a schema every setting is as good as another
	properties := common()
	maps.Copy(properties, schema.Properties)
	return map[string]any{"type": []string{"object", "null"}, "description": p.Summary, "properties": properties}
}

// common is the schema of the keys that every plugin has.
func common() map[string]any {
	names := map[string]any{"type": []string{"string", "array"}, "items": map[string]any{"type": "string"}}
	return map[string]any{
		"use": text("the program, if the plugin is not called like it"), "run": names, "from": names, "on": names,
		"config": map[string]any{"type": "object", "description": "settings of the program"},
		"every":  duration("the interval"), "cron": text("times, instead of every"), "timeout": duration("of one call"),
		"tags": map[string]any{"type": "object"}, "owner": text("who is asked about it"),
		"enabled": map[string]any{"type": "boolean"}, "start": text("where a new reader begins: new, all, 24h ago, or a time"),
		"replicas": map[string]any{"type": "integer", "minimum": 1}, "parallel": map[string]any{"type": "integer", "minimum": 1},
		"env": map[string]any{"type": "array", "items": map[string]any{"type": "string"}},
	}
}
