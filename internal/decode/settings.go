package decode

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode/collectd"
	"github.com/pacewire/pacewire/internal/decode/graphite"
	"github.com/pacewire/pacewire/internal/decode/jsontext"
	"github.com/pacewire/pacewire/internal/decode/munin"
)

// Settings say in a config how what a program prints is read. A plugin that runs programs embeds them.
type Settings struct {
	Format    string           `json:"format" jsonschema:"what the text is written in"`
	Series    string           `json:"series" jsonschema:"format json: the series of points that do not say theirs; by default the name of the plugin"`
	Precision string           `json:"precision" jsonschema:"format influx: the unit of the times"`
	JSON      jsontext.Options `json:"json" jsonschema:"format json: what in objects that are no points of ours is what"`
	Templates []string         `json:"templates" jsonschema:"format graphite: what the nodes of a path are, as [FILTER] TEMPLATE [TAG=VALUE,...], such as servers.* .host.series.field*"`
	Separator string           `json:"separator" jsonschema:"format graphite: what stands between nodes that make one name"`
	TypesDB   []string         `json:"types_db" jsonschema:"format collectd: files that name the values of types, such as /usr/share/collectd/types.db; of types in none of them values are value, or value0, value1 ..."`
}

// DefaultSettings returns the settings of an operator who says nothing but the format.
func DefaultSettings(format string) Settings {
	return Settings{Format: format, Precision: "ns", Templates: []string{}, Separator: "_", TypesDB: []string{}, JSON: jsontext.Options{TagKeys: []string{}, FieldKeys: []string{}}}
}

// Enum returns the values of settings that have few; formats are those that the plugin can do with.
func Enum(formats []string) map[string][]any {
	return map[string][]any{"format": anys(withSensuNames(formats)), "precision": anys(precisions)}
}

// withSensuNames adds to formats what Sensu calls them.
func withSensuNames(formats []string) []string {
	all := slices.Clone(formats)
	for _, name := range slices.Sorted(maps.Keys(sensuNames)) {
		if slices.Contains(formats, sensuNames[name]) {
			all = append(all, name)
		}
	}
	return all
}

func anys(list []string) (all []any) {
	for _, s := range list {
		all = append(all, s)
	}
	return all
}

// precisions are the names of units.
var precisions = []string{"ns", "us", "ms", "s"}

// Check reports what is wrong with s; formats are those that the plugin can do with.
func (s Settings) Check(formats []string) error {
	var faults []error
	if !slices.Contains(formats, Canonical(s.Format)) {
		faults = append(faults, fmt.Errorf("format %q: want %s", s.Format, strings.Join(formats, ", ")))
	}
	if !slices.Contains(precisions, s.Precision) {
		faults = append(faults, fmt.Errorf("precision %q: want %s", s.Precision, strings.Join(precisions, ", ")))
	}
	if _, err := jsontext.New(s.JSON); err != nil {
		faults = append(faults, fmt.Errorf("json: %w", err))
	}
	if _, err := graphite.New(s.options("").Graphite); err != nil {
		faults = append(faults, fmt.Errorf("templates: %w", err))
	}
	return errors.Join(append(faults, s.checkUse())...)
}

// checkUse reports settings of another format than the one that is set: whoever sets them has forgotten to say so.
func (s Settings) checkUse() error {
	var faults []error
	only := func(name, format string, set bool) {
		if got := Canonical(s.Format); set && got != format && got != "auto" {
			faults = append(faults, fmt.Errorf("%s: is for format %s alone, and format is %s: set format: %s, or remove %s", name, format, s.Format, format, name))
		}
	}
	only("templates", "graphite", len(s.Templates) > 0)
	only("types_db", "collectd", len(s.TypesDB) > 0)
	only("series", "json", s.Series != "")
	return errors.Join(faults...)
}

// Decoder returns a decoder of a format as s says; plugin is the name of the plugin.
func (s Settings) Decoder(format, plugin string) (Decoder, error) {
	o, err := s.Options(plugin)
	if err != nil {
		return nil, err
	}
	return New(format, o)
}

// Options returns what New makes decoders by; plugin is the name of the plugin. It reads the files of types_db.
func (s Settings) Options(plugin string) (o Options, err error) {
	o = s.options(plugin)
	o.Collectd.Types, err = collectd.ReadTypes(s.TypesDB...)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return o, fmt.Errorf("types_db: %w: name a file that is there, or remove types_db", err)
	case err != nil:
		return o, fmt.Errorf("types_db: %w", err)
	}
	return o, nil
}

// Variables returns the environment of a program besides what its operator has named, own, which counts: what those that print the
// format expect to be told.
func (s Settings) Variables(host string, every time.Duration, own map[string]string) map[string]string {
	all := map[string]string{}
	if s.Format == "collectd" || s.Format == "auto" {
		maps.Copy(all, collectd.Variables(host, every))
	}
	if s.Format == "munin" {
		maps.Copy(all, munin.Variables(munin.LibDir))
	}
	maps.Copy(all, own)
	return all
}

func (s Settings) options(plugin string) Options {
	o := Options{Series: s.Series, JSON: s.JSON, Graphite: graphite.Options{Templates: s.Templates, Separator: s.Separator}}
	if o.Series == "" {
		o.Series = plugin
	}
	o.Munin.Plugin, o.Collectd.Plugin = plugin, plugin
	o.Precision, _ = time.ParseDuration("1" + s.Precision)
	return o
}
