package prometheus

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/pacewire/pacewire/internal/bucket"
	"github.com/pacewire/pacewire/internal/protobuf"
)

// mostBuckets is how many native buckets a histogram may have on one side of zero.
const mostBuckets = 4096

// Schemas of native buckets whose bounds are powers.
const (
	leastSchema = -4
	mostSchema  = 8
)

var (
	errSpans   = errors.New("native buckets that do not fit their spans")
	errCounts  = errors.New("a native bucket with less than nothing in it")
	errZero    = errors.New("a zero bucket without a width")
	errBuckets = fmt.Errorf("more than %d native buckets", mostBuckets)
)

// A histogramMessage is what a Histogram tells, but for its classic buckets. Its memory is used again for the next one.
type histogramMessage struct {
	count      uint64
	countFloat float64 // instead of count, if there is one
	sum        float64
	schema     int32
	threshold  float64
	zeros      uint64
	zerosFloat float64 // likewise
	positive   side
	negative   side
}

// A side is the native buckets of a histogram on one side of zero.
type side struct {
	spans  []span
	deltas []int64   // what is in a bucket, less what is in the one before; of whole values
	floats []float64 // what is in a bucket, of histograms that count parts

	counts []float64 // of either
	runs   []bucket.Run[float64]
}

// A span is buckets side by side.
type span struct {
	offset int32 // from the end of the span before, or from the bucket that ends at 1
	length uint32
}

// begin makes h ready for another Histogram.
func (h *histogramMessage) begin() {
	*h = histogramMessage{positive: h.positive.empty(), negative: h.negative.empty()}
}

func (s side) empty() side {
	return side{spans: s.spans[:0], deltas: s.deltas[:0], floats: s.floats[:0], counts: s.counts[:0], runs: s.runs[:0]}
}

// readHistogram reads a Histogram.
func (d *Decoder) readHistogram(msg []byte) error {
	m := &d.message
	h := &m.histogram
	if err := h.read(msg); err != nil {
		return err
	}
	count := float64(h.count)
	if h.countFloat > 0 {
		count = h.countFloat
	}
	var err error
	if h.isNative() {
		err = d.addNative(count)
	} else {
		err = d.addClassic(msg, count)
	}
	if err == nil {
		d.add(m.series(&m.names.sum, "_sum"), "", h.sum)
		d.add(m.series(&m.names.count, "_count"), "", count)
	}
	return err
}

// read reads a Histogram, but for its classic buckets.
func (h *histogramMessage) read(msg []byte) error {
	h.begin()
	f := protobuf.Fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | varint:
			h.count = f.Bits
		case 2<<typeBits | fixed64:
			h.sum = f.Float()
		case 4<<typeBits | fixed64:
			h.countFloat = f.Float()
		case 5<<typeBits | varint:
			h.schema = f.Signed()
		case 6<<typeBits | fixed64:
			h.threshold = f.Float()
		case 7<<typeBits | varint:
			h.zeros = f.Bits
		case 8<<typeBits | fixed64:
			h.zerosFloat = f.Float()
		case 9<<typeBits | sized:
			f.Err = h.negative.readSpan(f.Bytes)
		case 10<<typeBits | varint, 10<<typeBits | sized:
			f.Err = h.negative.readDeltas(&f)
		case 11<<typeBits | fixed64, 11<<typeBits | sized:
			f.Err = h.negative.readFloats(&f)
		case 12<<typeBits | sized:
			f.Err = h.positive.readSpan(f.Bytes)
		case 13<<typeBits | varint, 13<<typeBits | sized:
			f.Err = h.positive.readDeltas(&f)
		case 14<<typeBits | fixed64, 14<<typeBits | sized:
			f.Err = h.positive.readFloats(&f)
		}
	}
	return f.Err
}

// readSpan reads a BucketSpan.
func (s *side) readSpan(msg []byte) error {
	var one span
	f := protobuf.Fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | varint:
			one.offset = f.Signed()
		case 2<<typeBits | varint:
			one.length = uint32(f.Bits)
		}
	}
	s.spans = within(s.spans, one)
	return f.Err
}

func (s *side) readDeltas(f *protobuf.Fields) error {
	return f.EachVarint(func(bits uint64) { s.deltas = within(s.deltas, protobuf.Signed(bits)) })
}

func (s *side) readFloats(f *protobuf.Fields) error {
	return f.EachFixed(func(bits uint64) { s.floats = within(s.floats, math.Float64frombits(bits)) })
}

