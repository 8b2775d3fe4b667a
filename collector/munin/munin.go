// Package munin runs Munin plugins, and reads points from what they print.
package munin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/collector"
	decode "github.com/pacewire/pacewire/internal/decode/munin"
	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Define describes the munin collector.
func Define() plugin.Definition {
	return collector.Define(collector.Spec[Config]{
		Program: "munin",
		Summary: "Points of Munin plugins, which run as they are.",
		Config:  defaults(),
		Catalog: catalog(),
		Proxy:   true, // a plugin may be about a switch or a printer
		New:     New,
	})
}

// catalog describes what is the same of all plugins: what a series of one has is what that plugin has.
func catalog() []telemetry.Desc {
	return []telemetry.Desc{{
		Series: nagios.StateSeries, Help: "Whether a plugin has run well, and whether a field of it is within its limits.",
		Tags: map[string]string{"check": "<plugin>, or <graph>.<field>"},
		Fields: map[string]string{
			"state": "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN", "text": "the value and the limit, or what failed", "reason": "why it is UNKNOWN",
			"exit_code": "of a plugin", "stderr": "of a plugin, last 4 KiB", "duration_ms": "ms", "timed_out": "bool",
		},
		Types: map[string]string{"state": "i", "text": "s", "reason": "s", "exit_code": "i", "stderr": "s", "timed_out": "b"},
	}}
}

// exitCode is the reason of a plugin that says by its exit code that it has failed.
const exitCode = nagios.ExitCode

// A node runs plugins, as munin-node does.
type node struct {
	cfg     Config
	env     plugin.Env
	crew    *crew
	plugins map[string]*known
}

// known is what is remembered of a plugin.
type known struct {
	decoder *decode.Plugin
	last    time.Time // when it was due last
	busy    bool      // it is at work since then
	said    string    // the last thing that was told of what it prints
}

// New returns a collector that runs the plugins of cfg.
func New(life context.Context, cfg Config, env plugin.Env) (collector.Collector, error) {
	return &node{cfg: cfg, env: env, crew: newCrew(life, cmp.Or(cfg.AtOnce, 2*runtime.NumCPU())), plugins: map[string]*known{}}, nil
}

// Collect runs the plugins that are due, and waits for them for half of an interval: what a plugin says that takes longer comes with the
// next tick. Where there is no next one it waits for all. Runs that the end of this plugin interrupts are as if they had not been.
func (n *node) Collect(ctx context.Context, out *telemetry.Batch) error {
	life, patience := ctx, context.WithoutCancel(ctx)
	if n.env.Every > 0 {
		var cancel context.CancelFunc
		life = n.crew.life
		patience, cancel = context.WithTimeout(ctx, n.env.Every/2)
		defer cancel()
	}
	errands, err := n.errands(out.Time())
	for _, e := range errands {
		n.crew.send(life, e)
	}
	ended := n.crew.await(patience)
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	slices.SortFunc(ended, func(a, b *errand) int { return cmp.Compare(a.name, b.name) })
	faults := []error{err}
	for _, e := range ended {
		faults = append(faults, n.take(e, out))
	}
	return errors.Join(faults...)
}

// Close ends what is at work.
func (n *node) Close() error {
	n.crew.end()
	return nil
}

// errands returns the runs that are due at a time. What is installed may be another thing each time.
func (n *node) errands(at time.Time) (list []*errand, err error) {
	paths, err := find(n.cfg)
	if len(paths) == 0 && err == nil {
		err = fmt.Errorf("there is no plugin: %w", plugin.ErrNoData)
	}
	conf, fault := readSections(n.cfg.Conf)
	faults := []error{err, fault}
	now := map[string]*known{}
	for _, path := range paths {
		name := filepath.Base(path)
		s := conf.of(name)
		k := n.plugins[name]
		if k == nil {
			k = &known{decoder: decode.New(decode.Options{Plugin: name, Rates: n.cfg.Rates})}
		}
		now[name] = k
		switch {
		case at.Sub(k.last) < s.interval-time.Second/2: // ticks come a little early or late
		case k.busy:
			faults = append(faults, fmt.Errorf("%s: not run, as it is still at work", name))
		default:
			k.last, k.busy = at, true
			list = append(list, &errand{job: newJob(n.cfg, n.env, path, s), known: k, at: at})
		}
	}
	n.plugins = now
	return list, errors.Join(faults...)
}

// take adds the points of a run, and its state, whose time is the end of it.
func (n *node) take(e *errand, out *telemetry.Batch) error {
	r := &e.result
	e.busy = false
	out.Append(telemetry.Point{Series: nagios.StateSeries, Time: r.ended, Tags: telemetry.Tags{"check": e.name}, Fields: r.fields()})
	if r.err != nil {
		return r.err
	}
	if e.section.host != "" {
		r.output.SetHost(e.section.host)
	}
	got := report.Bounded(out, report.MaxShapes, func() report.Report { return e.decoder.AppendTo(out, &r.output, e.at) })
	got.Into(out.Drops())
	e.tell(n.env.Log, e.name, got.First)
	return nil
}

// fields say whether a plugin has run well.
func (r *result) fields() telemetry.Fields {
	f := telemetry.Fields{"state": int(nagios.OK), "duration_ms": float64(r.ended.Sub(r.began).Microseconds()) / 1000, "timed_out": r.Late}
	if r.Exit.Code >= 0 {
		f["exit_code"] = r.Exit.Code
	}
	if r.err != nil {
		f["state"], f["reason"], f["text"] = int(nagios.Unknown), r.reason, r.err.Error()
	}
	if text := strings.TrimSpace(string(r.Stderr)); text != "" {
		f["stderr"] = text
	}
	return f
}

// tell logs what was left out of what a plugin prints, unless the same was said last.
func (k *known) tell(log *slog.Logger, name string, err error) {
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != "" && said != k.said {
		log.Warn("part of what a Munin plugin prints is left out", "munin_plugin", name, "error", err)
	}
	k.said = said
}
