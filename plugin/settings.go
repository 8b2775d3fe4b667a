package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/google/jsonschema-go/jsonschema"
)

// reserved are the keys that mean the same for every plugin and stand beside its settings in a config.
var reserved = strings.Fields("use run from on config every cron schedule timeout tags owner enabled start replicas parallel env " +
	"order queue overflow max_rate max_series limits run_as on_agent_exit sha256 attached")

// Reserved returns the names that no setting may have.
func Reserved() []string { return slices.Clone(reserved) }

// Fits reports whether settings, a JSON object, fit schema, as an agent checks before a plugin gets them.
func Fits(schema, settings json.RawMessage) error {
	var s jsonschema.Schema
	if err := json.Unmarshal(schema, &s); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	var value any
	if err := json.Unmarshal(settings, &value); err != nil {
		return err
	}
	return resolved.Validate(value)
}

// settings reads the configs of one program: a struct C whose value in the spec holds the defaults, or a C that is a map of
// json.RawMessage, which takes whatever an operator writes.
type settings[C any] struct {
	base   C
	schema func() json.RawMessage
}

// newSettings returns the settings of a program. Their schema is made when somebody asks: the process of one plugin has no
// use for those of all the others.
func newSettings[C any](base C, enum map[string][]any) settings[C] {
	return settings[C]{base, sync.OnceValue(func() json.RawMessage {
		schema, err := schemaOf(base, enum)
		if err != nil {
			panic(fmt.Sprintf("plugin: config %T: %v", base, err))
		}
		return schema
	})}
}

// defaults returns the defaults as JSON. A secret has none.
func (s settings[C]) defaults() []byte {
	if takesAny(reflect.TypeOf(s.base)) {
		return []byte("{}")
	}
	text, err := json.Marshal(s.base)
	if err != nil {
		panic(fmt.Sprintf("plugin: config %T: %v", s.base, err))
	}
	return text
}

// read returns the defaults, changed by the keys of text, a JSON object; then secrets from their files; then validated.
// Several faults come back joined.
func (s settings[C]) read(text []byte) (C, error) {
	cfg := s.base
	given, err := object(text)
	if err != nil {
		return cfg, err
	}
	var faults []error
	v := reflect.ValueOf(&cfg).Elem()
	if takesAny(v.Type()) {
		v.Set(reflect.ValueOf(given).Convert(v.Type()))
		return cfg, validate(cfg)
	}
	for _, f := range reflect.VisibleFields(v.Type()) {
		key := jsonName(f)
		if key == "" {
			continue
		}
		into := v.FieldByIndex(f.Index)
		if raw, ok := given[key]; ok {
			into.SetZero() // a list or a map is replaced, not joined with the default
			faults = append(faults, readSetting(key, raw, into))
			delete(given, key)
		}
		if f.Type == reflect.TypeFor[Secret]() {
			faults = append(faults, readSecretFile(key, given, into))
			delete(given, key+"_file")
		}
	}
	for key := range given {
		faults = append(faults, fmt.Errorf("%s: no such setting", key))
	}
	if err := errors.Join(faults...); err != nil {
		return cfg, err
	}
	return cfg, validate(cfg)
}

// takesAny reports whether configs of type t have whatever settings an operator writes.
func takesAny(t reflect.Type) bool {
	return t != nil && t.ConvertibleTo(reflect.TypeFor[map[string]json.RawMessage]())
}

func validate(cfg any) error {
	if c, ok := cfg.(Validator); ok {
		return c.Validate()
	}
	return nil
}

// object returns the members of a JSON object. No text at all is an empty one.
func object(text []byte) (map[string]json.RawMessage, error) {
	given := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(text)) == 0 {
		return given, nil
	}
	if err := json.Unmarshal(text, &given); err != nil {
		return nil, fmt.Errorf("settings: want a JSON object: %w", err)
	}
	return given, nil
}

