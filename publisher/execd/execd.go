// Package execd hands points to an execd program of Telegraf, which carries them out.
package execd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pacewire/pacewire/internal/execd"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	execd.Config
	Format string `json:"format" jsonschema:"how points are written for the program, each on a line: line protocol, or our JSON"`
}

// Validate reports what is wrong with c.
func (c Config) Validate() error {
	err := c.Config.Validate()
	if _, ok := encoders[c.Format]; !ok {
		err = errors.Join(err, fmt.Errorf("format %q: want influx or json", c.Format))
	}
	return err
}

// encoders write the points of a batch behind what is there, each on a line.
var encoders = map[string]func(b *telemetry.Batch, dst []byte) []byte{
	"influx": (*telemetry.Batch).AppendFlatLines,
	"json":   (*telemetry.Batch).AppendPoints,
}

// Define describes the execd publisher.
func Define() plugin.Definition {
	enum := execd.Enum()
	enum["format"] = []any{"influx", "json"}
	return plugin.Define(plugin.Publisher, plugin.Spec[Config, *carrier]{
		Program: "execd",
		Summary: "Hands points to a long-running program, as execd outputs of Telegraf are: at most once.",
		Config:  Config{Config: execd.Defaults(), Format: "influx"},
		Enum:    enum,
		New:     newCarrier,
	}, deliver)
}

// A carrier gives points to a program. What that prints is of no use.
type carrier struct {
	*execd.Runner
	encode func(b *telemetry.Batch, dst []byte) []byte
	text   []byte
}

func newCarrier(life context.Context, cfg Config, env plugin.Env) (*carrier, error) {
	r, err := execd.New(life, cfg.Config, env, execd.Manners{})
	if err != nil {
		return nil, err
	}
	return &carrier{Runner: r, encode: encoders[cfg.Format]}, nil
}

// deliver is the work of a carrier, with one program after the other.
func deliver(ctx context.Context, s *plugin.Session, c *carrier) error {
	return s.Persist(ctx, func(ctx context.Context) error {
		feed := func(ctx context.Context, p *execd.Program) error {
			return s.Deliver(ctx, plugin.Batching{}, func(ctx context.Context, in *telemetry.Batch) error { return c.give(ctx, p, in) })
		}
		return c.Run(ctx, feed, func(p *execd.Program) { _, _ = io.Copy(io.Discard, p) }) // it ends with the program
	})
}

// give gives a batch to the program. It is settled when the program has read it.
func (c *carrier) give(ctx context.Context, p *execd.Program, in *telemetry.Batch) error {
	if err := publisher.FitsText(in); err != nil {
		return err
	}
	c.text = c.encode(in, c.text[:0])
	return p.Give(ctx, c.text)
}
