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
	maxTotals   = 100_000     // of weight 1
	keepTotals  = time.Hour   // without a change
	sweepTotals = time.Minute // how often the old ones are looked for
	repeats     = 8           // changes of a series that are known when they come again
)

// deltas hold the total of each series that tells changes. Totals begin at zero, as counters do.
type deltas struct {
	mu     sync.Mutex
	totals map[string]*total
	weight int // of all
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
	d.sweep(now)
	was := d.totals[string(key)]
	if was != nil && was.knows(p) {
		p.become(was)
		return true
	}
	t := was.plus(p)
	t.seen = now
	if more := t.weight() - was.weight(); more > 0 && d.weight+more > maxTotals {
		return false
	}
	s := step{string(key), was, t}
	d.set(s.key, t)
	*j = append(*j, s)
	p.become(t)
	return true
}

// undo takes the changes back, but for those of series that others have gone on with.
func (j journal) undo(d *deltas) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range slices.Backward(j) {
		if d.totals[s.key] == s.now {
			d.set(s.key, s.was)
		}
	}
}

// set makes t, which may be nil, the total of a series.
func (d *deltas) set(key string, t *total) {
	d.weight += t.weight() - d.totals[key].weight()
	switch {
	case t == nil:
		delete(d.totals, key)
	case d.totals == nil:
		d.totals = map[string]*total{key: t}
	default:
		d.totals[key] = t
	}
}

// sweep forgets the totals that have not changed for long, now and then.
func (d *deltas) sweep(now time.Time) {
	if now.Sub(d.swept) < sweepTotals {
		return
	}
	d.swept = now
	for key, t := range d.totals {
		if now.Sub(t.seen) > keepTotals {
			d.set(key, nil)
		}
	}
}

// weight tells how much memory t, which may be nil, takes: as much as 16 buckets weighs 1.
func (t *total) weight() int {
	if t == nil {
		return 0
	}
	return 1 + (len(t.counts)+len(t.positive.counts)+len(t.negative.counts))/16
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