func readSetting(key string, raw json.RawMessage, into reflect.Value) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into.Addr().Interface()); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// readSecretFile reads the secret called key from the file that key_file names. The secret so never crosses the bus.
func readSecretFile(key string, given map[string]json.RawMessage, into reflect.Value) error {
	raw, ok := given[key+"_file"]
	if !ok {
		return nil
	}
	var path string
	if err := json.Unmarshal(raw, &path); err != nil {
		return fmt.Errorf("%s_file: want a path", key)
	}
	if path == "" {
		return nil
	}
	if into.String() != "" {
		return fmt.Errorf("%s and %s_file: give one of them", key, key)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%s_file: %w", key, err)
	}
	if info.Mode().Perm()&0o004 != 0 {
		return fmt.Errorf("%s_file: %s can be read by everybody: chmod o-r it", key, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s_file: %w", key, err)
	}
	secret := strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")
	if secret == "" { // it would be as if there were none to be asked for
		return fmt.Errorf("%s_file: %s is empty: write the secret into it", key, path)
	}
	into.SetString(secret)
	return nil
}

// jsonName returns the key of a field of a config, "" when it has none. Settings that several programs have may be a struct of their
// own, which is embedded.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" || !f.IsExported() || f.Anonymous {
		return ""
	}
	if name == "" {
		return f.Name
	}
	return name
}

// schemaOf returns the JSON Schema of a config: what its fields and their jsonschema tags say, the defaults put in, nothing
// required and nothing besides allowed.
func schemaOf(base any, enum map[string][]any) (json.RawMessage, error) {
	t := reflect.TypeOf(base)
	if takesAny(t) {
		return json.RawMessage(`{"type":"object","additionalProperties":true}`), nil
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil, errors.New("want a struct")
	}
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[Duration](): {Type: "string", Pattern: `^-?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$|^0$`},
		reflect.TypeFor[Secret]():   {Type: "string", WriteOnly: true},
		reflect.TypeFor[Strings]():  stringsSchema(),
	}})
	if err != nil {
		return nil, err
	}
	open(s)
	text, err := json.Marshal(base)
	if err != nil {
		return nil, err
	}
	if err := putDefaults(s, text); err != nil {
		return nil, err
	}
	addSecretFiles(s)
	for key, values := range enum {
		p := s.Properties[key]
		if p == nil {
			return nil, fmt.Errorf("enum of %s: no such setting", key)
		}
		p.Enum = values
	}
	return json.Marshal(s)
}

// open takes away that anything is required, of s and what is in it.
func open(s *jsonschema.Schema) {
	s.Required = nil
	for _, p := range s.Properties {
		open(p)
	}
	for _, in := range []*jsonschema.Schema{s.Items, s.AdditionalProperties} {
		if in != nil {
			open(in)
		}
	}
}

// putDefaults gives each property of s the default that text, an object, has for it.
func putDefaults(s *jsonschema.Schema, text json.RawMessage) error {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(text, &values); err != nil {
		return err
	}
	for key, p := range s.Properties {
		v, ok := values[key]
		switch {
		case !ok || p.WriteOnly || bytes.Equal(v, []byte("null")):
		case len(p.Properties) > 0:
			if err := putDefaults(p, v); err != nil {
				return err
			}
		default:
			p.Default = v
		}
		p.Types = slices.DeleteFunc(p.Types, func(t string) bool { return t == "null" })
		if len(p.Types) == 1 {
			p.Type, p.Types = p.Types[0], nil
		}
	}
	return nil
}

// addSecretFiles adds to each secret the setting that names a file with it.
func addSecretFiles(s *jsonschema.Schema) {
	for key, p := range s.Properties {
		if !p.WriteOnly {
			continue
		}
		s.Properties[key+"_file"] = &jsonschema.Schema{
			Type: "string", Description: "a file that holds " + key + ", read by the plugin itself"}
		s.PropertyOrder = insertAfter(s.PropertyOrder, key, key+"_file")
	}
}

func insertAfter(list []string, key, next string) []string {
	i := slices.Index(list, key)
	if i < 0 {
		return list
	}
	return slices.Insert(list, i+1, next)
}
