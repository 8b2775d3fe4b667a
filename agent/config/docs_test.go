package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// builtins are the programs of this tree, by their schemas.
func builtins(t *testing.T) []Program {
	t.Helper()
	var list []Program
	for _, file := range glob(t, "../../schemas/plugins/*.json") {
		kind, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), ".")
		list = append(list, Program{Kind: kind, Name: name, Schema: read(t, file)})
	}
	return list
}

// TestPage checks the examples of docs/config.md, and that it has every key.
func TestPage(t *testing.T) {
	page := string(read(t, "../../docs/config.md"))
	examples := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(examples) < 3 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, m := range examples {
		if _, err := Parse(Options{Programs: builtins(t), Offline: true}, "config.md", []byte(m[1])); err != nil {
			t.Error(err)
		}
	}
	for _, key := range slices.Concat(topKeys, commonKeys, scheduleKeys, limitKeys, discoverKeys, hubKeys) {
		if !strings.Contains(page, "`"+key+"`") {
			t.Errorf("the page does not tell of %s", key)
		}
	}
}

// TestSchemaHasEveryKey compares the schema for editors with the lists of keys.
func TestSchemaHasEveryKey(t *testing.T) {
	f := func(schema map[string]any, keys []string) {
		t.Helper()
		properties := schema["properties"].(map[string]any)
		for _, key := range keys {
			if properties[key] == nil {
				t.Errorf("the schema has no %s", key)
			}
		}
		for key := range properties {
			if !slices.Contains(keys, key) {
				t.Errorf("the schema has %s, which is no key", key)
			}
		}
	}
	f(Schema(nil), topKeys)
	f(map[string]any{"properties": common(Processor)}, commonKeys)
	f(scheduleSchema(), scheduleKeys)
	f(limitsSchema(), limitKeys)
	f(discoverSchema(), discoverKeys)
	f(hubSchema(), hubKeys)
}
