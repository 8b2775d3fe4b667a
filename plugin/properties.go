package plugin

import (
	"bytes"
	"encoding/json"
	"iter"
)

// A property is what a schema says about one setting.
type property struct {
	Type        string          `json:"type"`
	Description string          `json:"description"`
	Default     json.RawMessage `json:"default"`
	Enum        json.RawMessage `json:"enum"`
}

// properties yields the settings of a schema in its order, which a Go map would lose.
func properties(schema json.RawMessage) iter.Seq2[string, property] {
	return func(yield func(string, property) bool) {
		var s struct {
			Properties json.RawMessage `json:"properties"`
		}
		if json.Unmarshal(schema, &s) != nil || len(s.Properties) == 0 {
			return
		}
		d := json.NewDecoder(bytes.NewReader(s.Properties))
		if _, err := d.Token(); err != nil { // {
			return
		}
		for d.More() {
			key, err := d.Token()
			var p property
			if err != nil || d.Decode(&p) != nil {
				return
			}
			if name, ok := key.(string); !ok || !yield(name, p) {
				return
			}
		}
	}
}
