// Package exec runs a command at each interval and reads points from what it prints.
package exec

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Define describes the exec collector.
func Define() plugin.Definition {
	return collector.Define(collector.Spec[Config]{
		Program: "exec",
		Summary: "Points of any command that is run at each interval, in many formats.",
		Config:  Defaults(),
		Catalog: nagios.Catalog(),
		Enum:    decode.Enum(decode.Formats()),
		Proxy:   true, // a command may be about a switch or a printer
		Timeout: 30 * time.Second,
		New:     New,
	})
}

// Defaults returns the config of an operator who says nothing.
func Defaults() Config {
	return Config{Settings: decode.DefaultSettings("influx"), Command: plugin.Strings{}, Environment: map[string]string{}}
}

// An executor runs a command and reads what it prints.
type executor struct {
	cfg     Config
	name    string
	host    string
	log     *slog.Logger
	environ []string
	reader  reader
	said    map[string]string // what was told last of what a command prints
}

// New returns a collector that runs the command of cfg.
func New(_ context.Context, cfg Config, env plugin.Env) (collector.Collector, error) {
	if len(cfg.Command) == 0 {
		return nil, fmt.Errorf("command is empty: name a program and its arguments, such as [/usr/local/bin/load, --all]: %w", plugin.ErrNoData)
	}
	return newExecutor(cfg, env)
}

func newExecutor(cfg Config, env plugin.Env) (*executor, error) {
	environ, err := child.EnvironOf(os.Environ(), cfg.User, cfg.Variables(env.Host, env.Every, cfg.Environment))
	return &executor{
		cfg: cfg, name: env.Name, host: env.Host, log: env.Log, environ: environ, said: map[string]string{},
		reader: reader{settings: cfg.Settings, plugin: env.Name, decoders: map[string]decode.Decoder{}},
	}, err
}

// Collect runs the command once. A run that the plugin's end interrupts is as if it had not been.
func (e *executor) Collect(ctx context.Context, out *telemetry.Batch) error {
	runs, err := e.run(ctx)
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	faults := []error{err}
	for _, r := range runs {
		faults = append(faults, e.take(ctx, r, out))
	}
	return errors.Join(faults...)
}

// take reads what a run has left.
func (e *executor) take(ctx context.Context, r run, out *telemetry.Batch) error {
	format := e.cfg.formatOf(r)
	if isCheck(format) || e.cfg.State {
		e.tellState(r, format, out)
	}
	if isCheck(format) {
		return nil // its exit code is what it says
	}
	if err := r.failure(ctx); err != nil && (r.Reason() != "" || !e.cfg.IgnoreError && !e.cfg.State) {
		return err
	}
	got, err := e.reader.read(r.Result, format, out)
	if err != nil {
		return err
	}
	got.Into(out.Drops())
	if got.Points == 0 && got.First != nil {
		return fmt.Errorf("%s: no point can be read from what it prints, as %s: %w", r.name(), format, got.First)
	}
	e.tell(r.name(), got.First)
	if r.Cut {
		return fmt.Errorf("%s: it prints more than %d MiB, of which only the first are read", r.name(), maxOutput>>20)
	}
	return nil
}

// tellState adds what a run says as a check. Its time is the end of the run.
func (e *executor) tellState(r run, format string, out *telemetry.Batch) {
	tick := out.Time()
	out.At(r.ended())
	e.cfg.check(r, format).AppendTo(out, e.cfg.checkName(r, e.name), nagios.Options{}, nil)
	out.At(tick)
}

// tell logs what was left out of what a command prints, unless the same was said last.
func (e *executor) tell(name string, err error) {
	if err == nil {
		delete(e.said, name)
		return
	}
	if e.said[name] != err.Error() {
		e.log.Warn("part of what a command prints is left out", "command", name, "error", err)
	}
	e.said[name] = err.Error()
}
