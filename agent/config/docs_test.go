package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	api "github.com/pacewire/pacewire/plugin"
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

// TestReserved compares the keys of every plugin with the names that the libraries refuse for a setting: a setting of such a name could
// never be given.
func TestReserved(t *testing.T) {
	f := func(where string, got []string) {
		t.Helper()
		want := slices.Sorted(slices.Values(commonKeys))
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%s reserves\n%q\nwant\n%q", where, got, want)
		}
	}
	f("plugin", api.Reserved())
	f("the library for Python", reservedIn(t, "../../sdk/python/pacewire/_config.py"))
	f("the library for Node", reservedIn(t, "../../sdk/node/lib/config.mjs"))
}

// reservedIn returns the words of the texts by which a source file defines RESERVED.
func reservedIn(t *testing.T, path string) []string {
	t.Helper()
	definition := regexp.MustCompile(`(?s)RESERVED = .*?split\(`).Find(read(t, path))
	var words []string
	for _, text := range regexp.MustCompile(`["'][a-z0-9_ ]+["']`).FindAllString(string(definition), -1) {
		words = append(words, strings.Fields(text[1:len(text)-1])...)
	}
	return words
}
