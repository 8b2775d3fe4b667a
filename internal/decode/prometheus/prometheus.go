// Package prometheus reads what Prometheus scrapes: its own text format 0.0.4, OpenMetrics 1.0, and its protobuf messages.
package prometheus

import (
	"bytes"
	"errors"
	"math"
	"time"
	"unsafe"

	"github.com/pacewire/pacewire/internal/bucket"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// Accept is the header of a request by which an exporter chooses among the text formats, as Prometheus sends it.
const Accept = "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"

// Reasons of this format, beside those of package report.
const (
	CutOff     = "cut_off"    // OpenMetrics without "# EOF" at its end: nothing of it counts
	Unfinished = "unfinished" // a last line without a line feed: half a number is a number too
	TooMany    = "too_many"   // samples above Options.Limit: reading ends there
)

// Options say how a text is read. The zero value is for the format 0.0.4.
type Options struct {
	OpenMetrics bool // it ends with "# EOF", and its times are seconds
	NoTimes     bool // the samples get the time of the whole, whatever they say
	Limit       int  // of samples that are kept; 0: none
	Beside      int  // tags that each point is to get beside its labels

	// Sample, unless nil, may change a sample before it becomes a point. It returns whether to keep it.
	Sample func(s *Sample) bool

	// Family, unless nil, is told what the text says of its families, each behind its samples.
	Family func(f Family)
}

// A Sample is one line. Its texts look into the text that was decoded.
type Sample struct {
	Name   string
	Labels []telemetry.Tag // none of them twice
	Value  float64
	Time   int64 // ns
	Timed  bool  // the line says the time itself
}

// A Family is what the comments of a text say of the samples below them. Its texts look into the text that was decoded.
type Family struct {
	Name, Type, Help, Unit string
	Samples                int // that stand below the comments
}

// A Decoder reads texts one after the other. It is for one goroutine, and keeps its memory.
type Decoder struct {
	Options

	batch   *telemetry.Batch
	report  report.Report
	number  int // of the line
	sample  Sample
	family  Family
	message message

	group   *telemetry.Group // of the sample before
	keys    []string
	texts   []string
	value   [1]telemetry.Value
	numbers bucket.Texts // of the labels le and quantile
}

var lineFeed = []byte{'\n'}

// fields are those of each point.
var fields = []telemetry.Field{{Name: "value", Type: telemetry.TypeFloat}}

// Decode adds a point for each sample of text to b: series and tags as they are, and the field value. A line that cannot be read
// costs itself only. The strings of b look into text, which is not to be changed while b is in use. at is the time of samples that
// have none.
func (d *Decoder) Decode(b *telemetry.Batch, text []byte, at time.Time) report.Report {
	d.batch, d.report, d.number, d.family, d.group = b, report.Report{}, 0, Family{}, nil
	if d.OpenMetrics && !Whole(text) {
		d.report.Refuse(CutOff, 0, `the text does not end with "# EOF"`)
		return d.report
	}
	now, text := at.UnixNano(), report.WithoutMark(text)
	for len(text) > 0 {
		d.number++
		line, rest, ended := bytes.Cut(text, lineFeed)
		if !ended && !d.OpenMetrics {
			d.report.Refuse(Unfinished, d.number, "the last line does not end with a line feed")
			break
		}
		if !d.line(view(line), now) {
			break
		}
		text = rest
	}
	d.endFamily()
	d.batch, d.group = nil, nil
	return d.report
}

// Whole reports whether text ends as OpenMetrics has to.
func Whole(text []byte) bool {
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	head, ok := bytes.CutSuffix(text, []byte("# EOF"))
	return ok && (len(head) == 0 || head[len(head)-1] == '\n')
}

// line reads a line, and reports whether more are wanted.
func (d *Decoder) line(line string, now int64) bool {
	line = trim(line)
	if line == "" {
		return true
	}
	if line[0] == '#' {
		if d.Family != nil {
			d.comment(line[1:])
		}
		return true
	}
	d.family.Samples++
	d.sample.Time, d.sample.Timed = now, false
	if err := d.parse(line); err != nil {
		d.refuse(err)
		return true
	}
	return d.take(now)
}

// take gives the sample to whoever may change it, and makes a point of it. It reports whether more are wanted.
func (d *Decoder) take(now int64) bool {
	if d.NoTimes {
		d.sample.Time, d.sample.Timed = now, false
	}
	if d.Sample != nil && !d.Sample(&d.sample) {
		return true
	}
	return d.put()
}

// refuse counts a line that cannot be read.
func (d *Decoder) refuse(err error) {
	switch {
	case errors.Is(err, errTime):
		d.report.Refuse(report.TimeRange, d.number, "%s: %w", d.sample.Name, err)
	case errors.Is(err, errMany), errors.Is(err, errLong):
		d.report.Refuse(report.Limit, d.number, "%w", err)
	default:
		d.report.Refuse(report.Syntax, d.number, "%w", err)
	}
}

// put makes a point of the sample, and reports whether more are wanted.
func (d *Decoder) put() bool {
	s := &d.sample
	switch {
	case math.IsNaN(s.Value) || math.IsInf(s.Value, 0):
		d.report.Refuse(report.NotFinite, d.number, "%s: the value is %v", s.Name, s.Value)
		return true
	case len(s.Labels)+d.Beside > telemetry.MaxTags:
		d.report.Refuse(report.Limit, d.number, "%s: %d labels: a point has %d at most", s.Name, len(s.Labels)+d.Beside, telemetry.MaxTags)
		return true
	case d.Limit > 0 && d.report.Points >= d.Limit:
		d.report.Refuse(TooMany, d.number, "more than %d samples", d.Limit)
		return false
	}
	d.find()
	if d.group == nil {
		d.report.Refuse(report.Limit, d.number, "%s: %w", s.Name, report.ErrShapes)
		return true
	}
	d.value[0] = telemetry.Float(s.Value)
	d.group.Row(time.Unix(0, s.Time), d.texts, d.value[:]...)
	d.report.Points++
	return true
}

// find makes group the one that the sample belongs to, and texts its tags. The samples of a family follow each other, and most of
// them have the same labels: then it is that of the sample before.
func (d *Decoder) find() {
	s := &d.sample
	same := d.group != nil && d.group.Series == s.Name
	d.texts = d.texts[:0]
	for _, l := range s.Labels {
		if l.Value == "" { // no label
			continue
		}
		n := len(d.texts)
		if n == len(d.keys) || d.keys[n] != l.Key {
			d.keys = append(d.keys[:n], l.Key)
			same = false
		}
		d.texts = append(d.texts, l.Value)
	}
	if n := len(d.texts); !same || n != len(d.keys) {
		d.keys = d.keys[:n]
		d.group = d.batch.Group(s.Name, d.keys, fields)
	}
}

// view is b as a string, for as long as nobody changes it.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
