// Package filter keeps the points that a condition holds for.
package filter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/telemetry"
)

// Config is what an operator may set.
type Config struct {
	Keep       string   `json:"keep" jsonschema:"condition of the points that go on, as fields.usage > 90; the others are dropped"`
	Drop       string   `json:"drop" jsonschema:"condition of the points that are dropped, instead of keep"`
	Series     []string `json:"series" jsonschema:"globs of the series that go on; the others are dropped"`
	SeriesDrop []string `json:"series_drop" jsonschema:"globs of series that are dropped, also where series has them"`
}

// Define describes the filter.
func Define() plugin.Definition {
	return processor.Define(processor.Spec[Config]{
		Program: "filter",
		Summary: "Keeps or drops points by series, tags, fields and time.",
		Config:  Config{Series: []string{"*"}, SeriesDrop: []string{}},
		New:     New,
	})
}

// Validate reports every fault of the settings.
func (c Config) Validate() error {
	var faults []error
	if c.Keep != "" && c.Drop != "" {
		faults = append(faults, errors.New("keep and drop: give one of them, as keep: (what to keep) and not (what to drop)"))
	}
	if c.Keep == "" && c.Drop == "" && len(c.Series) == 0 && len(c.SeriesDrop) == 0 {
		faults = append(faults, errors.New("nothing to filter by: give keep, drop, series or series_drop"))
	}
	for _, setting := range []struct{ key, text string }{{"keep", c.Keep}, {"drop", c.Drop}} {
		if setting.text == "" {
			continue
		}
		if _, err := compile(setting.text, &scan{}); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", setting.key, err))
		}
	}
	for _, setting := range []struct {
		key   string
		globs []string
	}{{"series", c.Series}, {"series_drop", c.SeriesDrop}} {
		for _, g := range setting.globs {
			if _, err := path.Match(g, ""); err != nil || g == "" {
				faults = append(faults, fmt.Errorf("%s: pattern %q cannot be read: write a name, with * for any text", setting.key, g))
			}
		}
	}
	return errors.Join(faults...)
}

// filter is the processor.
type filter struct {
	log        *slog.Logger
	keep, drop []string // globs of series
	condition  condition
	scan       scan

	failed   int // conditions that could not be computed, since they were last reported
	reported time.Time
}

// New returns a processor that keeps what cfg says.
func New(_ context.Context, cfg Config, env plugin.Env) (processor.Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, plugin.Permanent(err)
	}
	f := &filter{log: env.Log, keep: cfg.Series, drop: cfg.SeriesDrop, condition: constant(true)}
	if len(f.keep) == 0 {
		f.keep = []string{"*"}
	}
	text := cfg.Keep + cfg.Drop
	if text == "" {
		return f, nil
	}
	c, err := compile(text, &f.scan)
	if err != nil {
		return nil, plugin.Permanent(err)
	}
	f.condition = c
	if cfg.Drop != "" {
		f.condition = not{c}
	}
	return f, nil
}

// Process hands on the points that are kept.
func (f *filter) Process(ctx context.Context, in, out *telemetry.Batch) error {
	f.scan.now = time.Now()
	for g := range in.Groups() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if f.wants(g.Series) && f.scan.keep(f.condition, g) {
			out.Take(g)
		}
	}
	f.report()
	return nil
}

// wants reports whether the globs let a series through.
func (f *filter) wants(series string) bool {
	fits := func(glob string) bool {
		ok, _ := path.Match(glob, series) // Validate has tried the pattern
		return glob == "*" || ok
	}
	return slices.ContainsFunc(f.keep, fits) && !slices.ContainsFunc(f.drop, fits)
}

// reportEvery is how often points are reported for which a condition could not be computed.
const reportEvery = time.Minute

// report logs how many conditions could not be computed: at once for the first, later once a minute.
func (f *filter) report() {
	f.failed += f.scan.failed
	reason := f.scan.failure
	f.scan.failed, f.scan.failure = 0, nil
	if reason == nil || f.scan.now.Sub(f.reported) < reportEvery {
		return
	}
	f.log.Warn("condition counted as false where it could not be computed", "times", f.failed, "reason", reason)
	f.failed, f.reported = 0, f.scan.now
}
