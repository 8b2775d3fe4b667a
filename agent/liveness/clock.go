package liveness

import (
	"fmt"
	"math"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// clock compares the clocks of a peer with each other and with the watcher's. It tells, and never judges.
type clock struct {
	ahead  int64         // wall against monotonic clock of the sender, ns
	offset int64         // sender against watcher, µs
	jitter int64         // of offset, µs
	since  time.Duration // when it began to be skewed
	quiet  int8          // beats for which a step of the offset is the echo of one told

	timed, measured bool // ahead and offset are known
	skewed, told    bool
}

// echo is how many beats the filtered offset needs to follow a step: it is the best of the last eight.
const echo = 10

// restart forgets what another process does not share.
func (c *clock) restart() { c.timed, c.measured, c.jitter = false, false, 0 }

// clocks compares the clocks after a fresh beat.
func (w *Watch) clocks(p *peer, b *telemetry.Heartbeat, now Instant) {
	c := &p.clock
	c.quiet = max(0, c.quiet-1)
	if now.Mono-w.guard.stepped < echo*p.interval && w.guard.stepped != 0 || b.ResumedMS > 0 {
		c.quiet = echo // the watcher's own clock was set, or the sender slept
		c.timed = c.timed && b.ResumedMS == 0
	}
	step := max(c.advance(b), c.drift(b))
	if step != 0 && c.quiet == 0 {
		c.quiet = echo
		w.tell(p, Change{Type: TypeClockStep, Message: fmt.Sprintf("the clock of %s was set by %v", p.label(), round(step))}, now)
	}
	w.skew(p, b, now)
}

// advance returns by how much the sender's wall clock has moved against its monotonic one: 0 unless it was set.
func (c *clock) advance(b *telemetry.Heartbeat) time.Duration {
	if b.T1 == 0 || b.Mono1 == 0 {
		return 0
	}
	ahead := minus(b.T1, b.Mono1)
	moved := apart(ahead, c.ahead)
	known := c.timed
	c.ahead, c.timed = ahead, true
	if !known || moved <= stepLeast {
		return 0
	}
	return moved
}

// drift returns by how much the offset to the sender's clock has moved: 0 when that may be jitter.
func (c *clock) drift(b *telemetry.Heartbeat) time.Duration {
	if b.RTTUS == 0 && b.OffsetUS == 0 {
		return 0
	}
	moved := micros(apart(b.OffsetUS, c.offset))
	limit := max(stepLeast, 5*micros(time.Duration(c.jitter)))
	known := c.measured
	c.offset, c.measured = b.OffsetUS, true
	if !known {
		return 0
	}
	if moved > limit {
		return moved
	}
	c.jitter += (moved.Microseconds() - c.jitter) / 8
	return 0
}

// skew tells once when the clocks have been apart for too long. When most are, it is the watcher's that is wrong.
func (w *Watch) skew(p *peer, b *telemetry.Heartbeat, now Instant) {
	c := &p.clock
	off, known := offset(b, now)
	if !known {
		return
	}
	if skewed := off > skewLeast; skewed != c.skewed {
		c.skewed, c.since, c.told = skewed, now.Mono, false
		w.skewed += map[bool]int{true: 1, false: -1}[skewed]
	}
	if !c.skewed || c.told || now.Mono-c.since < skewFor {
		return
	}
	c.told = true
	if w.skewed >= 3 && 2*w.skewed > w.Len() {
		w.skewedSelf(now)
		return
	}
	w.tell(p, Change{Type: TypeClockSkew, Message: fmt.Sprintf("the clock of %s is %v off", p.label(), round(off))}, now)
}

// skewedSelf blames the watcher's clock, once while that lasts.
func (w *Watch) skewedSelf(now Instant) {
	if w.blamed != 0 && now.Mono-w.blamed < skewFor {
		w.blamed = now.Mono
		return
	}
	w.blamed = now.Mono
	w.tellAll(Change{
		Type: TypeClockSkew, Reason: ReasonSelf, Count: uint64(w.skewed),
		Message: fmt.Sprintf("the clock here is off: %d of %d hosts do not agree with it", w.skewed, w.Len()),
	}, now)
}

// offset returns how far the sender's clock is from the watcher's: as it has measured, else as a beat without delay would say.
func offset(b *telemetry.Heartbeat, now Instant) (time.Duration, bool) {
	switch {
	case b.RTTUS != 0 || b.OffsetUS != 0:
		return micros(apart(b.OffsetUS, 0)), true
	case b.T1 != 0:
		return apart(b.T1, now.Wall.UnixNano()), true
	}
	return 0, false
}

// minus is a - b, at the end of the range when it is beyond.
func minus(a, b int64) int64 {
	d := a - b
	if (a < b) == (d < 0) {
		return d
	}
	if a < b {
		return math.MinInt64
	}
	return math.MaxInt64
}

// apart is the distance of a and b.
func apart(a, b int64) time.Duration {
	d := minus(a, b)
	if d == math.MinInt64 {
		return math.MaxInt64
	}
	return time.Duration(max(d, -d))
}

// micros is so many microseconds, at most what a Duration holds.
func micros(n time.Duration) time.Duration {
	return min(n, math.MaxInt64/time.Microsecond) * time.Microsecond
}

// round makes a duration readable.
func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(time.Second)
}
