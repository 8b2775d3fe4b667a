// Command my-plugin is a collector of pacewire: it counts the files of a folder.
package main

import (
	"context"
	"os"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// config is what an operator may set.
type config struct {
	Path string `json:"path" jsonschema:"the folder whose files are counted"`
}

type folder struct{ path string }

// Collect is called each interval. An error is told to the operator, and the next interval tries again.
func (f folder) Collect(_ context.Context, out *telemetry.Batch) error {
	files, err := os.ReadDir(f.path)
	if err != nil {
		return err
	}
	// Go on here: measure what you want to know, and add it to the catalog below.
	out.Add("my-plugin", telemetry.Fields{"files": len(files)}, telemetry.Tags{"path": f.path})
	return nil
}

func main() {
	plugin.Main(collector.Define(collector.Spec[config]{
		Program: "my-plugin",
		Summary: "Counts the files of a folder.",
		Version: "0.1.0",
		Config:  config{Path: "/tmp"}, // the defaults
		Catalog: []telemetry.Desc{{
			Series: "my-plugin", Help: "What is in a folder.", Tags: map[string]string{"path": "the folder"},
			Fields: map[string]string{"files": "files"}, Types: map[string]string{"files": "i"}, // units; types of what is no float
		}},
		New: func(_ context.Context, c config, _ plugin.Env) (collector.Collector, error) {
			return folder{c.Path}, nil
		},
	}))
}
