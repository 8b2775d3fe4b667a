package plugin

import (
	"maps"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// counters are what is counted for every plugin, told in each heartbeat.
type counters struct {
	pointsIn, pointsOut, batchesIn, batchesOut, bytesIn, bytesOut atomic.Uint64
	redelivered, dead, ticks, missed                              atomic.Uint64
	calls                                                         latencies

	mu      sync.Mutex
	errors  map[string]uint64 // by class
	dropped map[string]uint64 // points, by reason
	refused map[string]uint64 // likewise, those that their senders keep
	last    *telemetry.Fault
	lastAt  time.Time

	lost func(reason string, n int) // is told of each drop and refusal; nil: nobody is
}

// drop counts n points that are lost, by reason.
func (c *counters) drop(reason string, n int) { c.add(&c.dropped, reason, n) }

// refuse counts n points that their sender was told to keep, by reason.
func (c *counters) refuse(reason string, n int) { c.add(&c.refused, reason, n) }

func (c *counters) add(to *map[string]uint64, reason string, n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	if *to == nil {
		*to = map[string]uint64{}
	}
	(*to)[reason] += uint64(n)
	c.mu.Unlock()
	if c.lost != nil {
		c.lost(reason, n)
	}
}

// drops counts what a batch left out.
func (c *counters) drops(d *telemetry.Drops) {
	d.Each(func(code telemetry.Code, n int) { c.drop(code.String(), n) })
}

// fail counts an error and keeps it as the last.
func (c *counters) fail(class string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.errors == nil {
		c.errors = map[string]uint64{}
	}
	c.errors[class]++
	c.last = &telemetry.Fault{Code: class, Message: shorten(oneLine(err.Error()))}
	c.lastAt = time.Now()
}

// lastFault returns the last error with its age, nil when there was none.
func (c *counters) lastFault() *telemetry.Fault {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last == nil {
		return nil
	}
	f := *c.last
	f.AgeMS = time.Since(c.lastAt).Milliseconds()
	return &f
}

// shorten keeps a heartbeat small whatever an error says.
func shorten(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}

// stats returns the counts as a heartbeat carries them.
func (c *counters) stats() *telemetry.Stats {
	s := &telemetry.Stats{
		PointsIn: c.pointsIn.Load(), PointsOut: c.pointsOut.Load(),
		BatchesIn: c.batchesIn.Load(), BatchesOut: c.batchesOut.Load(),
		BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		Redelivered: c.redelivered.Load(), Dead: c.dead.Load(),
		Ticks: c.ticks.Load(), Missed: c.missed.Load(),
		LastError: c.lastFault(),
	}
	s.Calls, s.CallP50US, s.CallP99US, s.CallMaxUS = c.calls.summary()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.Errors, s.Dropped, s.Refused = clone(c.errors), clone(c.dropped), clone(c.refused)
	return s
}

func clone(m map[string]uint64) map[string]uint64 {
	if len(m) == 0 {
		return nil
	}
	n := make(map[string]uint64, len(m))
	maps.Copy(n, m)
	return n
}

// latencies counts call times in buckets a quarter of a power of two wide, so a percentile is right within a fifth.
type latencies struct {
	buckets [bucketCount]atomic.Uint64
	max     atomic.Uint64 // us
}

const bucketCount = 4 * 40

func (l *latencies) note(d time.Duration) {
	us := uint64(max(d.Microseconds(), 0))
	l.buckets[bucketOf(us)].Add(1)
	for {
		old := l.max.Load()
		if us <= old || l.max.CompareAndSwap(old, us) {
			return
		}
	}
}

func bucketOf(us uint64) int {
	if us < 4 {
		return int(us)
	}
	exp := bits.Len64(us) - 1
	return min(4*(exp-1)+int(us>>(exp-2)&3), bucketCount-1)
}

// boundOf returns the largest number of microseconds in bucket i.
func boundOf(i int) uint64 {
	if i < 4 {
		return uint64(i)
	}
	exp, quarter := i/4+1, uint64(i%4)
	return (4+quarter+1)<<(exp-2) - 1
}

func (l *latencies) summary() (calls, p50, p99, most uint64) {
	var counts [bucketCount]uint64
	for i := range counts {
		counts[i] = l.buckets[i].Load()
		calls += counts[i]
	}
	most = l.max.Load()
	at := func(share float64) uint64 {
		rest := uint64(share * float64(calls))
		for i, n := range counts {
			if n > rest {
				return min(boundOf(i), most)
			}
			rest -= n
		}
		return most
	}
	if calls == 0 {
		return 0, 0, 0, 0
	}
	return calls, at(0.50), at(0.99), most
}
