// Package decode reads as points what programs print.
package decode

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode/collectd"
	"github.com/pacewire/pacewire/internal/decode/graphite"
	"github.com/pacewire/pacewire/internal/decode/jsontext"
	"github.com/pacewire/pacewire/internal/decode/munin"
	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/internal/decode/prometheus"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// A Decoder adds the points of a text to b. What is bad in the text costs itself only, and is counted in the
// report, not in b: see report.Into. at is the time of points that have none. The strings of b may look into text, which is not to
// be changed while b is in use.
type Decoder interface {
	Decode(b *telemetry.Batch, text []byte, at time.Time) report.Report
}

// Options say how a text is read. Those that have the name of a format are for it alone.
type Options struct {
	Precision time.Duration // influx: the unit of the times, 1ns by default
	Series    string        // json: of points that do not say theirs
	JSON      jsontext.Options
	Graphite  graphite.Options
	Nagios    nagios.Options
	Munin     munin.Options
	Collectd  collectd.Options
}

// An entry is one format.
type entry struct {
	name  string
	lined bool // see Lined
	make  func(Options) (Decoder, error)
}

// formats are what New takes. A format is a package below this one, with what is its own in Options.
func formats() []entry {
	return []entry{
		{"influx", true, func(o Options) (Decoder, error) { return newInflux(o), nil }},
		{"json", true, func(o Options) (Decoder, error) {
			o.JSON.Series = cmp.Or(o.JSON.Series, o.Series)
			return jsontext.New(o.JSON)
		}},
		{"graphite", true, func(o Options) (Decoder, error) { return graphite.New(o.Graphite) }},
		{"opentsdb", true, func(Options) (Decoder, error) { return Func(opentsdb), nil }},
		{"nagios", false, func(o Options) (Decoder, error) {
			return Func(func(b *telemetry.Batch, text []byte, at time.Time) report.Report {
				return nagios.Decode(b, text, at, o.Nagios)
			}), nil
		}},
		{"munin", false, func(o Options) (Decoder, error) { return munin.New(o.Munin), nil }},
		{"prometheus", true, func(Options) (Decoder, error) { return &prometheus.Decoder{}, nil }},
		{"openmetrics", false, func(Options) (Decoder, error) {
			return &prometheus.Decoder{Options: prometheus.Options{OpenMetrics: true}}, nil
		}},
		{"collectd", true, func(o Options) (Decoder, error) {
			return Func(func(b *telemetry.Batch, text []byte, at time.Time) report.Report {
				return collectd.Decode(b, text, at, o.Collectd)
			}), nil
		}},
		{"auto", false, func(o Options) (Decoder, error) { return &auto{options: o}, nil }},
	}
}

// sensuNames are what Sensu calls formats.
var sensuNames = map[string]string{
	"nagios_perfdata": "nagios", "graphite_plaintext": "graphite", "influxdb_line": "influx", "opentsdb_line": "opentsdb", "prometheus_text": "prometheus",
}

// Canonical returns our name of a format that Sensu calls otherwise.
func Canonical(format string) string { return cmp.Or(sensuNames[format], format) }

// New returns the decoder of a format, which may have Sensu's name.
func New(format string, o Options) (Decoder, error) {
	format = Canonical(format)
	for _, f := range formats() {
		if f.name == format {
			d, err := f.make(o)
			return bounded{d, report.MaxShapes}, err
		}
	}
	return nil, fmt.Errorf("unknown format %q: want %s", format, strings.Join(Formats(), ", "))
}

// Formats returns the names of all formats.
func Formats() []string {
	var names []string
	for _, f := range formats() {
		names = append(names, f.name)
	}
	return names
}

// Lined reports whether a point of this format ends with its line, so that the format fits programs that go on running.
func Lined(format string) bool {
	format = Canonical(format)
	return slices.ContainsFunc(formats(), func(f entry) bool { return f.name == format && f.lined })
}

// bounded is a decoder of texts whose points may not have ever new shapes.
type bounded struct {
	Decoder
	shapes int // that are taken
}

// Decode decodes as the decoder does, without the points that are too many.
func (d bounded) Decode(b *telemetry.Batch, text []byte, at time.Time) report.Report {
	return report.Bounded(b, d.shapes, func() report.Report { return d.Decoder.Decode(b, text, at) })
}

// A Func is a decoder that needs no memory of its own.
type Func func(b *telemetry.Batch, text []byte, at time.Time) report.Report

// Decode calls f.
func (f Func) Decode(b *telemetry.Batch, text []byte, at time.Time) report.Report {
	return f(b, text, at)
}
