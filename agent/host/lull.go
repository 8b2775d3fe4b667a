package host

import "time"

// A lull is since when a bus has said that nothing is left for a reader; zero: it has not.
type lull struct{ since time.Time }

// quietLook is how long nothing may be left for a reader before that is believed: a server that has just begun, or just begun to lead
// the consumer, may say so too early.
const quietLook = 3 * time.Second

// lasts notes what the bus has said, and reports whether it has said so for long enough to be true.
func (l *lull) lasts(quiet bool, now time.Time) bool {
	switch {
	case !quiet:
		l.since = time.Time{}
		return false
	case l.since.IsZero():
		l.since = now
	}
	return now.Sub(l.since) >= quietLook
}
