package bus

import "time"

const (
	// leaveAfter is for how long we go on with what was fetched when the connection is lost: others are given it after AckWait, less
	// the age of the last signal.
	leaveAfter = 3 * time.Second

	sharedFor = time.Minute // who shares a busy consumer sees that all the time
)

// count notes whether others read the same consumer: it numbers what it gives, and what we do not get somebody else does. A message
// that was lost on its way looks the same for a while. The lock is held.
func (k *Consumer) count(d *Delivery, now time.Time) {
	if k.given > 0 && d.consumerSeq > k.given+1 {
		k.shared = now
	}
	k.given = d.consumerSeq
}

// leave drops what was fetched and not given out, when we are away for so long that others are given it. Who reads alone keeps it: it
// would only come again. The lock is held.
func (k *Consumer) leave(now time.Time) {
	if k.away.IsZero() || now.Sub(k.away) < leaveAfter || k.shared.IsZero() || k.away.Sub(k.shared) > sharedFor {
		return
	}
	for msg := k.first(); msg != nil; msg = k.first() { // reset asks for more
		if msg.Reply != "" {
			k.stats.Left++
		}
	}
}
