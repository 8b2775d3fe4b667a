package processor_test

import (
	"context"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/telemetry"
)

type keepConfig struct {
	Series string `json:"series" jsonschema:"series to keep, a glob"`
}

func (c keepConfig) Validate() error {
	if _, err := path.Match(c.Series, ""); err != nil {
		return fmt.Errorf("series %q: %w", c.Series, err)
	}
	return nil
}

// A processor without memory, working on whole groups. What it does not take is dropped.
func ExampleDefine() {
	d := processor.Define(processor.Spec[keepConfig]{
		Program: "keep", Summary: "Keeps series by name.", Config: keepConfig{Series: "*"},
		New: func(_ context.Context, cfg keepConfig, _ plugin.Env) (processor.Processor, error) {
			return processor.Func(func(_ context.Context, in, out *telemetry.Batch) error {
				for g := range in.Groups() {
					if ok, _ := path.Match(cfg.Series, g.Series); ok {
						out.Take(g)
					}
				}
				return nil
			}), nil
		},
	})
	points := strings.NewReader("cpu usage=93.5 1763559525000000000\nmem used=512i 1763559525000000000\n")
	plugin.Run(context.Background(), d, []string{"--once", "--host", "web-1", "--config", `{"series": "c*"}`}, points, os.Stdout, os.Stderr, nil)
	// Output:
	// {"series":"cpu","time":"2025-11-19T13:38:45Z","tags":{"host":"web-1"},"fields":{"usage":93.5}}
}

// A processor that keeps points between batches: Process remembers, Flush tells.
func ExampleFlusher() {
	d := processor.Define(processor.Spec[struct{}]{
		Program: "count", Summary: "Counts points.",
		New: func(context.Context, struct{}, plugin.Env) (processor.Processor, error) {
			return &count{points: map[string]int{}}, nil
		},
	})
	points := strings.NewReader(strings.Repeat("cpu usage=93.5\n", 1000))
	plugin.Run(context.Background(), d, []string{"--once", "--host", "web-1"}, points, os.Stdout, os.Stderr, nil)
	// Output:
	// {"series":"count","time":"2025-11-19T13:38:45Z","tags":{"host":"web-1"},"fields":{"points":1000},"types":{"points":"i"}}
}

type count struct{ points map[string]int }

func (c *count) Process(_ context.Context, in, _ *telemetry.Batch) error {
	c.points[in.Host()] += in.Len()
	return nil
}

func (*count) Window() time.Duration { return time.Minute }

func (c *count) Flush(_ context.Context, out func(host string) *telemetry.Batch) error {
	for host, n := range c.points {
		b := out(host)
		b.At(time.Unix(1763559525, 0)) // for the sake of the example; else it is now
		b.Add("count", telemetry.Fields{"points": n}, nil)
	}
	clear(c.points)
	return nil
}
