package munin

import (
	"maps"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// A writer adds the points of one run to a batch.
type writer struct {
	b          *telemetry.Batch
	report     report.Report
	options    Options
	tags       telemetry.Tags // of all points
	last, next map[id]reading // the counters, as they were and as they are
	at         time.Time
	judge      bool // there are values, so that one that is missing is missed
}

// A moment is what the values of one time become.
type moment struct {
	at     time.Time
	line   int // of the first of them
	fields telemetry.Fields
}

// A sample is a value that has been read.
type sample struct {
	at    time.Time
	kept  any     // as it is in its point; nil: it is in none
	level float64 // what limits are about: a gauge as it is, of a counter what it grows by in a second
	known bool    // there is a level: there is none of a counter that is read for the first time
}

// graph adds a graph: the states of its fields, and a point of each time, in the order in which they are printed.
func (w *writer) graph(name string, g *graph) {
	var moments []*moment
	at := map[time.Time]*moment{}
	for _, f := range g.fields {
		k := id{name, f.name}
		if last, ok := w.last[k]; ok {
			w.next[k] = last
		}
		var newest *sample
		for _, v := range f.values {
			if newest = w.sample(k, f, v); newest == nil || newest.kept == nil {
				continue
			}
			m := at[newest.at]
			if m == nil {
				m = &moment{newest.at, v.line, telemetry.Fields{}}
				moments, at[newest.at] = append(moments, m), m
			}
			m.fields[f.name] = newest.kept
		}
		w.state(name, f, newest)
	}
	for _, m := range moments {
		w.points(name, m)
	}
}

// points adds the values of one time: as several points when they are more than one may have.
func (w *writer) points(graph string, m *moment) {
	tags := maps.Clone(w.tags)
	tags["graph"] = graph
	part := telemetry.Fields{}
	flush := func() {
		w.report.Append(w.b, m.line, telemetry.Point{Series: w.options.series(), Time: m.at, Tags: tags, Fields: part})
		part = telemetry.Fields{}
	}
	for name, v := range m.fields {
		if part[name] = v; len(part) == telemetry.MaxFields {
			flush()
		}
	}
	if len(part) > 0 {
		flush()
	}
}

// sample reads a value; nil: there is none.
func (w *writer) sample(k id, f *field, v value) *sample {
	if v.text == unknown {
		return nil
	}
	s := sample{at: w.at}
	if v.epoch != "" {
		var reason string
		if s.at, reason = report.Seconds(v.epoch); reason != "" {
			w.report.Refuse(reason, v.line, "%s: time %.40q: want seconds since 1970, in the years 1678 to 2261", f.name, v.epoch)
			return nil
		}
	}
	n := w.number(f, v)
	if n == nil {
		return nil
	}
	if s.kept = n; f.kind == gauge {
		s.level, s.known = n.(float64), true
	} else {
		s.level, s.known = w.grow(k, reading{s.at, f.kind, n})
	}
	return w.possible(f, v, s)
}

// possible applies the bounds of a field, and the option of rates. RRDtool bounds what a counter grows by, not what it shows.
func (w *writer) possible(f *field, v value, s sample) *sample {
	bounds := Range{f.min, f.max}
	shown := f.kind == gauge || w.options.Rates
	switch {
	case s.known && !bounds.Holds(s.level) && shown:
		w.report.Refuse(OutOfRange, v.line, "%s: %v is not within %s, which is what its plugin says is possible", f.name, s.level, &bounds)
		return nil
	case s.known && !bounds.Holds(s.level):
		s.known = false
	case !s.known && w.options.Rates:
		s.kept = nil
	case shown:
		s.kept = s.level
	}
	return &s
}

// grow remembers a counter, and returns what it has grown by in a second. One that was of another kind before begins anew.
func (w *writer) grow(k id, now reading) (rate float64, known bool) {
	last, known := w.next[k]
	if known && !now.at.After(last.at) {
		return 0, false // it was printed before
	}
	w.next[k] = now
	if !known || last.kind != now.kind {
		return 0, false
	}
	return now.rate(last), true
}

// number reads the number of a value by the kind of its field; nil: it is none.
func (w *writer) number(f *field, v value) (n any) {
	whole := f.kind == counter || f.kind == derive
	real, ok := float(v.text)
	switch {
	case !ok:
		w.report.Refuse(BadValue, v.line, "%s: %.40q: want a number, or U", f.name, v.text)
	case !finite(real):
		w.report.Refuse(report.NotFinite, v.line, "%s: %.40q", f.name, v.text)
	case !whole:
		return real
	default:
		n, ok := integer(v.text)
		if ok && (f.kind == derive || real >= 0) {
			return n
		}
		w.report.Refuse(BadValue, v.line, "%s: %.40q: a %s is a whole number", f.name, v.text, f.kind)
	}
	return nil
}
