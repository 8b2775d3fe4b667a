// Package execd makes of points what an execd program of Telegraf makes of them.
package execd

import (
	"context"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/execd"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Define describes the execd processor.
func Define() plugin.Definition {
	return plugin.Define(plugin.Processor, plugin.Spec[execd.Config, *processor]{
		Program: "execd",
		Summary: "What a long-running program makes of points, as execd processors of Telegraf do: at most once.",
		Config:  execd.Defaults(),
		Enum:    execd.Enum(),
		Proxy:   true,
		New:     newProcessor,
	}, transform)
}

const (
	// maxText is how much text is made of a batch. A message of 256 KiB may stand for gigabytes.
	maxText = 32 << 20

	// linger is how long what the program prints waits for more to travel with.
	linger = 10 * time.Millisecond
)

// A processor gives the points of its inputs to a program, and sends what that prints. Nothing tells which of these are made of which.
type processor struct {
	*execd.Runner
	points execd.Points
	hosts  hosts
	given  []byte
	made   telemetry.Batch
}

func newProcessor(life context.Context, cfg execd.Config, env plugin.Env) (*processor, error) {
	r, err := execd.New(life, cfg, env, execd.Manners{})
	if err != nil {
		return nil, err
	}
	d, err := decode.New("influx", decode.Options{})
	return &processor{
		Runner: r, points: execd.Points{Decoder: d, Log: env.Log, Linger: linger}, hosts: hosts{own: env.Host, given: map[string]bool{}},
	}, err
}

// transform is the work of a processor, with one program after the other.
func transform(ctx context.Context, s *plugin.Session, p *processor) error {
	return s.Persist(ctx, func(ctx context.Context) error {
		feed := func(ctx context.Context, prog *execd.Program) error {
			return s.Transform(ctx, func(ctx context.Context, in, _ *telemetry.Batch) error { return p.give(ctx, prog, in) })
		}
		return p.Run(ctx, feed, func(prog *execd.Program) { p.points.Read(prog, p.empty, p.sendTo(s)) })
	})
}

// give gives a batch to the program. It is settled when the program has read it.
func (p *processor) give(ctx context.Context, prog *execd.Program, in *telemetry.Batch) error {
	if !in.TextWithin(maxText) {
		return plugin.Permanent(fmt.Errorf("its text takes more than %d MiB", maxText>>20))
	}
	p.hosts.add(in.Host())
	p.given = in.AppendFlatLines(p.given[:0])
	return prog.Give(ctx, p.given)
}

// empty returns the batch for what the program prints.
func (p *processor) empty() *telemetry.Batch {
	p.made.Reset()
	return &p.made
}

// sendTo returns what sends what the program prints.
func (p *processor) sendTo(s *plugin.Session) func(*telemetry.Batch) error {
	return func(b *telemetry.Batch) error {
		p.hosts.divide(b, s.EmitAbout)
		return nil
	}
}
