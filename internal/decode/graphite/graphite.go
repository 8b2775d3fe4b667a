// Package graphite reads the plaintext protocol of Graphite: a path, a value and a time on each line.
package graphite

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say what a path stands for.
type Options struct {
	// Templates take paths apart: "[FILTER] TEMPLATE [TAG=VALUE,...]". A filter is a path whose nodes may be patterns, and holds for
	// longer paths too; of several that match the most exact counts. The nodes of a template say what a node of the path is: series,
	// field, the name of a tag, or nothing if it is left out; series* and field* take all that is left.
	Templates []string
	// Separator stands between nodes that make one name ("_").
	Separator string
}

// valueField is the field of a path that names none.
const valueField = "value"

// A Decoder reads lines by its templates. Without one that matches, a path is the name of a series.
type Decoder struct {
	templates []template
	separator string
}

// New returns a decoder of paths as o says.
func New(o Options) (*Decoder, error) {
	d := &Decoder{separator: cmp.Or(o.Separator, "_")}
	for _, text := range o.Templates {
		t, err := parseTemplate(text)
		if err != nil {
			return nil, err
		}
		d.templates = append(d.templates, t)
	}
	slices.SortStableFunc(d.templates, func(a, b template) int { return cmp.Compare(b.exact(), a.exact()) })
	return d, nil
}

// Decode adds the points of text to b. at is the time of lines that have none, or -1.
func (d *Decoder) Decode(b *telemetry.Batch, text []byte, at time.Time) (r report.Report) {
	for n, words := range r.Words(text) {
		d.line(b, &r, n, words, at)
	}
	return r
}

// line adds the point of a line.
func (d *Decoder) line(b *telemetry.Batch, r *report.Report, n int, words []string, at time.Time) {
	if len(words) < 2 || len(words) > 3 {
		r.Refuse(report.Syntax, n, "want a path, a value and a time, and there are %d words", len(words))
		return
	}
	value, ok := Number(words[1])
	if !ok {
		r.Refuse(report.Syntax, n, "value %.40q: want a number", words[1])
		return
	}
	if len(words) == 3 && words[2] != "-1" && words[2] != "-1.0" {
		t, reason := report.Seconds(words[2])
		if reason != "" {
			r.Refuse(reason, n, "time %.40q: want seconds since 1970, or -1 for now", words[2])
			return
		}
		at = t
	}
	p, fault := d.point(words[0])
	if fault != "" {
		r.Refuse(report.Syntax, n, "path %.100q: %s", words[0], fault)
		return
	}
	r.AppendOne(b, n, telemetry.Point{Series: p.series, Tags: p.tags, Time: at}, cmp.Or(p.field, valueField), value)
}

// Number reads a decimal number; NaN and infinities are some, too.
func Number(text string) (float64, bool) {
	f, err := strconv.ParseFloat(text, 64)
	// A number too large for 64 bits is an infinity, and an error.
	return f, (err == nil || f != 0) && !strings.ContainsAny(text, "xXpP_")
}

// A path is what one stands for.
type path struct {
	series, field string
	tags          telemetry.Tags
}

// point takes a path apart; fault says what is wrong with it.
func (d *Decoder) point(text string) (p path, fault string) {
	name, list, tagged := strings.Cut(text, ";")
	nodes := strings.Split(name, ".")
	p = path{series: name, tags: telemetry.Tags{}}
	for _, t := range d.templates {
		if t.matches(nodes) {
			p = t.apply(nodes, d.separator)
			break
		}
	}
	if name == "" || p.series == "" {
		return p, "nothing of it is the series"
	}
	if !tagged {
		return p, ""
	}
	for pair := range strings.SplitSeq(list, ";") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return p, "want tags as ;name=value"
		}
		p.tags[key] = value
	}
	return p, ""
}
