package oracle

import "time"

// A Gap is the longest time between two arrivals. Its zero value has seen none.
type Gap struct {
	last time.Time
	most time.Duration
}

// Came notes an arrival.
func (g *Gap) Came(at time.Time) {
	if !g.last.IsZero() {
		g.most = max(g.most, at.Sub(g.last))
	}
	g.last = at
}

// Longest returns the longest time between two arrivals, or from the last one until now.
func (g *Gap) Longest(now time.Time) time.Duration {
	if g.last.IsZero() {
		return 0
	}
	return max(g.most, now.Sub(g.last))
}
