package prometheus

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/internal/protobuf"
	"github.com/pacewire/pacewire/telemetry"
)

// Wire types, in the low bits of a tag.
const (
	varint   = protobuf.Varint
	fixed64  = protobuf.Fixed64
	sized    = protobuf.Sized
	typeBits = protobuf.TypeBits
)

var (
	errType   = errors.New("a type of family that is not known")
	errAbsent = errors.New("the metric has no value of its type")
)

// The types of families.
var types = [...]struct {
	name  string // in texts
	data  uint64 // tag of the field of a Metric that has the value
	label string // of its parts, "" if it has none
}{
	counter:        {"counter", 3<<typeBits | sized, ""},
	gauge:          {"gauge", 2<<typeBits | sized, ""},
	summary:        {"summary", 4<<typeBits | sized, "quantile"},
	untyped:        {"untyped", 5<<typeBits | sized, ""},
	histogram:      {"histogram", 7<<typeBits | sized, "le"},
	gaugeHistogram: {"gaugehistogram", 7<<typeBits | sized, "le"},
}

// Values of MetricType.
const (
	counter = iota
	gauge
	summary
	untyped
	histogram
	gaugeHistogram
)

// A message is what is read of a MetricFamily. Its memory is used again for the next one.
type message struct {
	name  string
	kind  uint64
	names struct{ bucket, count, sum string } // of its series, where it has several

	// Of the metric that is read.
	labels    []telemetry.Tag
	now       int64 // of samples that have no time
	time      int64
	timed     bool
	histogram histogramMessage
}

// begin makes m ready for another family.
func (m *message) begin(now int64) {
	*m = message{now: now, labels: m.labels, histogram: m.histogram}
}

// series returns the name of a series of the family, which it makes once.
func (m *message) series(kept *string, suffix string) string {
	if *kept == "" {
		*kept = m.name + suffix
	}
	return *kept
}

// DecodeProtobuf is Decode for messages MetricFamily, each with its length before it. A metric that cannot be read costs itself
// only. Samples are those that the format 0.0.4 has of the same families. A histogram with native buckets has these alone, each with
// its upper bound in the label le, cumulated as classic ones are.
func (d *Decoder) DecodeProtobuf(b *telemetry.Batch, text []byte, at time.Time) report.Report {
	d.batch, d.report, d.number, d.group = b, report.Report{}, 0, nil
	for msg, err := range protobuf.Delimited(text) {
		if err != nil {
			d.report.Refuse(CutOff, 0, "the last message is not whole")
			break
		}
		if err := d.readFamily(msg, at.UnixNano()); err != nil {
			d.refuseMessage(err)
		}
		if d.report.Bad[TooMany] > 0 {
			break
		}
	}
	d.batch, d.group = nil, nil
	return d.report
}

// mostName is how much is told of the name of a family that is at fault.
const mostName = 100

// refuseMessage counts what cannot be read of a family.
func (d *Decoder) refuseMessage(err error) {
	d.sample.Name = report.Cut(d.message.name, mostName)
	if d.report.First == nil && d.sample.Name != "" && !errors.Is(err, errTime) { // only the first is told; errTime has the name
		err = fmt.Errorf("%s: %w", d.sample.Name, err)
	}
	d.refuse(err)
}

// readFamily reads a MetricFamily: first what is said of all its metrics, as that may stand behind them.
func (d *Decoder) readFamily(msg []byte, now int64) error {
	m := &d.message
	m.begin(now)
	d.family = Family{}
	f := protobuf.Fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | sized:
			m.name = f.Text()
		case 2<<typeBits | sized:
			d.family.Help = f.Text()
		case 3<<typeBits | varint:
			m.kind = f.Bits
		case 5<<typeBits | sized:
			d.family.Unit = f.Text()
		}
	}
	switch {
	case f.Err != nil:
		return f.Err
	case m.name == "":
		return errName
	case m.kind >= uint64(len(types)):
		return errType
	}
	d.family.Name, d.family.Type = m.name, types[m.kind].name
	for f = (protobuf.Fields{Rest: msg}); f.Next() && d.report.Bad[TooMany] == 0; {
		if f.Tag != 4<<typeBits|sized {
			continue
		}
		if err := d.readMetric(f.Bytes); err != nil {
			d.refuseMessage(err)
		}
	}
	d.endFamily()
	return nil
}

