package otlp

import "github.com/pacewire/pacewire/telemetry"

// A kind is what the data points of a metric are.
type kind uint8

const (
	none kind = iota // no data, or of a kind that is not known
	gauge
	sum
	histogram
	exponential
	summary
)

// A metric is what its data points have in common.
type metric struct {
	name  string
	kind  kind
	delta bool // they tell the change since the last time
}

// temporalityDelta is the aggregation temporality of changes.
const temporalityDelta = 1

// A point is a data point of any kind. It is used again for the next one.
type point struct {
	attributes []telemetry.Tag
	start      uint64 // ns since 1970; 0: not known
	time       uint64
	flags      uint64
	amounts
	quantiles []quantile
	over      bool // there were more attributes, buckets or quantiles than a point may have
}

// noValue is the flag of a point that says only that there is nothing.
const noValue = 1

// amounts are what a point tells: those of one kind only.
type amounts struct {
	value telemetry.Value // of a gauge or a sum

	count     uint64
	sum       telemetry.Value // here and below: no value if it is not told
	min, max  telemetry.Value
	bounds    []float64
	counts    []uint64 // one more than bounds
	scale     int32
	zeros     uint64
	threshold float64 // what counts as zero
	positive  buckets
	negative  buckets
}

// buckets are those of an exponential histogram on one side of zero.
type buckets struct {
	offset int32 // index of the first
	counts []uint64
}

// A quantile is one of a summary.
type quantile struct{ q, value float64 }

// Bounds of a point. A body of a few MiB could tell of billions otherwise.
const (
	maxBuckets   = 4096
	maxQuantiles = 1024
)

// reset makes p an empty point, and keeps its memory.
func (p *point) reset() {
	*p = point{
		attributes: p.attributes[:0],
		quantiles:  p.quantiles[:0],
		amounts: amounts{
			bounds: p.bounds[:0], counts: p.counts[:0],
			positive: buckets{counts: p.positive.counts[:0]}, negative: buckets{counts: p.negative.counts[:0]},
		},
	}
}

// addAttribute adds an attribute, unless there are too many.
func (p *point) addAttribute(key, value string) {
	if len(p.attributes) >= telemetry.MaxTags {
		p.over = true
		return
	}
	p.attributes = append(p.attributes, telemetry.Tag{Key: key, Value: value})
}

// addCount adds the count of a bucket to counts, unless there are too many.
func (p *point) addCount(counts *[]uint64, n uint64) {
	if len(*counts) > maxBuckets {
		p.over = true
		return
	}
	*counts = append(*counts, n)
}

// addBound adds a bound of the buckets.
func (p *point) addBound(v float64) {
	if len(p.bounds) >= maxBuckets {
		p.over = true
		return
	}
	p.bounds = append(p.bounds, v)
}

// addQuantile adds a quantile.
func (p *point) addQuantile(q, value float64) {
	if len(p.quantiles) >= maxQuantiles {
		p.over = true
		return
	}
	p.quantiles = append(p.quantiles, quantile{q, value})
}
