// Package execd reads the points that an execd program of Telegraf prints.
package execd

import (
	"context"
	"os"
	"sync"

	"github.com/pacewire/pacewire/internal/execd"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Define describes the execd collector.
func Define() plugin.Definition {
	d := plugin.Define(plugin.Collector, plugin.Spec[Config, *listener]{
		Program: "execd",
		Summary: "Points that a long-running program prints, as execd inputs of Telegraf do.",
		Config:  Defaults(),
		Enum:    Enum(),
		Proxy:   true,
		New:     newListener,
	}, listen)
	d.Endless = true
	return d
}

// A listener runs a program, tells it when to speak, and hears what it says.
type listener struct {
	*execd.Runner
	cfg    Config
	points execd.Points
}

func newListener(life context.Context, cfg Config, env plugin.Env) (*listener, error) {
	cfg.Environment = cfg.Variables(env.Host, env.Every, cfg.Environment)
	if err := cfg.checkUser(os.Geteuid()); err != nil {
		return nil, err
	}
	r, err := execd.New(life, cfg.Config, env, cfg.manners(env.Every))
	if err != nil {
		return nil, err
	}
	d, err := cfg.Decoder(cfg.Format, env.Name)
	return &listener{Runner: r, cfg: cfg, points: execd.Points{Decoder: d, Log: env.Log}}, err
}

// listen is the work of a listener, with one program after the other.
func listen(ctx context.Context, s *plugin.Session, l *listener) error {
	return s.Stream(ctx, func(ctx context.Context, out *plugin.Outlet) error {
		heard := newEar()
		l.points.Drop = out.Drop
		feed := func(ctx context.Context, p *execd.Program) error {
			l.feed(ctx, s, p, heard)
			return nil
		}
		return l.Run(ctx, feed, func(p *execd.Program) {
			l.points.Read(p, out.Batch, func(b *telemetry.Batch) error {
				heard.spoke()
				return out.Post(b, l.cfg.Flush.Std())
			})
		})
	})
}

// feed tells the program at each interval to speak, and ends one that has stopped to.
func (l *listener) feed(ctx context.Context, s *plugin.Session, p *execd.Program, heard *ear) {
	heard.spoke() // the last words of the program before count for that
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { l.watch(ctx, p, heard) })
	defer watch.Wait()
	defer cancel()
	pull := l.trigger(p, heard)
	if pull == nil {
		<-ctx.Done()
		return
	}
	for range s.Ticks(ctx) {
		_ = s.Note(pull(ctx)) // none is for good
	}
}
