package otlp

import "math"

// joinBuckets adds the exponential buckets of b to those of a: at the lower scale of both, or at one so low that there are not
// too many. A step down in scale makes one bucket of two.
func (a *amounts) joinBuckets(b *amounts) {
	scale := min(a.scale, b.scale)
	for ; ; scale-- {
		up, down := uint(a.scale-scale), uint(b.scale-scale)
		if spanOf(a.positive, up, b.positive, down) <= maxBuckets && spanOf(a.negative, up, b.negative, down) <= maxBuckets {
			a.positive = joined(a.positive, up, b.positive, down)
			a.negative = joined(a.negative, up, b.negative, down)
			a.scale = scale
			return
		}
	}
}

// span returns the index of the first bucket and that behind the last one, so many steps of scale down.
func (b buckets) span(down uint) (from, to int64) {
	if len(b.counts) == 0 {
		return math.MaxInt64, math.MinInt64
	}
	return int64(b.offset) >> down, (int64(b.offset)+int64(len(b.counts))-1)>>down + 1
}

// spanOf returns how many buckets the two have together.
func spanOf(a buckets, aDown uint, b buckets, bDown uint) int64 {
	aFrom, aTo := a.span(aDown)
	bFrom, bTo := b.span(bDown)
	if from, to := min(aFrom, bFrom), max(aTo, bTo); from < to {
		return to - from
	}
	return 0
}

// joined returns the buckets of a and b, each so many steps of scale down.
func joined(a buckets, aDown uint, b buckets, bDown uint) buckets {
	n := spanOf(a, aDown, b, bDown)
	if n == 0 {
		return buckets{}
	}
	aFrom, _ := a.span(aDown)
	bFrom, _ := b.span(bDown)
	from := min(aFrom, bFrom)
	sum := buckets{offset: int32(from), counts: make([]uint64, n)}
	for i, c := range a.counts {
		sum.counts[(int64(a.offset)+int64(i))>>aDown-from] += c
	}
	for i, c := range b.counts {
		sum.counts[(int64(b.offset)+int64(i))>>bDown-from] += c
	}
	return sum
}
