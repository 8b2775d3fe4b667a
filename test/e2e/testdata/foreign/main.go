// Command foreign is a collector as somebody outside would write one. With a word it is one of the plugins that nobody wants.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Step int    `json:"step" jsonschema:"what the counter grows by"`
	Mode string `json:"mode" jsonschema:"how it behaves"`
}

type counter struct {
	Config
	value int
}

func main() {
	plugin.Main(collector.Define(collector.Spec[Config]{
		Program: "foreign",
		Summary: "Counts.",
		Version: "1.2.3",
		Config:  Config{Step: 1},
		New: func(_ context.Context, cfg Config, _ plugin.Env) (collector.Collector, error) {
			if cfg.Mode == "noisy" {
				fmt.Println("\x1b[2J\x07 garbage \x00\xff\xfe" + strings.Repeat("x", 1<<20))
				fmt.Println(`{"msg":1,"level":{}}`)
			}
			return &counter{Config: cfg}, nil
		},
	}))
}

// Collect counts, panics or fails.
func (c *counter) Collect(_ context.Context, out *telemetry.Batch) error {
	c.value += c.Step
	switch {
	case c.Mode == "panics" && c.value%2 == 0:
		panic("out of order")
	case c.Mode == "fails":
		return errors.New("no licence")
	}
	out.Add("count", telemetry.Fields{"value": c.value, "pid": os.Getpid()}, nil)
	return nil
}
