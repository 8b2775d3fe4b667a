// Package schedule tells when a collector is due.
package schedule

import (
	"hash/fnv"
	"io"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A Schedule gives the times at which a collector is due.
//
// With cron or align these are times of the wall clock, and the same wherever and whenever they are asked for. A plain
// interval has no such times: it counts from the first tick, and only its window is read from the wall clock.
type Schedule struct {
	words telemetry.Schedule
	every time.Duration
	splay time.Duration // this plugin's part of it
	first time.Duration // before the first tick of a plain interval
	from  time.Time
	until time.Time
	times func(after time.Time) time.Time // before splay and window; zero: none
}

// New returns the schedule of a plugin on a host. words may be the zero value: then every is all there is.
// The error is Faults when words are to blame.
func New(words telemetry.Schedule, every time.Duration, host, plugin string) (*Schedule, error) {
	faults := check(words)
	if every <= 0 && words.Cron == "" {
		faults = append(faults, Fault{"every", "there is no interval", `say "every: 10s", or give a cron`})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	s := &Schedule{words: words, every: every, from: instant(words.From), until: instant(words.Until)}
	span := time.Duration(words.SplayMS) * time.Millisecond
	s.splay, s.first = part(host, plugin, span), part(host, plugin, span)
	if span == 0 {
		s.first = part(host, plugin, min(time.Second, every))
	}
	s.times = s.base()
	return s, nil
}

// base returns the times without splay and window.
func (s *Schedule) base() func(after time.Time) time.Time {
	switch {
	case s.words.Cron != "":
		zone, _ := zoneOf(s.words.Timezone) // both were checked
		c, _ := parse(s.words.Cron, zone)
		return c.next
	case s.words.Align:
		return func(after time.Time) time.Time { return aligned(after, s.every) }
	}
	return func(after time.Time) time.Time { return after.Add(s.every) }
}

// Wall reports whether s follows the wall clock: Next then says when it is due. If not, it is due each Every after First.
func (s *Schedule) Wall() bool { return s.words.Cron != "" || s.words.Align }

// Every returns the interval; 0 with cron.
func (s *Schedule) Every() time.Duration {
	if s.words.Cron != "" {
		return 0
	}
	return s.every
}

// First returns how long after its begin a plain interval is due for the first time: the plugin's part of the splay, or,
// without one, of a second.
func (s *Schedule) First() time.Duration { return s.first }

// Opens returns the time before which s is not due; zero when there is none.
func (s *Schedule) Opens() time.Time { return s.from }

// Over reports whether s is not due at now, nor at any time after.
func (s *Schedule) Over(now time.Time) bool { return !s.until.IsZero() && !now.Before(s.until) }

// Count returns how many ticks there are in all; 0: no end.
func (s *Schedule) Count() int { return int(s.words.Count) }

// Next returns the first time after a given one at which s is due; ok is false when there is none any more.
func (s *Schedule) Next(after time.Time) (due time.Time, ok bool) {
	if before := s.from.Add(-1); !s.from.IsZero() && after.Before(before) {
		after = before
	}
	due = s.times(after.Add(-s.splay))
	if due.IsZero() {
		return time.Time{}, false
	}
	if due = due.Add(s.splay); s.Over(due) {
		return time.Time{}, false
	}
	return due, true
}

// mostPassed is how many times Passed counts at most: a day of seconds, and more than a month of minutes.
const mostPassed = 100_000

// Passed returns how many times of s lie after a given one and not after now, and the last of them. After 100,000 it goes on
// with the last minute: a clock that was years off is not worth the time to count them.
func (s *Schedule) Passed(after, now time.Time) (n int, last time.Time) {
	for due, ok := s.Next(after); ok && !due.After(now); due, ok = s.Next(due) {
		last = due
		if n++; n == mostPassed && due.Before(now.Add(-time.Minute)) {
			due = now.Add(-time.Minute)
		}
	}
	return n, last
}

// aligned returns the first multiple of every since the Unix epoch that is after t. Multiples since the epoch are the same
// on every machine whatever its time zone, and no day with a change of the clock has a short or a long one.
func aligned(t time.Time, every time.Duration) time.Time {
	n := t.UnixNano() / int64(every)
	return time.Unix(0, (n+1)*int64(every)).In(t.Location())
}

// part returns a part of span that is the same for this plugin each time, and another for each plugin and host.
func part(host, plugin string, span time.Duration) time.Duration {
	if span <= 0 {
		return 0
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, host+"/"+plugin)
	return time.Duration(h.Sum64() % uint64(span))
}

func instant(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns)
}
