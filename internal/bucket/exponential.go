// Package bucket tells histograms with exponential buckets as those with bounds are told: cumulated, from the lowest bound up.
package bucket

import (
	"math"
	"slices"
	"strconv"
)

// A Count is how many values there are; some count parts of them.
type Count interface{ uint64 | float64 }

// Exponential is the buckets of a histogram. Their base is 2^(2^-Scale).
type Exponential[N Count] struct {
	Scale     int32
	Threshold float64 // what is not further from zero counts as zero
	Zeros     N
	Positive  []Run[N] // from zero outwards
	Negative  []Run[N] // likewise
}

// A Run is buckets side by side. The one of index i holds what is above base^i and not above base^(i+1), on its side of zero.
type Run[N Count] struct {
	First  int64 // index
	Counts []N
}

// Rungs calls do for each bound, from the lowest up, with how many values are not above it. The last bound is +Inf, with count or
// what is in the buckets, whichever is more. What is between two runs is one bucket. Bounds that are the same as numbers, such as
// those beyond all numbers, are one.
func (e *Exponential[N]) Rungs(count N, do func(bound float64, total N)) {
	l := ladder[N]{do: do, last: math.Inf(-1)}
	for _, r := range slices.Backward(e.Negative) {
		if len(r.Counts) > 0 {
			l.up(0-Bound(e.Scale, r.First+int64(len(r.Counts))), 0) // 0-: no zero has a sign
		}
		for i, n := range slices.Backward(r.Counts) {
			l.up(0-Bound(e.Scale, r.First+int64(i)), n)
		}
	}
	l.up(e.Threshold, e.Zeros)
	for _, r := range e.Positive {
		if len(r.Counts) > 0 {
			l.up(Bound(e.Scale, r.First), 0)
		}
		for i, n := range r.Counts {
			l.up(Bound(e.Scale, r.First+int64(i)+1), n)
		}
	}
	l.up(math.Inf(1), 0)
	do(l.last, max(l.total, count))
}

// A ladder adds up what is in buckets.
type ladder[N Count] struct {
	do    func(bound float64, total N)
	last  float64 // the bound reached; -Inf: none
	total N
}

// up goes on to a bound, below which there are n more values. The bound before it is told then.
func (l *ladder[N]) up(bound float64, n N) {
	if bound > l.last && !math.IsInf(l.last, -1) {
		l.do(l.last, l.total)
	}
	l.last, l.total = max(l.last, bound), l.total+n
}

// Bound returns base^i where base is 2^(2^-scale), to 15 digits. It takes roots and products alone, which are the same on all
// machines, as the tag has to be: math.Exp2 is not.
func Bound(scale int32, i int64) float64 {
	whole, part := math.Modf(math.Ldexp(float64(i), -int(scale)))
	if part < 0 {
		whole, part = whole-1, part+1
	}
	v := 1.0
	for root := math.Sqrt2; part > 0; root = math.Sqrt(root) {
		if part *= 2; part >= 1 {
			v *= root
			part--
		}
	}
	v = math.Ldexp(v, int(max(-maxPower, min(whole, maxPower))))
	rounded, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 15, 64), 64)
	if err != nil {
		return math.Inf(1) // there is no larger number that is one
	}
	return rounded
}

// maxPower is a power of two beyond all numbers.
const maxPower = 2000
