// Package report says what became of a text that was decoded.
package report

import (
	"fmt"
	"math"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Reasons that several formats have for leaving something out. A format may have more of its own.
const (
	Syntax    = "syntax"     // a line, or a part of one, that cannot be read
	NotFinite = "not_finite" // a value that is NaN or an infinity
	TimeRange = "time_range" // a time outside the years 1678 to 2261, which is what 64 bits of nanoseconds hold
	NoFields  = "no_fields"  // a point of which no field is left
	Limit     = "limit"      // a line that is too long, more tags or fields than a point may have, or more shapes than a text
)

// MaxShapes is how many shapes the points of one text may have. A shape is a series with its tags and fields, by their names: who puts
// what differs into a tag has few of them, and each takes memory.
const MaxShapes = 1 << 16

// ErrShapes is what is wrong with a point that has one more.
var ErrShapes = fmt.Errorf("the points of one run have more than %d shapes: what differs is a tag's value, not the name of a series, tag or field", MaxShapes)

// A Report says how many points a text had, and what was left out of it. The zero value is ready.
type Report struct {
	Points int
	Bad    map[string]int // what was left out, by reason
	First  error          // the first of it, with the number of its line
}

// Refuse counts something that is left out for a reason. line is its number from 1, or 0 where there are no lines; the rest says
// what is wrong with it, as for fmt.Errorf.
func (r *Report) Refuse(reason string, line int, format string, args ...any) {
	r.Count(reason, 1)
	if r.First != nil {
		return
	}
	r.First = fmt.Errorf(format, args...)
	if line > 0 {
		r.First = fmt.Errorf("line %d: %w", line, r.First)
	}
}

// Count counts n things that are left out for a reason.
func (r *Report) Count(reason string, n int) {
	if n == 0 {
		return
	}
	if r.Bad == nil {
		r.Bad = map[string]int{}
	}
	r.Bad[reason] += n
}

// Total returns how many things were left out.
func (r *Report) Total() (n int) {
	for _, k := range r.Bad {
		n += k
	}
	return n
}

// Into counts what was left out among the drops of a batch, which is where a plugin counts from. What a batch has no code for is
// a line that cannot be read.
func (r *Report) Into(d *telemetry.Drops) {
	for reason, n := range r.Bad {
		code, ok := codes[reason]
		if !ok {
			code = telemetry.CodeLine
		}
		d[code] += n
	}
}

// Counter returns the name of the counter of a reason: that of the code which a batch has for it, else its own.
func Counter(reason string) string {
	if reason == Syntax {
		return telemetry.CodeLine.String()
	}
	if code, ok := codes[reason]; ok {
		return code.String()
	}
	return reason
}

var codes = map[string]telemetry.Code{
	NotFinite: telemetry.CodeNaN, TimeRange: telemetry.CodeTimeRange, NoFields: telemetry.CodeNoFields, Limit: telemetry.CodeLimit,
	telemetry.CodeIntRange.String(): telemetry.CodeIntRange, telemetry.CodeTooLong.String(): telemetry.CodeTooLong,
}

// Bounded is decode, which adds points to b, with a bound on the shapes of these: what is above it is left out, and counted.
func Bounded(b *telemetry.Batch, shapes int, decode func() Report) Report {
	b.Bound(shapes)
	defer b.Bound(0)
	dropped := &b.Drops()[telemetry.CodeLimit]
	before := *dropped
	r := decode()
	if n := *dropped - before; n > 0 {
		*dropped = before
		r.Points -= n
		r.Refuse(Limit, 0, "%w", ErrShapes)
		r.Count(Limit, n-1)
	}
	return r
}

// Append adds p to b by the rules of all formats: fields that are not finite are left out, and points whose time a batch cannot
// hold or that have no field; each is counted. It takes p's fields and tags over. line is where the point stands.
func (r *Report) Append(b *telemetry.Batch, line int, p telemetry.Point) {
	if !Holds(p.Time) {
		r.Refuse(TimeRange, line, "%s: the time %s is not between the years 1678 and 2261", p.Series, p.Time.Format(time.RFC3339))
		return
	}
	for name, v := range p.Fields {
		if f, ok := v.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
			r.Refuse(NotFinite, line, "%s: the value of %s is %v", p.Series, name, f)
			delete(p.Fields, name)
		}
	}
	switch {
	case len(p.Fields) == 0:
		r.Refuse(NoFields, line, "%s: no value is left", p.Series)
	case len(p.Fields) > telemetry.MaxFields || len(p.Tags) > telemetry.MaxTags:
		r.Refuse(Limit, line, "%s: %d fields and %d tags: a point has %d and %d at most", p.Series, len(p.Fields), len(p.Tags), telemetry.MaxFields, telemetry.MaxTags)
	default:
		b.Append(p)
		r.Points++
	}
}

// AppendOne is Append of a point that is one value, as a line of many formats is: the line is lost with the value, and is counted once.
func (r *Report) AppendOne(b *telemetry.Batch, line int, p telemetry.Point, field string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		r.Refuse(NotFinite, line, "%s: the value of %s is %v", p.Series, field, v)
		return
	}
	p.Fields = telemetry.Fields{field: v}
	r.Append(b, line, p)
}

// Holds reports whether a batch can hold a time. The zero time stands for now.
func Holds(t time.Time) bool { return t.IsZero() || time.Unix(0, t.UnixNano()).Equal(t) }
