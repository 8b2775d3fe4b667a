// Package tag changes the tags of points and the names of fields and series.
package tag

import (
	"context"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/telemetry"
)

// Define describes the tag processor.
func Define() plugin.Definition {
	return processor.Define(processor.Spec[Config]{
		Program: "tag",
		Summary: "Adds, drops and renames tags, fields and series.",
		Config:  defaults(),
		New:     New,
	})
}

// tag is the processor. All it does costs per group, not per point.
type tag struct {
	series       []string
	prefix       string
	seriesRename map[string]string
	tags, fields selection
	tagNames     []step
	fieldNames   []step
	add, fill    []telemetry.Tag

	names map[string]string // what a series is called afterwards, "" for one that is left alone; bounded
	keys  []string
}

// maxNames is how many series are remembered before all are forgotten: matching globs again costs little.
const maxNames = 4096

// New returns a processor that changes points as cfg says.
func New(_ context.Context, cfg Config, _ plugin.Env) (processor.Processor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, plugin.Permanent(err)
	}
	return &tag{
		series: cfg.Series, prefix: cfg.SeriesPrefix, seriesRename: cfg.SeriesRename,
		tags:     selection{cfg.Keep, cfg.Drop},
		fields:   selection{cfg.FieldsKeep, cfg.FieldsDrop},
		tagNames: steps(cfg.Rename), fieldNames: steps(cfg.FieldsRename),
		add: sorted(cfg.Add), fill: sorted(cfg.Default),
		names: map[string]string{},
	}, nil
}

// Process changes the groups of the series it is for and hands on all of them.
func (t *tag) Process(_ context.Context, in, out *telemetry.Batch) error {
	for g := range in.Groups() {
		if name := t.name(g.Series); name != "" {
			t.change(g)
			g.Series = name
		}
		out.Take(g)
	}
	return nil
}

// change does the work in the order that the README promises.
func (t *tag) change(g *telemetry.Group) {
	t.dropTags(g)
	for _, s := range t.tagNames {
		g.RenameTag(s.from, s.to)
	}
	for _, add := range t.add {
		g.SetTag(add.Key, add.Value)
	}
	for _, fill := range t.fill {
		g.DefaultTag(fill.Key, fill.Value)
	}
	t.dropFields(g)
	for _, s := range t.fieldNames {
		g.RenameField(s.from, s.to)
	}
}

func (t *tag) dropTags(g *telemetry.Group) {
	if t.tags.everything() {
		return
	}
	t.keys = g.TagKeys(t.keys[:0])
	for _, key := range t.keys {
		if !t.tags.has(key) {
			g.DropTag(key)
		}
	}
	clear(t.keys) // they look into the message
}

func (t *tag) dropFields(g *telemetry.Group) {
	if t.fields.everything() {
		return
	}
	t.keys = t.keys[:0]
	columns := g.FieldColumns()
	for i := range columns {
		t.keys = append(t.keys, columns[i].Name)
	}
	for _, name := range t.keys {
		if !t.fields.has(name) {
			g.DropField(name)
		}
	}
	clear(t.keys)
}

// name returns what a series is called afterwards, "" when its points are left alone.
func (t *tag) name(series string) string {
	name, known := t.names[series]
	if known {
		return name
	}
	if len(t.series) == 0 || matches(t.series, series) {
		name = t.renamed(series)
	}
	if len(t.names) >= maxNames {
		clear(t.names)
	}
	t.names[strings.Clone(series)] = name
	return name
}

func (t *tag) renamed(series string) string {
	name, ok := t.seriesRename[series]
	if !ok {
		name = strings.Clone(series)
	}
	name = t.prefix + name
	if len(name) <= telemetry.MaxName {
		return name
	}
	end := telemetry.MaxName
	for !utf8.RuneStart(name[end]) {
		end--
	}
	return name[:end]
}

// A selection says which names stay.
type selection struct{ keep, drop []string } // globs; no keep: all

// everything reports whether every name stays.
func (s selection) everything() bool { return len(s.keep) == 0 && len(s.drop) == 0 }

func (s selection) has(name string) bool {
	return (len(s.keep) == 0 || matches(s.keep, name)) && !matches(s.drop, name)
}

// matches reports whether one of globs is that of name.
func matches(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool {
		ok, _ := path.Match(glob, name) // Validate has tried the pattern
		return ok
	})
}
