// Package munin reads what Munin plugins print of their graphs and values.
package munin

import (
	"cmp"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// Reasons for leaving something out that only this format has.
const (
	BadValue   = "bad_value"    // no number where a value or a time should be
	BadLimit   = "bad_limit"    // no number, or no range, where a limit should be; the value stays
	OutOfRange = "out_of_range" // a value that its plugin says is impossible
)

// Options say how what a plugin prints becomes points.
type Options struct {
	// Plugin is its name: the series is munin_<plugin>, and its graph is called so where it names none. Empty: munin is both.
	Plugin string
	// Rates makes counters what they grow by in a second, as they are in Munin's graphs.
	Rates bool
}

func (o Options) series() string {
	if o.Plugin == "" {
		return "munin"
	}
	return "munin_" + o.Plugin
}

// Variables are what a plugin is told of who runs it, besides where its state is: that several graphs are understood, and values along
// with the config. Plugins that have such things print nothing otherwise.
func Variables(libDir string) map[string]string {
	return map[string]string{
		"MUNIN_CAP_MULTIGRAPH": "1", "MUNIN_CAP_DIRTYCONFIG": "1", "MUNIN_DEBUG": "0", "MUNIN_MASTER_IP": "-", "MUNIN_LIBDIR": libDir,
	}
}

// LibDir is where Debian's plugins have what they share.
const LibDir = "/usr/share/munin"

// A Plugin makes points of what the runs of one Munin plugin print. It remembers its counters from one run to the next. It is for
// one goroutine.
type Plugin struct {
	options Options
	last    map[id]reading
}

// An id names a field among all of a plugin.
type id struct{ graph, field string }

// New returns the decoder of a plugin.
func New(o Options) *Plugin { return &Plugin{options: o} }

// Decode adds the points of a text that has all of a run: config, values, or both.
func (p *Plugin) Decode(b *telemetry.Batch, text []byte, at time.Time) report.Report {
	var o Output
	o.Read(text)
	return p.AppendTo(b, &o, at)
}

// AppendTo adds the points of a run to b: one of each graph and time, and one of series check_state of each field that has limits.
// at is the time of values that have none.
func (p *Plugin) AppendTo(b *telemetry.Batch, o *Output, at time.Time) report.Report {
	if at.IsZero() {
		at = b.Time() // counters need one
	}
	w := writer{b: b, report: o.report, options: p.options, tags: telemetry.Tags{}, last: p.last, next: map[id]reading{}, at: at, judge: o.values}
	if o.host != "" && o.host != "localhost" {
		w.tags["host"] = o.host
	}
	for _, g := range o.graphs {
		w.graph(cmp.Or(g.name, p.options.Plugin, "munin"), g)
	}
	p.last = w.next
	return w.report
}
