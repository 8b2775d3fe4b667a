package pulse

import "time"

// An Instant is a moment by all clocks of the sender.
type Instant struct {
	Wall   int64         // ns since 1970, as people set it
	Mono   time.Duration // since the clock was made, without the time that the machine slept
	Asleep time.Duration // that the machine has slept since it booted; 0 where that cannot be told
	HostUp time.Duration // since the machine booted, sleep too; 0 where that cannot be told
}

// A Clock tells Instants.
type Clock struct{ begun time.Time }

// NewClock returns a clock whose monotonic time begins now.
func NewClock() Clock { return Clock{time.Now()} }

// Now returns the present moment.
func (c Clock) Now() Instant {
	now := time.Now()
	up, asleep := sinceBoot()
	return Instant{Wall: now.UnixNano(), Mono: now.Sub(c.begun), Asleep: asleep, HostUp: up}
}
