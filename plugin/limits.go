package plugin

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// limits bound what a plugin may send: points a second, and series at a time. They belong to the process: all its lanes share
// them, and a change of config forgets nothing.
type limits struct {
	seed  maphash.Seed
	begun time.Time

	mu     sync.Mutex
	bucket bucket
	census census
	hashes []uint64 // of a batch, to be used again
	mask   []bool   // likewise
}

// Reasons for which points are dropped, or refused, as counters, heartbeats and events name them.
const (
	dropOverflow = "overflow"      // the queue to the bus was full
	dropFlood    = "dropped_flood" // more than max_rate
	dropSeries   = "series_limit"  // of more series than max_series
	refusedFlood = "refused_flood" // more than max_rate, and their sender waits for an answer: it keeps them
)

func newLimits() *limits { return &limits{seed: maphash.MakeSeed(), begun: time.Now()} }

// set sets the bounds that w asks for.
func (l *limits) set(w telemetry.Work) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if rate := float64(w.MaxRate); rate != l.bucket.rate {
		l.bucket = bucket{rate: rate}
	}
	l.census.most = int(w.MaxSeries)
	if l.census.most == 0 {
		l.census = census{}
	}
}

// apply takes from b, which is about host, what is more than the plugin may send, and returns how many points of it. With whole,
// the rate takes all points or none.
func (l *limits) apply(b *telemetry.Batch, host string, whole bool) (flood, series int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bucket.rate > 0 {
		flood = l.slow(b, whole)
	}
	if l.census.most > 0 && (flood == 0 || !whole) {
		series = l.count(b, host)
	}
	return flood, series
}

// slow drops the points at the end of b that the rate does not let pass, and returns how many. Those of a whole batch it only
// counts.
func (l *limits) slow(b *telemetry.Batch, whole bool) (dropped int) {
	n, now := b.Len(), time.Now()
	if whole {
		if l.bucket.all(n, now) {
			return 0
		}
		return n
	}
	pass := l.bucket.some(n, now)
	if pass < n {
		b.Slice(0, pass)
	}
	return n - pass
}

// count drops the points of b whose series find no place, and returns how many.
func (l *limits) count(b *telemetry.Batch, host string) (dropped int) {
	of := maphash.String(l.seed, host)
	minute := uint32(time.Since(l.begun)/time.Minute) + 1
	for g := range b.Groups() {
		l.hashes = g.SeriesHashes(l.seed, l.hashes[:0])
		for row := range l.hashes {
			l.hashes[row] += of
		}
		l.mask = slices.Grow(l.mask[:0], g.Len())[:g.Len()]
		if n := l.census.admit(l.hashes, minute, l.mask); n > 0 {
			dropped += n
			g.Select(l.mask)
		}
	}
	return dropped
}

// limit takes from b, which is about host, what is more than the plugin may send, and counts it. The error says so to whoever
// waits for an answer; with whole it is ErrFlood when none of b is to be sent.
func (s *Session) limit(b *telemetry.Batch, host string, whole bool) error {
	if s.limits == nil {
		return nil
	}
	flood, series := s.limits.apply(b, host, whole)
	if whole {
		s.count.refuse(refusedFlood, flood)
	} else {
		s.count.drop(dropFlood, flood)
	}
	s.count.drop(dropSeries, series)
	switch {
	case series > 0:
		return &SeriesLimitError{series}
	case flood > 0:
		return ErrFlood
	}
	return nil
}
