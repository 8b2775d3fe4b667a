package otlp

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Bounds of the totals.
const (
	maxTotals   = 100_000
	keepTotals  = time.Hour   // without a change
	sweepTotals = time.Minute // how often the old ones are looked for
	repeats     = 8           // changes of a series that are known when they come again
)

// deltas hold the total of each series that tells changes. Totals begin at zero, as counters do.
type deltas struct {
	mu     sync.Mutex
	totals map[string]*total
	swept  time.Time
}

// A total is what the changes of a series add up to. It is not changed: another one takes its place.
type total struct {
	amounts
	time   uint64          // of the last change
	recent [repeats]change // the last ones
	next   int             // place of the next in recent
	seen   time.Time
}

// A change is known by its time: from start to time.
type change struct{ start, time uint64 }

// A journal notes what a request did to the totals, so that it can be undone: its client will send the same again.
type journal []step

// A step is one total that took the place of another.
type step struct {
	key      string
	was, now *total
}

// add adds the change that p tells to the total of its series, and makes p the total. A change that has come before is not
// added again: p is the total as it is. It returns false when there are too many series.
func (j *journal) add(d *deltas, key []byte, p *point, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	was := d.totals[string(key)]
	if was != nil && was.knows(p) {
		p.become(was)
		return true
	}
	if was == nil && !d.room(now) {
		return false
	}
	t := was.plus(p)
	t.seen = now
	s := step{string(key), was, t}
	d.totals[s.key] = t
	*j = append(*j, s)
	p.become(t)
	return true
}

// undo takes the changes back, but for those of series that others have gone on with.
func (j journal) undo(d *deltas) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range slices.Backward(j) {
		switch {
		case d.totals[s.key] != s.now:
		case s.was == nil:
			delete(d.totals, s.key)
		default:
			d.totals[s.key] = s.was
		}
	}
}

// room reports whether there is a place for another series, and makes some if need be.
func (d *deltas) room(now time.Time) bool {
	if d.totals == nil {
		d.totals = map[string]*total{}
	}
	if now.Sub(d.swept) >= sweepTotals {
		d.swept = now
		for key, t := range d.totals {
			if now.Sub(t.seen) > keepTotals {
				delete(d.totals, key)
			}
		}
	}
	return len(d.totals) < maxTotals
}

// knows reports whether the change that p tells is in t.
func (t *total) knows(p *point) bool {
	return slices.Contains(t.recent[:], change{p.start, p.time})
}

// become makes p tell t. The smallest and the largest value stay those of the change.
func (p *point) become(t *total) {
	least, most := p.min, p.max
	p.amounts = t.amounts.clone(p.amounts)
	p.min, p.max, p.time = least, most, t.time
}

// plus returns t, which may be nil, and the change that p tells. A change that comes late counts, and moves no time back.
func (t *total) plus(p *point) *total {
	var sum total
	if t == nil {
		sum.amounts = p.amounts.clone(amounts{})
	} else {
		sum = *t
		sum.amounts = t.amounts.plus(&p.amounts)
	}
	sum.time = max(sum.time, p.time)
	sum.recent[sum.next] = change{p.start, p.time}
	sum.next = (sum.next + 1) % repeats
	return &sum
}

// clone returns a with the memory of over.
func (a *amounts) clone(over amounts) amounts {
	c := *a
	c.bounds = append(over.bounds[:0], a.bounds...)
	c.counts = append(over.counts[:0], a.counts...)
	c.positive.counts = append(over.positive.counts[:0], a.positive.counts...)
	c.negative.counts = append(over.negative.counts[:0], a.negative.counts...)
	return c
}

// plus returns a and b added up, in memory of its own. What cannot be added up, or has become too large, begins anew with b.
func (a *amounts) plus(b *amounts) amounts {
	s := b.clone(amounts{})
	if a.count+b.count > math.MaxInt64 || !slices.Equal(a.bounds, b.bounds) || len(a.counts) != len(b.counts) {
		return s
	}
	s.value, s.sum = addUp(a.value, b.value), addUp(a.sum, b.sum)
	s.count += a.count
	for i, n := range a.counts {
		s.counts[i] += n
	}
	s.zeros, s.threshold = a.zeros+b.zeros, max(a.threshold, b.threshold)
	if a.bucketTotal()+b.bucketTotal() > math.MaxInt64 {
		return b.clone(amounts{})
	}
	s.joinBuckets(a)
	return s
}

// addUp returns a and b added up; b alone where that is no number.
func addUp(a, b telemetry.Value) telemetry.Value {
	if !a.Present() || !b.Present() {
		return b
	}
	if a.Type() == telemetry.TypeInt && b.Type() == telemetry.TypeInt {
		if s := a.Int() + b.Int(); (s > a.Int()) == (b.Int() > 0) {
			return telemetry.Int(s)
		}
		return b
	}
	if s := a.Float() + b.Float(); isFinite(s) {
		return telemetry.Float(s)
	}
	return b
}
