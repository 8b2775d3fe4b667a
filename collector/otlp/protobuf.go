package otlp

import (
	"math"

	"github.com/pacewire/pacewire/internal/protobuf"
	"github.com/pacewire/pacewire/telemetry"
)

// readProtobuf adds the points of an ExportMetricsServiceRequest. Strings of its points look into msg.
//
// Fields may come in any order, and what is said of all data points often comes behind them: hence each message is gone
// through twice, for what is said of all, and for the parts. To skip a part costs as much as to read its length.
func (in *intake) readProtobuf(msg []byte) error {
	f := fields{Rest: msg}
	for f.Next() {
		if f.Tag == 1<<typeBits|sized {
			f.Err = in.resourceMetrics(f.Bytes)
		}
	}
	return f.Err
}

func (in *intake) resourceMetrics(msg []byte) error {
	var resource protobuf.Merged
	f := fields{Rest: msg}
	for f.Next() {
		if f.Tag == 1<<typeBits|sized {
			resource.Add(f.Bytes)
		}
	}
	if f.Err != nil {
		return f.Err
	}
	in.beginResource()
	f = fields{Rest: resource.Bytes}
	for f.Next() {
		if f.Tag == 1<<typeBits|sized {
			f.Err = in.resourceAttribute(f.Bytes)
		}
	}
	return f.Each(msg, 2<<typeBits|sized, in.scopeMetrics)
}

func (in *intake) resourceAttribute(msg []byte) error {
	key, value, err := readAttribute(msg)
	if err != nil || !in.chosen(key) {
		return err
	}
	text, err := value.text()
	in.addResource(key, text)
	return err
}

func (in *intake) scopeMetrics(msg []byte) error {
	var f fields
	return f.Each(msg, 2<<typeBits|sized, in.metricMessage)
}

// Tags of the kinds of data in a Metric.
const (
	gaugeTag       = 5<<typeBits | sized
	sumTag         = 7<<typeBits | sized
	histogramTag   = 9<<typeBits | sized
	exponentialTag = 10<<typeBits | sized
	summaryTag     = 11<<typeBits | sized
)

func (in *intake) metricMessage(msg []byte) error {
	var m metric
	var data protobuf.Merged
	become := func(k kind, part []byte) {
		if m.kind != k { // the last kind counts
			m.kind, data = k, protobuf.Merged{}
		}
		data.Add(part)
	}
	f := fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | sized:
			m.name = f.Text()
		case gaugeTag:
			become(gauge, f.Bytes)
		case sumTag:
			become(sum, f.Bytes)
		case histogramTag:
			become(histogram, f.Bytes)
		case exponentialTag:
			become(exponential, f.Bytes)
		case summaryTag:
			become(summary, f.Bytes)
		}
	}
	if f.Err != nil {
		return f.Err
	}
	return in.data(m, data.Bytes)
}

// data reads what a metric tells.
func (in *intake) data(m metric, msg []byte) error {
	f := fields{Rest: msg}
	for f.Next() {
		if f.Tag == 2<<typeBits|varint {
			m.delta = int32(f.Bits) == temporalityDelta
		}
	}
	in.beginMetric(m)
	return f.Each(msg, 1<<typeBits|sized, in.dataPoint)
}

func (in *intake) dataPoint(msg []byte) error {
	in.point.reset()
	var err error
	switch in.metric.kind {
	case gauge, sum:
		err = in.point.number(msg)
	case histogram:
		err = in.point.histogram(msg)
	case exponential:
		err = in.point.exponential(msg)
	case summary:
		err = in.point.summary(msg)
	}
	if err != nil {
		return err
	}
	return in.add()
}

// number reads a NumberDataPoint.
func (p *point) number(msg []byte) error {
	f := fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 2<<typeBits | fixed64:
			p.start = f.Bits
		case 3<<typeBits | fixed64:
			p.time = f.Bits
		case 4<<typeBits | fixed64:
			p.value = telemetry.Float(f.Float())
		case 6<<typeBits | fixed64:
			p.value = telemetry.Int(int64(f.Bits))
		case 7<<typeBits | sized:
			f.Err = p.attribute(f.Bytes)
		case 8<<typeBits | varint:
			p.flags = f.Bits
		}
	}
	return f.Err
}

