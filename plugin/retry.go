package plugin

import (
	"math/rand/v2"
	"time"
)

// pause returns how long to wait before try number try+1: what the other side asked for, else 1 s, 2 s ... 1 min, for
// somebody to act 30 s ... 5 min; with full jitter above the first half, so that many do not come back at once.
func pause(v verdict, try int) time.Duration {
	if v.after > 0 {
		return v.after
	}
	first, most := time.Second, time.Minute
	if v.denied {
		first, most = 30*time.Second, 5*time.Minute
	}
	d := min(first<<min(try-1, 10), most)
	return d/2 + rand.N(d/2+1)
}
