package otlp

import (
	"math"

	"github.com/pacewire/pacewire/internal/bucket"
	"github.com/pacewire/pacewire/telemetry"
)

// maxScale bounds the scale of exponential histograms: beyond it all buckets look the same to a float.
const maxScale = 64

// checkHistogram says what is wrong with a histogram.
func (in *intake) checkHistogram() *fault {
	p := &in.point
	if len(p.counts) > 0 && len(p.counts) != len(p.bounds)+1 {
		return errBuckets
	}
	last := math.Inf(-1)
	for _, b := range p.bounds {
		if !isFinite(b) || b <= last {
			return errBuckets
		}
		last = b
	}
	return checkCounts(p.count, p.counts)
}

// checkExponential says what is wrong with an exponential histogram.
func (in *intake) checkExponential() *fault {
	p := &in.point
	if f := checkCounts(p.count, p.positive.counts); f != nil {
		return f
	}
	if f := checkCounts(p.zeros, p.negative.counts); f != nil {
		return f
	}
	if p.scale < -maxScale || p.scale > maxScale || !(p.threshold >= 0) || math.IsInf(p.threshold, 1) {
		return errBuckets
	}
	if p.bucketTotal() > math.MaxInt64 {
		return errCount
	}
	return nil
}

// bucketTotal returns how many values are in the buckets. Each side is known to have less than 2^63.
func (a *amounts) bucketTotal() uint64 {
	n := a.zeros
	for _, c := range a.positive.counts {
		n += c
	}
	below := uint64(0)
	for _, c := range a.negative.counts {
		below += c
	}
	if n > math.MaxInt64 {
		return n
	}
	return n + below
}

// checkCounts reports counts whose sum does not fit into an integer.
func checkCounts(count uint64, counts []uint64) *fault {
	if count > math.MaxInt64 {
		return errCount
	}
	total := uint64(0)
	for _, n := range counts {
		if n > math.MaxInt64 || total+n > math.MaxInt64 {
			return errCount
		}
		total += n
	}
	return nil
}

// checkSummary says what is wrong with a summary.
func (in *intake) checkSummary() *fault { return checkCounts(in.point.count, nil) }

// histogramRows adds the rows of a histogram of either kind.
func (in *intake) histogramRows() {
	p := &in.point
	in.row(in.nameOf(&in.names.count, "_count"), telemetry.Int(int64(p.count)))
	in.row(in.nameOf(&in.names.sum, "_sum"), p.sum)
	in.row(in.nameOf(&in.names.min, "_min"), p.min)
	in.row(in.nameOf(&in.names.max, "_max"), p.max)
	if in.metric.kind == exponential {
		in.exponentialRows()
		return
	}
	total := uint64(0)
	for i, n := range p.counts {
		total += n
		bound := math.Inf(1)
		if i < len(p.bounds) {
			bound = p.bounds[i]
		}
		in.bucketRow(bound, total)
	}
}

func (in *intake) bucketRow(bound float64, total uint64) {
	in.rowOf(in.nameOf(&in.names.bucket, "_bucket"), "le", bound, telemetry.Int(int64(total)))
}

// exponentialRows adds the rows of exponential buckets.
func (in *intake) exponentialRows() {
	p := &in.point
	e := bucket.Exponential[uint64]{
		Scale: p.scale, Threshold: p.threshold, Zeros: p.zeros, Positive: p.positive.run(), Negative: p.negative.run(),
	}
	e.Rungs(p.count, in.bucketRow)
}

// run returns b as package bucket has it.
func (b *buckets) run() []bucket.Run[uint64] {
	return []bucket.Run[uint64]{{First: int64(b.offset), Counts: b.counts}}
}

// summaryRows adds the rows of a summary.
func (in *intake) summaryRows() {
	p := &in.point
	in.row(in.nameOf(&in.names.count, "_count"), telemetry.Int(int64(p.count)))
	in.row(in.nameOf(&in.names.sum, "_sum"), p.sum)
	for _, q := range p.quantiles {
		in.rowOf(in.metric.name, "quantile", q.q, telemetry.Float(q.value))
	}
}
