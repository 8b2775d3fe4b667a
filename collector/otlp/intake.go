package otlp

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/internal/bucket"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// An intake makes points of the data points of one request, and stores them. It is used again for the next one.
type intake struct {
	chosen func(key string) bool // whether an attribute of a resource becomes a tag
	deltas *deltas               // nil: changes are kept as they are
	store  func(b *telemetry.Batch) error

	batch    telemetry.Batch
	arrival  time.Time
	resource []telemetry.Tag
	crowded  bool // the resource has more attributes than a point may have tags
	metric   metric
	point    point
	journal  journal // what was done to deltas

	names  names
	tags   []telemetry.Tag
	keys   []string // of tags, with a place for one more
	texts  []string
	series []byte
	bounds bucket.Texts

	rows     int            // in batch
	taken    int            // data points in batch
	stored   int            // data points
	rejected int            // data points
	dropped  map[string]int // values and points left out, by reason
	reason   error          // of the first that was rejected
}

// names are those of the series of a metric that has several, made when the first is wanted.
type names struct{ count, sum, min, max, bucket string }

// maxRows is how many rows are in a batch before it is stored.
const maxRows = 32 << 10

// begin makes in ready for another request.
func (in *intake) begin(now time.Time) {
	in.batch.Reset()
	in.arrival, in.resource, in.crowded = now, in.resource[:0], false
	in.rows, in.taken, in.stored, in.rejected, in.reason = 0, 0, 0, 0, nil
	in.journal = in.journal[:0]
	clear(in.dropped)
}

func (in *intake) beginResource() { in.resource, in.crowded = in.resource[:0], false }

// addResource gives the points of the resource a tag.
func (in *intake) addResource(key, text string) {
	if len(in.resource) >= telemetry.MaxTags {
		in.crowded = true
		return
	}
	in.resource = append(in.resource, telemetry.Tag{Key: key, Value: text})
}

func (in *intake) beginMetric(m metric) {
	m.delta = m.delta && (m.kind == sum || m.kind == histogram || m.kind == exponential)
	in.metric, in.names = m, names{}
}

// A fault is why a data point is rejected: the reason, as it is counted, and what its sender is told.
type fault struct{ reason, text string }

func (f *fault) Error() string { return f.text }

var (
	errNoName  = &fault{"no_name", "is of a metric without a name"}
	errOver    = &fault{"limit", fmt.Sprintf("has more than %d attributes, %d buckets or %d quantiles", telemetry.MaxTags, maxBuckets, maxQuantiles)}
	errTime    = &fault{"time_range", "has a time after the year 2262"}
	errNoValue = &fault{"no_value", "has no value"}
	errNaN     = &fault{"nan", "is not a finite number"}
	errBuckets = &fault{"buckets", "has buckets that do not fit its bounds"}
	errCount   = &fault{"int_range", "has counts above 2^63-1"}
	errSeries  = &fault{"delta_series", fmt.Sprintf("would make more than %d totals of changes: send totals, or set delta: keep", maxTotals)}
)

// add adds the data point that was read. What cannot be held is left out and counted; an error says that the bus takes nothing.
func (in *intake) add() error {
	if in.point.flags&noValue != 0 {
		return nil
	}
	if err := in.convert(); err != nil {
		in.reject(err)
		return nil
	}
	in.taken++
	if in.rows < maxRows {
		return nil
	}
	return in.flush()
}

// A refusalError says that the bus does not take points now.
type refusalError struct{ err error }

func (e *refusalError) Error() string { return "points are not stored: " + e.err.Error() }

func (e *refusalError) Unwrap() error { return e.err }

// flush stores the points there are.
func (in *intake) flush() error {
	err := in.store(&in.batch)
	in.batch.Reset()
	if over, ok := errors.AsType[*plugin.SeriesLimitError](err); ok { // the others are stored
		in.rejected += over.Points
		in.reason, err = cmp.Or(in.reason, error(over)), nil
	}
	if err != nil {
		return &refusalError{err}
	}
	in.stored += in.taken
	in.rows, in.taken = 0, 0
	return nil
}

// undo forgets what the request has added to totals: its client keeps it, or it was never read.
func (in *intake) undo() {
	if in.deltas != nil {
		in.journal.undo(in.deltas)
	}
}

