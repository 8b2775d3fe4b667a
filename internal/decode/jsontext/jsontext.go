// Package jsontext reads points from JSON: our own point objects, or whatever else programs print, with paths to what counts in it.
package jsontext

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// Options say what in foreign objects is what. A path is keys with dots between them, "net.eth0.rx"; a number is a place in a list,
// and a dot that belongs to a key has a backslash before it. In names the dots are underscores.
type Options struct {
	Root      string   `json:"root" jsonschema:"path to the object, or the list of objects, that are points; empty is the whole"`
	SeriesKey string   `json:"series_key" jsonschema:"path to the series"`
	TimeKey   string   `json:"time_key" jsonschema:"path to the time"`
	TimeForm  string   `json:"time_format" jsonschema:"unix, unix_ms, unix_us, unix_ns, rfc3339 or a layout of Go such as 2006-01-02 15:04:05; empty tells it from the value"`
	TagKeys   []string `json:"tag_keys" jsonschema:"paths to tags"`
	FieldKeys []string `json:"field_keys" jsonschema:"paths to fields, which may be texts; none: all numbers and booleans that are nothing else"`
	Series    string   `json:"-"` // of points that no path leads to one of
}

// NoSeries is the reason why a point is left out that has no series.
const NoSeries = "no_series"

// A Decoder reads texts. A text is one value, or several one after the other; each is an object or a list of objects.
type Decoder struct {
	root, series, time path
	tags, fields       []path
	name               string
	readTime           func(v any) (time.Time, error)
	foreign            bool // the operator says what is what
}

// New returns a decoder of objects as o says.
func New(o Options) (*Decoder, error) {
	d := &Decoder{name: o.Series, foreign: o.Root != "" || o.SeriesKey != "" || o.TimeKey != "" || len(o.TagKeys)+len(o.FieldKeys) > 0}
	var errs []error
	parse := func(text string) path {
		p, err := parsePath(text)
		errs = append(errs, err)
		return p
	}
	d.root, d.series, d.time = parse(o.Root), parse(o.SeriesKey), parse(o.TimeKey)
	for _, text := range o.TagKeys {
		d.tags = append(d.tags, parse(text))
	}
	for _, text := range o.FieldKeys {
		d.fields = append(d.fields, parse(text))
	}
	d.readTime = timeReader(o.TimeForm)
	return d, errors.Join(errs...)
}

// A reading is the work on one text.
type reading struct {
	*Decoder
	b      *telemetry.Batch
	at     time.Time
	line   int
	report report.Report
}

// Decode adds the points of text to b. at is the time of those that do not say theirs.
//
// What is no JSON as a whole is read line by line, so that a bad line costs itself alone.
func (d *Decoder) Decode(b *telemetry.Batch, text []byte, at time.Time) report.Report {
	in, text := &reading{Decoder: d, b: b, at: at}, report.WithoutMark(text)
	broken := in.whole(text)
	if broken == nil {
		return in.report
	}
	for line := range bytes.Lines(text) {
		in.line++
		in.oneLine(bytes.TrimSpace(line))
	}
	if in.report.Points > 0 {
		return in.report
	}
	var r report.Report // it was not meant to be lines
	r.Refuse(report.Syntax, lineOf(text, broken), "%w", broken)
	return r
}

// whole reads a text that is a sequence of values, or adds nothing and says what is wrong with it.
func (in *reading) whole(text []byte) error {
	var begins []byte // of the values
	var v json.RawMessage
	for d := json.NewDecoder(bytes.NewReader(text)); ; {
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		begins = append(begins, v[0])
	}
	d := newDecoder(text)
	for _, begin := range begins {
		in.next(d, begin)
	}
	return nil
}

// oneLine reads a line, which is one value.
func (in *reading) oneLine(line []byte) {
	if len(line) == 0 {
		return
	}
	var v json.RawMessage
	if err := json.Unmarshal(line, &v); err != nil { // before anything of it counts
		in.report.Refuse(report.Syntax, in.line, "%w", err)
		return
	}
	in.next(newDecoder(line), line[0])
}

func newDecoder(text []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // an integer of 64 bits is not a float
	return d
}

// next reads the next value, of which begin is the first byte.
func (in *reading) next(d *json.Decoder, begin byte) {
	if begin == '[' && in.root == nil {
		in.list(d)
		return
	}
	var v any
	if err := d.Decode(&v); err != nil {
		in.report.Refuse(report.Syntax, in.line, "%w", err)
		return
	}
	in.value(v)
}

// list reads a list piece by piece: it may be long.
func (in *reading) list(d *json.Decoder) {
	_, err := d.Token()
	for err == nil && d.More() {
		var v any
		if err = d.Decode(&v); err == nil {
			in.value(v)
		}
	}
	if err == nil {
		_, err = d.Token()
	}
	if err != nil {
		in.report.Refuse(report.Syntax, in.line, "%w", err)
	}
}

// value reads the points of a value.
func (in *reading) value(v any) {
	found, ok := in.root.find(v)
	if !ok {
		in.report.Refuse(report.Syntax, in.line, "there is nothing at %s", in.root)
		return
	}
	switch found := found.(type) {
	case map[string]any:
		in.object(found)
	case []any:
		for _, one := range found {
			if object, ok := one.(map[string]any); ok {
				in.object(object)
			} else {
				in.report.Refuse(report.Syntax, in.line, "want an object, and there is %s", kindOf(one))
			}
		}
	default:
		in.report.Refuse(report.Syntax, in.line, "want an object, and there is %s", kindOf(found))
	}
}

// object adds the point of an object.
func (in *reading) object(object map[string]any) {
	read := in.ours
	if in.foreign || !isOurs(object) {
		read = in.theirs
	}
	p, err := read(object)
	var bad fault
	switch {
	case errors.As(err, &bad):
		in.report.Refuse(bad.reason, in.line, "%w", err)
	case p.Series == "":
		in.report.Refuse(NoSeries, in.line, "nothing says the series: name a path to it")
	default:
		in.report.Append(in.b, in.line, p)
	}
}

// A fault is what is wrong with an object.
type fault struct {
	reason string
	error
}

// lineOf returns the line that an error is about, 0 if that cannot be told.
func lineOf(text []byte, err error) int {
	var bad *json.SyntaxError
	if !errors.As(err, &bad) {
		return 0
	}
	return 1 + bytes.Count(text[:min(len(text), max(0, int(bad.Offset)-1))], []byte{'\n'})
}

// kindOf says what a value is.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case string:
		return "a text"
	case []any:
		return "a list"
	}
	return "an object"
}
