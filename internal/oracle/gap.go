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

// Most returns the longest time between two arrivals.
func (g *Gap) Most() time.Duration { return g.most }

// Restart forgets the gaps so far, but for the one that goes on.
func (g *Gap) Restart() { g.most = 0 }

// Longest returns the longest time between two arrivals, or from the last one until now.
func (g *Gap) Longest(now time.Time) time.Duration {
	if g.last.IsZero() {
		return 0
	}
	return max(g.most, now.Sub(g.last))
}
