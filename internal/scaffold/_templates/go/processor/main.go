// Command my-plugin is a processor of pacewire: it gives every point a tag.
package main

import (
	"context"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/telemetry"
)

// config is what an operator may set.
type config struct {
	Site string `json:"site" jsonschema:"the value of the tag site"`
}

type tagger struct{ site string }

// Process is called for each batch. What it does not put into out is dropped; in counts as done with when out is stored. After
// an error it is called with the same points again.
func (t tagger) Process(_ context.Context, in, out *telemetry.Batch) error {
	for g := range in.Groups() { // the points of one series, as columns
		// Go on here: g.Series, g.Field("usage"), g.Keep(func(row int) bool { ... }), out.Add(...).
		g.SetTag("site", t.site)
		out.Take(g)
	}
	return nil
}

func main() {
	plugin.Main(processor.Define(processor.Spec[config]{
		Program: "my-plugin",
		Summary: "Gives every point a tag.",
		Version: "0.1.0",
		Config:  config{Site: "lab"}, // the defaults
		New: func(_ context.Context, c config, _ plugin.Env) (processor.Processor, error) {
			return tagger{c.Site}, nil
		},
	}))
}
