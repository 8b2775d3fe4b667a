// Command light is a plugin of one's own, as small as one can be, to see what it weighs.
package main

import (
	"context"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

type config struct {
	Step plugin.Duration `json:"step" jsonschema:"how far the clock goes each time"`
}

type clock struct{ step, at time.Duration }

func (c *clock) Collect(_ context.Context, out *telemetry.Batch) error {
	c.at += c.step
	out.Add("clock", telemetry.Fields{"at": c.at.Seconds()}, nil)
	return nil
}

func main() {
	plugin.Main(collector.Define(collector.Spec[config]{
		Program: "clock",
		Summary: "A clock that only goes when it is looked at.",
		Config:  config{Step: plugin.Duration(time.Second)},
		Catalog: []telemetry.Desc{{Series: "clock", Help: "The clock.", Fields: map[string]string{"at": "s"}}},
		New: func(_ context.Context, cfg config, _ plugin.Env) (collector.Collector, error) {
			return &clock{step: time.Duration(cfg.Step)}, nil
		},
	}))
}
