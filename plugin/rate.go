package plugin

import "time"

// A bucket bounds how many points a second may pass. It holds what was saved up, of one second at most.
type bucket struct {
	rate  float64 // points a second; 0: no bound
	saved float64 // below 0: owed
	last  time.Time
}

// fill adds what has come together since the last call.
func (b *bucket) fill(now time.Time) {
	if b.last.IsZero() {
		b.saved = b.rate
	} else {
		b.saved = min(b.rate, b.saved+b.rate*now.Sub(b.last).Seconds())
	}
	b.last = now
}

// some returns how many of n points may pass now.
func (b *bucket) some(n int, now time.Time) int {
	if b.rate == 0 {
		return n
	}
	b.fill(now)
	pass := min(n, max(0, int(b.saved)))
	b.saved -= float64(pass)
	return pass
}

// all reports whether n points may pass now, all or none. More than ever come together pass when the bucket is full, and the
// next ones wait for longer.
func (b *bucket) all(n int, now time.Time) bool {
	if b.rate == 0 {
		return true
	}
	b.fill(now)
	if b.saved < min(float64(n), b.rate) {
		return false
	}
	b.saved -= float64(n)
	return true
}
