package uplink

import "time"

// A pace is how many bytes may be on the way. A fixed window would be wrong on a slow link: all of it would lie in the buffers of the
// way, where the question whether the bus is there waits behind it, and what is new too. So it grows while answers come soon, and
// shrinks when they do not.
type pace struct {
	most  int // never more
	now   int
	slack time.Time // when it shrank last
}

const (
	paceFirst = 128 << 10
	paceLeast = 16 << 10
	paceSoon  = 500 * time.Millisecond
	paceLate  = 1500 * time.Millisecond // well before a publisher takes silence for a fault
)

func newPace(most int) pace { return pace{most: most, now: min(paceFirst, most)} }

// answered takes into account that a message of size bytes, sent at a time, has its answer now.
func (p *pace) answered(size int, sent, now time.Time) {
	switch took := now.Sub(sent); {
	case took < paceSoon:
		p.now = min(p.most, p.now+size) // twice as much each round trip
	case took > paceLate && sent.After(p.slack):
		p.now, p.slack = max(paceLeast, p.now/2), now
	}
}