// histogram reads a HistogramDataPoint.
func (p *point) histogram(msg []byte) error {
	f := fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 2<<typeBits | fixed64:
			p.start = f.Bits
		case 3<<typeBits | fixed64:
			p.time = f.Bits
		case 4<<typeBits | fixed64:
			p.count = f.Bits
		case 5<<typeBits | fixed64:
			p.sum = telemetry.Float(f.Float())
		case 6<<typeBits | fixed64, 6<<typeBits | sized:
			f.Err = f.EachFixed(func(n uint64) { p.addCount(&p.counts, n) })
		case 7<<typeBits | fixed64, 7<<typeBits | sized:
			f.Err = f.EachFixed(func(bits uint64) { p.addBound(math.Float64frombits(bits)) })
		case 9<<typeBits | sized:
			f.Err = p.attribute(f.Bytes)
		case 10<<typeBits | varint:
			p.flags = f.Bits
		case 11<<typeBits | fixed64:
			p.min = telemetry.Float(f.Float())
		case 12<<typeBits | fixed64:
			p.max = telemetry.Float(f.Float())
		}
	}
	return f.Err
}

// exponential reads an ExponentialHistogramDataPoint.
func (p *point) exponential(msg []byte) error {
	f := fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | sized:
			f.Err = p.attribute(f.Bytes)
		case 2<<typeBits | fixed64:
			p.start = f.Bits
		case 3<<typeBits | fixed64:
			p.time = f.Bits
		case 4<<typeBits | fixed64:
			p.count = f.Bits
		case 5<<typeBits | fixed64:
			p.sum = telemetry.Float(f.Float())
		case 6<<typeBits | varint:
			p.scale = f.Signed()
		case 7<<typeBits | fixed64:
			p.zeros = f.Bits
		case 8<<typeBits | sized:
			f.Err = p.buckets(&p.positive, f.Bytes)
		case 9<<typeBits | sized:
			f.Err = p.buckets(&p.negative, f.Bytes)
		case 10<<typeBits | varint:
			p.flags = f.Bits
		case 12<<typeBits | fixed64:
			p.min = telemetry.Float(f.Float())
		case 13<<typeBits | fixed64:
			p.max = telemetry.Float(f.Float())
		case 14<<typeBits | fixed64:
			p.threshold = f.Float()
		}
	}
	return f.Err
}

// buckets reads the Buckets of an exponential histogram.
func (p *point) buckets(b *buckets, msg []byte) error {
	f := fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | varint:
			b.offset = f.Signed()
		case 2<<typeBits | varint, 2<<typeBits | sized:
			f.Err = f.EachVarint(func(n uint64) { p.addCount(&b.counts, n) })
		}
	}
	return f.Err
}

// summary reads a SummaryDataPoint.
func (p *point) summary(msg []byte) error {
	f := fields{Rest: msg}
	p.sum = telemetry.Float(0) // it is always there, and zero is not sent
	for f.Next() {
		switch f.Tag {
		case 2<<typeBits | fixed64:
			p.start = f.Bits
		case 3<<typeBits | fixed64:
			p.time = f.Bits
		case 4<<typeBits | fixed64:
			p.count = f.Bits
		case 5<<typeBits | fixed64:
			p.sum = telemetry.Float(f.Float())
		case 6<<typeBits | sized:
			f.Err = p.quantile(f.Bytes)
		case 7<<typeBits | sized:
			f.Err = p.attribute(f.Bytes)
		case 8<<typeBits | varint:
			p.flags = f.Bits
		}
	}
	return f.Err
}

func (p *point) quantile(msg []byte) error {
	var q, value float64
	f := fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | fixed64:
			q = f.Float()
		case 2<<typeBits | fixed64:
			value = f.Float()
		}
	}
	p.addQuantile(q, value)
	return f.Err
}

func (p *point) attribute(msg []byte) error {
	key, value, err := readAttribute(msg)
	if err != nil {
		return err
	}
	text, err := value.text()
	p.addAttribute(key, text)
	return err
}