// readMetric reads a Metric.
func (d *Decoder) readMetric(msg []byte) error {
	m := &d.message
	m.labels, m.time, m.timed = m.labels[:0], m.now, false
	var data protobuf.Merged
	f := protobuf.Fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | sized:
			f.Err = m.readLabel(f.Bytes)
		case 6<<typeBits | varint:
			m.timed = true
			m.time, f.Err = ofMilliseconds(int64(f.Bits))
		case types[m.kind].data:
			data.Add(f.Bytes)
		}
	}
	switch {
	case f.Err != nil:
		return f.Err
	case data.Bytes == nil:
		return errAbsent
	}
	switch m.kind {
	case summary:
		return d.readSummary(data.Bytes)
	case histogram, gaugeHistogram:
		return d.readHistogram(data.Bytes)
	}
	return d.readNumber(data.Bytes)
}

// readLabel reads a LabelPair.
func (m *message) readLabel(msg []byte) error {
	var t telemetry.Tag
	f := protobuf.Fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | sized:
			t.Key = f.Text()
		case 2<<typeBits | sized:
			t.Value = f.Text()
		}
	}
	switch {
	case f.Err != nil:
		return f.Err
	case t.Key == "":
		return errLabel
	case len(m.labels) == mostLabels:
		return errMany
	case t.Key == types[m.kind].label:
		return errTwice
	case slices.ContainsFunc(m.labels, func(l telemetry.Tag) bool { return l.Key == t.Key }):
		return errTwice
	}
	m.labels = append(m.labels, t)
	return nil
}

// readNumber reads a Counter, a Gauge or an Untyped, which are alike.
func (d *Decoder) readNumber(msg []byte) error {
	v := 0.0
	f := protobuf.Fields{Rest: msg}
	for f.Next() {
		if f.Tag == 1<<typeBits|fixed64 {
			v = f.Float()
		}
	}
	if f.Err == nil {
		d.add(d.message.name, "", v)
	}
	return f.Err
}

// readSummary reads a Summary.
func (d *Decoder) readSummary(msg []byte) error {
	m := &d.message
	count, sum := uint64(0), 0.0
	f := protobuf.Fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | varint:
			count = f.Bits
		case 2<<typeBits | fixed64:
			sum = f.Float()
		}
	}
	err := f.Each(msg, 3<<typeBits|sized, d.readQuantile)
	if err == nil {
		d.add(m.series(&m.names.sum, "_sum"), "", sum)
		d.add(m.series(&m.names.count, "_count"), "", float64(count))
	}
	return err
}

// readQuantile reads a Quantile.
func (d *Decoder) readQuantile(msg []byte) error {
	var q, v float64
	f := protobuf.Fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | fixed64:
			q = f.Float()
		case 2<<typeBits | fixed64:
			v = f.Float()
		}
	}
	if f.Err == nil {
		d.add(d.message.name, d.numbers.Of(q), v)
	}
	return f.Err
}

// add adds a sample of the metric, or of a part of it: a bucket or a quantile.
func (d *Decoder) add(series, part string, v float64) {
	m, s := &d.message, &d.sample
	d.family.Samples++
	s.Name, s.Value, s.Time, s.Timed = series, v, m.time, m.timed
	s.Labels = append(s.Labels[:0], m.labels...)
	if part != "" {
		s.Labels = append(s.Labels, telemetry.Tag{Key: types[m.kind].label, Value: part})
	}
	d.take(m.now)
}
