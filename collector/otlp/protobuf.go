package otlp

import (
	"slices"

	"github.com/pacewire/pacewire/telemetry"
)

// readProtobuf adds the points of an ExportMetricsServiceRequest. Strings of its points look into msg.
//
// Fields may come in any order, and what is said of all data points often comes behind them: hence each message is gone
// through twice, for what is said of all, and for the parts. To skip a part costs as much as to read its length.
func (in *intake) readProtobuf(msg []byte) error {
	f := fields{rest: msg}
	for f.next() {
		if f.tag == 1<<typeBits|sized {
			f.err = in.resourceMetrics(f.bytes)
		}
	}
	return f.err
}

func (in *intake) resourceMetrics(msg []byte) error {
	var resource merged
	f := fields{rest: msg}
	for f.next() {
		if f.tag == 1<<typeBits|sized {
			resource.add(f.bytes)
		}
	}
	if f.err != nil {
		return f.err
	}
	in.beginResource()
	f = fields{rest: resource.bytes}
	for f.next() {
		if f.tag == 1<<typeBits|sized {
			f.err = in.resourceAttribute(f.bytes)
		}
	}
	return f.each(msg, 2<<typeBits|sized, in.scopeMetrics)
}

// each calls do for the messages in the fields of msg that have tag, unless f has failed before.
func (f *fields) each(msg []byte, tag uint64, do func(msg []byte) error) error {
	if f.err != nil {
		return f.err
	}
	*f = fields{rest: msg}
	for f.next() {
		if f.tag == tag {
			f.err = do(f.bytes)
		}
	}
	return f.err
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
	return f.each(msg, 2<<typeBits|sized, in.metricMessage)
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
	var data merged
	become := func(k kind, part []byte) {
		if m.kind != k { // the last kind counts
			m.kind, data = k, merged{}
		}
		data.add(part)
	}
	f := fields{rest: msg}
	for f.next() {
		switch f.tag {
		case 1<<typeBits | sized:
			m.name = f.text()
		case gaugeTag:
			become(gauge, f.bytes)
		case sumTag:
			become(sum, f.bytes)
		case histogramTag:
			become(histogram, f.bytes)
		case exponentialTag:
			become(exponential, f.bytes)
		case summaryTag:
			become(summary, f.bytes)
		}
	}
	if f.err != nil {
		return f.err
	}
	return in.data(m, data.bytes)
}

// data reads what a metric tells.
func (in *intake) data(m metric, msg []byte) error {
	f := fields{rest: msg}
	for f.next() {
		if f.tag == 2<<typeBits|varint {
			m.delta = int32(f.bits) == temporalityDelta
		}
	}
	in.beginMetric(m)
	return f.each(msg, 1<<typeBits|sized, in.dataPoint)
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
	f := fields{rest: msg}
	for f.next() {
		switch f.tag {
		case 2<<typeBits | fixed64:
			p.start = f.bits
		case 3<<typeBits | fixed64:
			p.time = f.bits
		case 4<<typeBits | fixed64:
			p.value = telemetry.Float(f.float())
		case 6<<typeBits | fixed64:
			p.value = telemetry.Int(int64(f.bits))
		case 7<<typeBits | sized:
			f.err = p.attribute(f.bytes)
		case 8<<typeBits | varint:
			p.flags = f.bits
		}
	}
	return f.err
}

