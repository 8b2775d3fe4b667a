package otlp

import (
	"math"
	"slices"
	"strconv"

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

// exponentialRows adds the rows of exponential buckets: the negative ones from the lowest up, zero, the positive ones. Bounds
// that are the same as numbers, such as those beyond all numbers, make one row.
func (in *intake) exponentialRows() {
	p := &in.point
	total, last := uint64(0), math.Inf(-1)
	row := func(bound float64, n uint64) {
		if bound > last && !math.IsInf(last, -1) {
			in.bucketRow(last, total)
		}
		last, total = max(last, bound), total+n
	}
	for i, n := range slices.Backward(p.negative.counts) {
		row(-boundOf(p.scale, int64(p.negative.offset)+int64(i)), n)
	}
	row(p.threshold, p.zeros)
	for i, n := range p.positive.counts {
		row(boundOf(p.scale, int64(p.positive.offset)+int64(i)+1), n)
	}
	row(math.Inf(1), 0)
	in.bucketRow(last, max(total, p.count))
}

// boundOf returns base^i where base is 2^(2^-scale), to 15 digits: the last ones differ from machine to machine, and the tag
// would.
func boundOf(scale int32, i int64) float64 {
	v := math.Exp2(math.Ldexp(float64(i), -int(scale)))
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 15, 64), 64)
	if err != nil {
		return math.Inf(1) // there is no larger number that is one
	}
	return rounded
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
