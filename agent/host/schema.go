package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/internal/schema"
)

// fits checks settings against the schema that a plugin tells of itself, where its program was not known when the config
// was read. A plugin without a schema, or with one that we cannot read, judges its settings itself.
func fits(text, settings json.RawMessage) error {
	if len(text) == 0 {
		return nil
	}
	sch, err := schema.Parse(text)
	if err != nil {
		return nil
	}
	var values any
	d := json.NewDecoder(bytes.NewReader(settings))
	d.UseNumber()
	if err := d.Decode(&values); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	var faults []string
	for _, f := range sch.Check(values) {
		faults = append(faults, fault(f))
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "; "))
	}
	return nil
}

// fault says what is wrong at one place.
func fault(f schema.Fault) string {
	at := strings.Join(f.Path, ".")
	switch f.Keyword {
	case "additionalProperties":
		return fmt.Sprintf("it has no setting %q", strings.TrimPrefix(at+"."+f.Name, ".")) + meant(f)
	case "required":
		return fmt.Sprintf("setting %q is missing", strings.TrimPrefix(at+"."+f.Name, "."))
	}
	return fmt.Sprintf("setting %q: want %s", at, config.Wants(f))
}

// meant guesses which setting an unknown one was to be.
func meant(f schema.Fault) string {
	known := slices.Sorted(maps.Keys(f.Schema.Properties))
	if name := config.Suggest(f.Name, known); name != "" {
		return ": did you mean " + name + "?"
	}
	return ""
}
