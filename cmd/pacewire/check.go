package main

import (
	"encoding/json"
	"strings"

	"github.com/pacewire/pacewire/agent/config"
)

// checkSettings asks the built-ins about their settings: what no schema can say, such as the grammar of a condition.
func checkSettings(s *config.Settings) error {
	var faults config.Faults
	for _, p := range s.Plugins {
		d, err := program(p.Kind + "." + p.Program)
		if len(p.Run) > 0 || err != nil {
			continue // not one of ours: the agent checks what it tells of itself
		}
		if err := d.Check(withoutFiles(d.Schema(), p.Config)); err != nil {
			faults = append(faults, config.Fault{Position: p.Position, Message: p.Name + ": " + err.Error()})
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// withoutFiles leaves the files of secrets out of settings: the plugin reads them, when it starts.
func withoutFiles(schema, settings json.RawMessage) json.RawMessage {
	var about struct {
		Properties map[string]struct {
			WriteOnly bool `json:"writeOnly"`
		} `json:"properties"`
	}
	var values map[string]json.RawMessage
	if json.Unmarshal(schema, &about) != nil || json.Unmarshal(settings, &values) != nil {
		return settings
	}
	for key := range values {
		if secret, ok := strings.CutSuffix(key, "_file"); ok && about.Properties[secret].WriteOnly {
			delete(values, key)
		}
	}
	rest, err := json.Marshal(values)
	if err != nil {
		return settings
	}
	return rest
}
