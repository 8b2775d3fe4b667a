package munin

import "time"

// A reading is what a counter of a kind showed at a time. n is an int64 or a uint64, and a float64 of an absolute one.
type reading struct {
	at   time.Time
	kind string
	n    any
}

// rate returns what a counter has grown by in each second since an earlier reading of the same kind.
func (r reading) rate(last reading) float64 {
	seconds := r.at.Sub(last.at).Seconds()
	switch r.kind {
	case absolute:
		return toFloat(r.n) / seconds
	case counter:
		return float64(grown(toUint(last.n), toUint(r.n))) / seconds
	}
	a, ok1 := last.n.(int64)
	b, ok2 := r.n.(int64)
	if d := b - a; ok1 && ok2 && (d > 0) == (b > a) {
		return float64(d) / seconds // exact, however large they are
	}
	return (toFloat(r.n) - toFloat(last.n)) / seconds
}

// grown returns by how much a counter has grown that begins anew above 2^32 or 2^64: that of 32 bits is known by where it was.
func grown(from, to uint64) uint64 {
	if to < from && from < 1<<32 {
		return to + 1<<32 - from
	}
	return to - from
}

func toFloat(n any) float64 {
	switch n := n.(type) {
	case int64:
		return float64(n)
	case uint64:
		return float64(n)
	}
	return n.(float64)
}

func toUint(n any) uint64 {
	if n, ok := n.(uint64); ok {
		return n
	}
	return uint64(n.(int64))
}
