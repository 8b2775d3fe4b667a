// Package shim makes a plugin of any program that reads and prints lines.
package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say which program is made a plugin, and how.
type Options struct {
	Kind    plugin.Kind
	Command []string         // the program and its arguments; there is no shell
	Program string           // what it is called in lists; "": as its file is
	Format  Format           // of what it reads and prints; "": JSON, and a collector's is told by its first letter
	Each    bool             // it is started for each tick or batch, instead of once
	Once    bool             // nobody starts it again: its end is the end of the work
	Catalog []telemetry.Desc // what it emits
	Environ []string         // of the process that starts it, of which it gets what is not between us and the agent
}

// Define describes the plugin whose work is the program of o.
func Define(o Options) (plugin.Definition, error) {
	if len(o.Command) == 0 || o.Command[0] == "" {
		return plugin.Definition{}, errors.New("there is no command: write it behind --, such as -- ./load.sh")
	}
	if o.Program == "" {
		o.Program = nameOf(o.Command)
	}
	return o.define()
}

func (o Options) define() (plugin.Definition, error) {
	summary := map[plugin.Kind]string{
		plugin.Collector: "Points that the program %s prints.",
		plugin.Processor: "What the program %s makes of points.",
		plugin.Publisher: "Points for the program %s.",
	}[o.Kind]
	summary = fmt.Sprintf(summary, o.Program)
	switch {
	case o.Kind == plugin.Collector && o.Each:
		return collector.Define(spec(o, summary, newTicked)), nil
	case o.Kind == plugin.Collector:
		return collector.DefineStream(spec(o, summary, newStream)), nil
	case o.Kind == plugin.Processor:
		return plugin.Define(o.Kind, spec(o, summary, newProcessor), transform), nil
	case o.Kind == plugin.Publisher:
		return plugin.Define(o.Kind, spec(o, summary, newPublisher), deliver), nil
	}
	return plugin.Definition{}, fmt.Errorf("kind %q: want collector, processor or publisher", o.Kind)
}

// spec is that of a program; build makes the work of its kind.
func spec[P any](o Options, summary string, build func(runner) (P, error)) plugin.Spec[Settings, P] {
	return plugin.Spec[Settings, P]{
		Program: o.Program, Summary: summary, Config: Settings{}, Catalog: o.Catalog,
		New: func(life context.Context, cfg Settings, env plugin.Env) (P, error) {
			return build(o.runner(life, cfg, env))
		},
	}
}

// transform is the work of a processor, until its program cannot go on.
func transform(ctx context.Context, s *plugin.Session, p processor.Processor) error {
	return p.(fallible).until(ctx, func(ctx context.Context) error { return s.Transform(ctx, p.Process) })
}

// deliver is the work of a publisher, until its program cannot go on.
func deliver(ctx context.Context, s *plugin.Session, p publisher.Publisher) error {
	return p.(fallible).until(ctx, func(ctx context.Context) error { return s.Deliver(ctx, plugin.Batching{}, p.Publish) })
}

// A runner is what every kind needs to run its program under one config.
type runner struct {
	Options
	life  context.Context //nolint:containedctx // the instance's own: when it ends, nothing is waited for any more
	env   plugin.Env
	spec  child.Spec
	codec *codec
}

func (o Options) runner(life context.Context, cfg Settings, env plugin.Env) runner {
	more := append(cfg.environ(), "PACEWIRE_HOST="+env.Host, "PACEWIRE_PLUGIN="+env.Name, "PACEWIRE_DIR="+env.Dir)
	if env.Every > 0 {
		more = append(more, "PACEWIRE_EVERY="+strconv.FormatFloat(env.Every.Seconds(), 'f', -1, 64))
	}
	return runner{
		Options: o, life: life, env: env, codec: newCodec(o.Format, o.Kind, env.Log),
		spec: child.Spec{Command: o.Command, Env: child.Environ(o.Environ, more...), Stderr: child.Log(env.Log, slog.LevelInfo)},
	}
}

var unnamed = regexp.MustCompile(`[^a-z0-9]+`)

// nameOf names a command by the first of its words that is a file, so that an interpreter has not the name.
func nameOf(command []string) string {
	name := command[0]
	for _, word := range command {
		if info, err := os.Stat(word); err == nil && info.Mode().IsRegular() {
			name = word
			break
		}
	}
	name = filepath.Base(name)
	name = unnamed.ReplaceAllString(strings.ToLower(strings.TrimSuffix(name, filepath.Ext(name))), "-")
	if name = strings.Trim(name[:min(len(name), 63)], "-"); name == "" {
		return "shim"
	}
	return name
}