// histogram reads a HistogramDataPoint.
func (p *point) histogram(msg []byte) error {
	f := fields{rest: msg}
	for f.next() {
		switch f.tag {
		case 2<<typeBits | fixed64:
			p.start = f.bits
		case 3<<typeBits | fixed64:
			p.time = f.bits
		case 4<<typeBits | fixed64:
			p.count = f.bits
		case 5<<typeBits | fixed64:
			p.sum = telemetry.Float(f.float())
		case 6<<typeBits | fixed64:
			p.addCount(&p.counts, f.bits)
		case 6<<typeBits | sized:
			f.err = eachFixed(f.bytes, func(n uint64) { p.addCount(&p.counts, n) })
		case 7<<typeBits | fixed64:
			p.addBound(f.float())
		case 7<<typeBits | sized:
			f.err = eachFixed(f.bytes, func(bits uint64) { p.addBound(float(bits)) })
		case 9<<typeBits | sized:
			f.err = p.attribute(f.bytes)
		case 10<<typeBits | varint:
			p.flags = f.bits
		case 11<<typeBits | fixed64:
			p.min = telemetry.Float(f.float())
		case 12<<typeBits | fixed64:
			p.max = telemetry.Float(f.float())
		}
	}
	return f.err
}

// exponential reads an ExponentialHistogramDataPoint.
func (p *point) exponential(msg []byte) error {
	f := fields{rest: msg}
	for f.next() {
		switch f.tag {
		case 1<<typeBits | sized:
			f.err = p.attribute(f.bytes)
		case 2<<typeBits | fixed64:
			p.start = f.bits
		case 3<<typeBits | fixed64:
			p.time = f.bits
		case 4<<typeBits | fixed64:
			p.count = f.bits
		case 5<<typeBits | fixed64:
			p.sum = telemetry.Float(f.float())
		case 6<<typeBits | varint:
			p.scale = f.signed()
		case 7<<typeBits | fixed64:
			p.zeros = f.bits
		case 8<<typeBits | sized:
			f.err = p.buckets(&p.positive, f.bytes)
		case 9<<typeBits | sized:
			f.err = p.buckets(&p.negative, f.bytes)
		case 10<<typeBits | varint:
			p.flags = f.bits
		case 12<<typeBits | fixed64:
			p.min = telemetry.Float(f.float())
		case 13<<typeBits | fixed64:
			p.max = telemetry.Float(f.float())
		case 14<<typeBits | fixed64:
			p.threshold = f.float()
		}
	}
	return f.err
}

// buckets reads the Buckets of an exponential histogram.
func (p *point) buckets(b *buckets, msg []byte) error {
	f := fields{rest: msg}
	for f.next() {
		switch f.tag {
		case 1<<typeBits | varint:
			b.offset = f.signed()
		case 2<<typeBits | varint:
			p.addCount(&b.counts, f.bits)
		case 2<<typeBits | sized:
			f.err = eachVarint(f.bytes, func(n uint64) { p.addCount(&b.counts, n) })
		}
	}
	return f.err
}

// summary reads a SummaryDataPoint.
func (p *point) summary(msg []byte) error {
	f := fields{rest: msg}
	p.sum = telemetry.Float(0) // it is always there, and zero is not sent
	for f.next() {
		switch f.tag {
		case 2<<typeBits | fixed64:
			p.start = f.bits
		case 3<<typeBits | fixed64:
			p.time = f.bits
		case 4<<typeBits | fixed64:
			p.count = f.bits
		case 5<<typeBits | fixed64:
			p.sum = telemetry.Float(f.float())
		case 6<<typeBits | sized:
			f.err = p.quantile(f.bytes)
		case 7<<typeBits | sized:
			f.err = p.attribute(f.bytes)
		case 8<<typeBits | varint:
			p.flags = f.bits
		}
	}
	return f.err
}

func (p *point) quantile(msg []byte) error {
	var q, value float64
	f := fields{rest: msg}
	for f.next() {
		switch f.tag {
		case 1<<typeBits | fixed64:
			q = f.float()
		case 2<<typeBits | fixed64:
			value = f.float()
		}
	}
	p.addQuantile(q, value)
	return f.err
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

// merged is a message that may have come in parts: to put them one behind the other is to merge them.
type merged struct {
	bytes []byte
	own   bool // bytes is no part of another message
}

func (m *merged) add(part []byte) {
	switch {
	case m.bytes == nil:
		m.bytes = part
	case !m.own:
		m.bytes, m.own = slices.Concat(m.bytes, part), true
	default:
		m.bytes = append(m.bytes, part...)
	}
}
