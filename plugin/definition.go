package plugin

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// API is the version of the contract between plugin and agent that this package speaks.
const API = 1

// A Kind is the role of a plugin in the data path.
type Kind string

// The kinds of plugins.
const (
	Collector Kind = "collector" // brings points in
	Processor Kind = "processor" // changes them on the way
	Publisher Kind = "publisher" // carries them out
)

// Spec describes a program whose configuration is a C, a struct, and whose work is a P. A C that is a map of json.RawMessage
// takes whatever settings an operator writes.
type Spec[C, P any] struct {
	Program string                                               // its name in a config
	Summary string                                               // one sentence for lists
	Version string                                               // of a program of one's own; built-ins leave it empty
	Config  C                                                    // the defaults
	Enum    map[string][]any                                     // the values a setting may have, where they are few
	Catalog []telemetry.Desc                                     // what it emits: series, help, tags, fields with units
	Routes  []telemetry.Route                                    // what P, then an http.Handler, answers
	Proxy   bool                                                 // its points may be about other hosts than its own
	Timeout time.Duration                                        // of its calls, if nobody says another; never above the interval. 0: the interval, and who says another has it
	Series  int                                                  // it may send at a time, if the config does not say; 0: as many as any collector
	Times   string                                               // where its settings have times of its own, of which every, cron, schedule and timeout say nothing; "": nowhere
	New     func(ctx context.Context, cfg C, env Env) (P, error) // may be called several times in one process
}

// Env is what a plugin may use of the world it runs in.
type Env struct {
	Log  *slog.Logger // already names the plugin and the host
	Host string       // the host the points are about
	Name string       // the plugin's name in the config
	Dir  string       // a directory to keep state in; it may not exist yet

	Every time.Duration // how often a collector is to speak; 0: nobody has said

	// Event sends b as one event of a kind; nil means that the stream EVENTS has it.
	Event func(ctx context.Context, kind string, b *telemetry.Batch) error
}

// A Validator is a config that can tell what no schema can. All faults at once, with errors.Join.
type Validator interface{ Validate() error }

// A Loner is a config that may be of one process alone: two that append to one file, or listen at one address. Alone returns why,
// or nil where any number may have it.
type Loner interface{ Alone() error }

// A Definition is a program, ready to be run. The Define of a kind makes it.
type Definition struct {
	Kind    Kind
	Program string
	Summary string
	Version string
	Schema  func() json.RawMessage // makes the JSON Schema of the settings, with their defaults; it panics for a config that has none
	Catalog []telemetry.Desc
	Routes  []telemetry.Route
	Proxy   bool
	Series  int
	Times   string

	Inventory bool   // it reports facts instead of points
	Endless   bool   // it waits for what others say: even --once ends only when it is told to
	Command   string // how a person starts it, for help texts; empty: Program

	alone   func(settings []byte) error // of a Loner
	check   func(settings []byte) error // whether New would get a config
	build   func(ctx context.Context, settings []byte, env Env) (any, error)
	run     func(ctx context.Context, s *Session, settings []byte) error // New, the loop, Close
	example func() (settings []byte)                                     // the defaults, for documentation
}

// Define returns the definition of a program of a kind. loop is what the kind does with a P: it ends when its ctx does, or
// with the error that made it give up. A spec that cannot work (a config that is no struct, defaults that do not fit the
// schema) panics when its schema is asked for: the first test of the program meets it.
func Define[C, P any](kind Kind, spec Spec[C, P], loop func(ctx context.Context, s *Session, p P) error) Definition {
	settings := newSettings(spec.Config, spec.Enum)
	return Definition{
		Kind: kind, Program: spec.Program, Summary: spec.Summary, Version: spec.Version, Schema: settings.schema,
		Catalog: spec.Catalog, Routes: spec.Routes, Proxy: spec.Proxy, Series: spec.Series, Times: spec.Times,
		alone: func(text []byte) error {
			if _, ok := any(spec.Config).(Loner); !ok {
				return nil
			}
			cfg, err := settings.read(text)
			if err != nil {
				return nil
			}
			return any(cfg).(Loner).Alone()
		},
		check: func(text []byte) error {
			_, err := settings.read(text)
			return err
		},
		build: func(ctx context.Context, text []byte, env Env) (any, error) {
			cfg, err := settings.read(text)
			if err != nil {
				return nil, Permanent(err)
			}
			return spec.New(ctx, cfg, env)
		},
		run: func(ctx context.Context, s *Session, text []byte) error {
			cfg, err := settings.read(text)
			if err != nil {
				return Permanent(err)
			}
			s.patience = spec.Timeout
			return s.live(ctx, func(ctx context.Context) (any, error) { return spec.New(ctx, cfg, s.Env) },
				func(ctx context.Context, p any) error { return loop(ctx, s, p.(P)) })
		},
		example: settings.defaults,
	}
}

// Defaults returns the default settings as a JSON object.
func (d Definition) Defaults() json.RawMessage { return d.example() }

// Check reports whether settings, a JSON object, are a config of the program.
func (d Definition) Check(settings []byte) error { return d.check(settings) }

// Alone returns why only one process can have settings, a JSON object; nil: any number can, or they are at fault.
func (d Definition) Alone(settings []byte) error { return d.alone(settings) }

// Build makes the work of the program, for a program that is made of others.
func (d Definition) Build(ctx context.Context, settings []byte, env Env) (any, error) {
	return d.build(ctx, settings, env)
}

// Manifest returns what the program tells the agent about itself.
func (d Definition) Manifest() *telemetry.Manifest {
	return &telemetry.Manifest{
		Kind: string(d.Kind), Program: d.Program, Version: d.Version, API: API, Summary: d.Summary,
		Schema: d.Schema(), Catalog: d.Catalog, Routes: d.Routes, Proxy: d.Proxy, Live: true,
	}
}