// within adds v to list, unless there is one too many already.
func within[T any](list []T, v T) []T {
	if len(list) > mostBuckets {
		return list
	}
	return append(list, v)
}

// isNative reports whether h has native buckets. One that is empty says so by a span of no length.
func (h *histogramMessage) isNative() bool {
	return len(h.positive.spans) > 0 || len(h.negative.spans) > 0 || h.threshold > 0 || h.zeros > 0 || h.zerosFloat > 0
}

// addNative adds the buckets of a native histogram.
func (d *Decoder) addNative(count float64) error {
	e, err := d.message.histogram.exponential()
	if err == nil {
		e.Rungs(count, d.addBucket)
	}
	return err
}

// exponential returns the native buckets of h.
func (h *histogramMessage) exponential() (e bucket.Exponential[float64], err error) {
	if h.schema < leastSchema || h.schema > mostSchema {
		return e, fmt.Errorf("schema %d of native buckets: want %d to %d, as this format has no bounds of other ones", h.schema, leastSchema, mostSchema)
	}
	if !(h.threshold >= 0) || math.IsInf(h.threshold, 1) {
		return e, errZero
	}
	zeros, parts := float64(h.zeros), h.zerosFloat > 0 || h.countFloat > 0
	if h.zerosFloat > 0 {
		zeros = h.zerosFloat
	}
	positive, err := h.positive.fit(parts)
	if err != nil {
		return e, err
	}
	negative, err := h.negative.fit(parts)
	return bucket.Exponential[float64]{Scale: h.schema, Threshold: h.threshold, Zeros: zeros, Positive: positive, Negative: negative}, err
}

// fit returns the buckets of s: its spans, and what is in them. parts says whether that is told as floats.
func (s *side) fit(parts bool) ([]bucket.Run[float64], error) {
	if parts {
		s.counts = append(s.counts, s.floats...)
	} else {
		s.addUp()
	}
	switch {
	case len(s.counts) > mostBuckets, len(s.spans) > mostBuckets:
		return nil, errBuckets
	case slices.ContainsFunc(s.counts, func(n float64) bool { return !(n >= 0) }):
		return nil, errCounts
	}
	rest, index := s.counts, int64(0)
	for i, one := range s.spans {
		if int64(one.length) > int64(len(rest)) || i > 0 && one.offset < 0 {
			return nil, errSpans
		}
		index += int64(one.offset)
		// A bucket is named by its upper bound here, by its lower one in a run.
		s.runs = append(s.runs, bucket.Run[float64]{First: index - 1, Counts: rest[:one.length]})
		index, rest = index+int64(one.length), rest[one.length:]
	}
	if len(rest) > 0 {
		return nil, errSpans
	}
	return s.runs, nil
}

// addUp makes counts of the deltas.
func (s *side) addUp() {
	total := int64(0)
	for _, n := range s.deltas {
		total += n
		s.counts = append(s.counts, float64(total))
	}
}

// addClassic adds the buckets of a classic histogram. That of all values may be left out in a message.
func (d *Decoder) addClassic(msg []byte, count float64) error {
	whole := false
	var f protobuf.Fields
	err := f.Each(msg, 3<<typeBits|sized, func(msg []byte) error {
		bound, err := d.readBucket(msg)
		whole = whole || math.IsInf(bound, 1)
		return err
	})
	if err == nil && !whole {
		d.addBucket(math.Inf(1), count)
	}
	return err
}

// readBucket reads and adds a Bucket.
func (d *Decoder) readBucket(msg []byte) (bound float64, err error) {
	total, parts := uint64(0), 0.0
	f := protobuf.Fields{Rest: msg}
	for f.Next() {
		switch f.Tag {
		case 1<<typeBits | varint:
			total = f.Bits
		case 2<<typeBits | fixed64:
			bound = f.Float()
		case 4<<typeBits | fixed64:
			parts = f.Float()
		}
	}
	if f.Err != nil {
		return 0, f.Err
	}
	if parts > 0 {
		d.addBucket(bound, parts)
	} else {
		d.addBucket(bound, float64(total))
	}
	return bound, nil
}

func (d *Decoder) addBucket(bound, total float64) {
	m := &d.message
	d.add(m.series(&m.names.bucket, "_bucket"), d.numbers.Of(bound), total)
}
