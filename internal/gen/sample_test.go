package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
)

// TestSampleIsAConfig reads the sample of this tree as the agent would.
func TestSampleIsAConfig(t *testing.T) {
	const root = "../.."
	schemas, err := filepath.Glob(root + "/schemas/plugins/*.json")
	if err != nil || len(schemas) == 0 {
		t.Fatalf("no schemas: %v", err)
	}
	var programs []config.Program
	for _, file := range schemas {
		kind, name, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".json"), ".")
		schema, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		programs = append(programs, config.Program{Kind: kind, Name: name, Schema: schema})
	}
	text, err := os.ReadFile(root + "/docs/sample.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := config.Parse(config.Options{Programs: programs, Offline: true}, "sample.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Plugins) != len(programs) {
		t.Errorf("%d plugins, %d programs", len(s.Plugins), len(programs))
	}
}