// read adds the points of a body. Fields and data points that nobody has use for are left out.
func (in *intake) read(f form, body []byte) error {
	name, err := "protobuf", error(nil)
	if f == jsonForm {
		name, err = "JSON", in.readJSON(body)
	} else {
		err = in.readProtobuf(body)
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	return nil
}

func (in *intake) reject(f *fault) {
	in.rejected++
	in.drop(f.reason)
	if in.reason == nil {
		in.reason = fmt.Errorf("a data point of %s %w", short(in.metric.name), f)
	}
}

func (in *intake) drop(reason string) {
	if in.dropped == nil {
		in.dropped = map[string]int{}
	}
	in.dropped[reason]++
}

// message says what was rejected; "" if nothing.
func (in *intake) message() string {
	if in.rejected == 0 {
		return ""
	}
	return fmt.Sprintf("%s rejected: %v", amount.Of(in.rejected, "data point is", "data points are"), in.reason)
}

// convert adds the rows of the data point.
func (in *intake) convert() *fault {
	p := &in.point
	if f := in.check(); f != nil {
		return f
	}
	in.mergeTags()
	if len(in.tags) >= telemetry.MaxTags { // one more has a place: le, quantile
		return errOver
	}
	if in.metric.delta && in.deltas != nil {
		if !in.journal.add(in.deltas, in.key(), p, in.arrival) {
			return errSeries
		}
	}
	switch in.metric.kind {
	case histogram, exponential:
		in.histogramRows()
	case summary:
		in.summaryRows()
	default:
		in.row(in.metric.name, in.point.value)
	}
	return nil
}

// check says what is wrong with the data point, and mends what can be.
func (in *intake) check() *fault {
	p := &in.point
	switch {
	case in.metric.name == "":
		return errNoName
	case p.over || in.crowded:
		return errOver
	case p.time > math.MaxInt64:
		return errTime
	case p.time == 0:
		p.time = uint64(in.arrival.UnixNano())
	}
	switch in.metric.kind {
	case histogram:
		return in.checkHistogram()
	case exponential:
		return in.checkExponential()
	case summary:
		return in.checkSummary()
	}
	if !p.value.Present() {
		return errNoValue
	}
	if !isFinite(p.value.Float()) {
		return errNaN
	}
	return nil
}

func isFinite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// mergeTags puts the tags of the resource and of the point together, sorted. Of those with one key the last counts.
func (in *intake) mergeTags() {
	in.tags = in.tags[:0]
	in.setTags(in.resource)
	in.setTags(in.point.attributes)
	in.tags = slices.DeleteFunc(in.tags, func(t telemetry.Tag) bool { return t.Value == "" })
	slices.SortFunc(in.tags, func(a, b telemetry.Tag) int { return cmp.Compare(a.Key, b.Key) })
	in.keys, in.texts = in.keys[:0], in.texts[:0]
	for _, t := range in.tags {
		in.keys, in.texts = append(in.keys, t.Key), append(in.texts, t.Value)
	}
}

func (in *intake) setTags(tags []telemetry.Tag) {
	for _, t := range tags {
		i := slices.IndexFunc(in.tags, func(have telemetry.Tag) bool { return have.Key == t.Key })
		if i < 0 {
			in.tags = append(in.tags, t)
		} else {
			in.tags[i].Value = t.Value
		}
	}
}

// key returns what tells the series of the data point from all others.
func (in *intake) key() []byte {
	in.series = append(append(in.series[:0], byte(in.metric.kind)), in.metric.name...)
	for _, t := range in.tags {
		in.series = append(append(in.series, 0), t.Key...)
		in.series = append(append(in.series, 1), t.Value...)
	}
	return in.series
}

// row adds a row with one value, if there is one that can be held.
func (in *intake) row(series string, v telemetry.Value) {
	if !v.Present() {
		return
	}
	if v.Type() == telemetry.TypeFloat && !isFinite(v.Float()) {
		in.drop(errNaN.reason)
		return
	}
	fields := [1]telemetry.Field{{Name: "value", Type: v.Type()}}
	in.batch.Group(series, in.keys, fields[:]).Row(time.Unix(0, int64(in.point.time)), in.texts, v)
	in.rows++
}

// rowOf is row with one more tag, which takes the place of one that the point has under that name.
func (in *intake) rowOf(series, key string, of float64, v telemetry.Value) {
	at, known := slices.BinarySearch(in.keys, key)
	if known {
		own := in.texts[at]
		in.texts[at] = in.bounds.Of(of)
		in.row(series, v)
		in.texts[at] = own
		return
	}
	in.keys, in.texts = append(in.keys, key), append(in.texts, in.bounds.Of(of))
	in.row(series, v)
	in.keys, in.texts = in.keys[:len(in.keys)-1], in.texts[:len(in.texts)-1]
}

// nameOf returns the name of a series of the metric, which it makes once.
func (in *intake) nameOf(kept *string, suffix string) string {
	if *kept == "" {
		*kept = in.metric.name + suffix
	}
	return *kept
}
