package pulse

import (
	"hash/fnv"
	"math/rand/v2"
	"time"
)

const (
	firstRetry = time.Second     // after a hello without an answer; twice as long after the next
	comeBack   = 2 * time.Second // within it the first beat after the bus was away
	soonest    = time.Second     // between a beat and one that tells something new
	never      = time.Duration(1<<63 - 1)
)

// A schedule says when beats are due, by the monotonic clock: in whole intervals of a phase of the sender's own, so that many who
// begin at the same moment are spread over the interval; and out of turn.
type schedule struct {
	host, plugin string
	origin       time.Duration // of the phase
	interval     time.Duration
	last         time.Duration // when the last beat left
	due          time.Duration // the next in turn
	early        time.Duration // one out of turn; never: none
}

func newSchedule(o Options, interval, now time.Duration) schedule {
	return schedule{host: o.Host, plugin: o.Plugin, origin: now, interval: interval, due: now + upTo(o.First), early: never}
}

// beaten notes that a beat leaves now, after so many hellos without an answer.
func (c *schedule) beaten(now time.Duration, hellos int) {
	c.last, c.early = now, never
	c.plan()
	if hellos > 0 {
		c.retry(hellos)
	}
}

// follow makes interval the one of the beats.
func (c *schedule) follow(interval time.Duration) {
	c.interval = interval
	c.plan()
}

// plan makes the beat after the last one due by phase. One that has left a little early, which the next tenth of an interval
// tells, does not come twice.
func (c *schedule) plan() {
	first := c.origin + c.phase()
	if at := c.last + c.interval/10; at >= first {
		first += (at - first + c.interval) / c.interval * c.interval
	}
	c.due = first - c.interval + jittered(c.interval)
}

// phase is a fixed part of the interval.
func (c *schedule) phase() time.Duration {
	const parts = 1 << 20
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.host + "\x00" + c.plugin))
	return time.Duration(h.Sum64()%parts) * c.interval / parts
}

// retry makes the beat after so many hellos without an answer due: after 1 s, 2 s, 4 s ... up to the interval.
func (c *schedule) retry(hellos int) {
	if wait := firstRetry << min(hellos-1, 20); wait < c.interval {
		c.due = c.last + jittered(wait)
	}
}

// hasten makes one beat due at a time, out of turn.
func (c *schedule) hasten(at time.Duration) { c.early = min(c.early, at) }

// wait returns how long it is until the next beat.
func (c *schedule) wait(now time.Duration) time.Duration { return max(min(c.due, c.early)-now, 0) }

// jittered returns d, give or take a twentieth.
func jittered(d time.Duration) time.Duration { return d - d/20 + rand.N(d/10+1) }

// upTo returns a random time below d.
func upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
