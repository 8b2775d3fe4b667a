package plugin

import (
	"encoding/json"
	"errors"

	"github.com/google/jsonschema-go/jsonschema"
)

// Strings is a list of texts in a config. A list of one may be given as the text alone.
type Strings []string

// UnmarshalJSON reads a text or a list of texts.
func (s *Strings) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*s = Strings{one}
		return nil
	}
	var list []string
	if err := json.Unmarshal(text, &list); err != nil {
		return errors.New("want a text or a list of texts")
	}
	*s = list
	return nil
}

// stringsSchema returns the schema of a Strings.
func stringsSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"string", "array"}, Items: &jsonschema.Schema{Type: "string"}}
}
