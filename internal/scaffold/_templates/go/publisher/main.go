// Command my-plugin is a publisher of pacewire: it appends points to a file, a line of JSON each.
package main

import (
	"context"
	"os"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// config is what an operator may set.
type config struct {
	Path string `json:"path" jsonschema:"the file to append to"`
}

type sink struct{ file *os.File }

// Publish is called for each batch. nil promises that the sink has every point; after an error the same points are given again,
// later and for ever. plugin.Permanent(err) sets them aside instead.
func (s sink) Publish(_ context.Context, in *telemetry.Batch) error {
	// Go on here: in.AppendLines makes line protocol, in.Points() yields one point after the other.
	if _, err := s.file.Write(in.AppendPoints(nil)); err != nil {
		return err
	}
	return s.file.Sync()
}

// Close is called after the last Publish.
func (s sink) Close() error { return s.file.Close() }

func main() {
	plugin.Main(publisher.Define(publisher.Spec[config]{
		Program: "my-plugin",
		Summary: "Appends points to a file.",
		Version: "0.1.0",
		Config:  config{Path: "my-plugin.jsonl"}, // the defaults
		New: func(_ context.Context, c config, _ plugin.Env) (publisher.Publisher, error) {
			file, err := os.OpenFile(c.Path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
			return sink{file}, err
		},
	}))
}
