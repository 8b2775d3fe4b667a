package supervise

import (
	"math/rand/v2"
	"slices"
	"time"
)

const (
	firstPause   = time.Second
	longestPause = time.Minute
	maxStarts    = 10
	startWindow  = 10 * time.Minute
)

// backoff decides how long a child that ended has to wait for its next start:
// 0, 1, 2, 4 ... 60 s, each and up to a quarter more so that many do not start as one. So a child that ends at once has
// seven starts in its first minute.
type backoff struct {
	healthy time.Duration
	random  func() float64 // in [0, 1)
	starts  []time.Time    // since the last healthy run, within the window
	crashes int            // since the last healthy run
}

func newBackoff(healthy time.Duration) *backoff {
	return &backoff{healthy: healthy, random: rand.Float64}
}

// started notes a start.
func (b *backoff) started(at time.Time) { b.starts = append(b.starts, at) }

// ended is the pause until the next start; tired means that there were as many
// starts as the window allows.
func (b *backoff) ended(at time.Time) (pause time.Duration, tired bool) {
	if at.Sub(b.starts[len(b.starts)-1]) >= b.healthy {
		b.starts, b.crashes = nil, 0
	}
	b.crashes++
	b.starts = slices.DeleteFunc(b.starts, func(t time.Time) bool { return at.Sub(t) > startWindow })
	if len(b.starts) >= maxStarts {
		return 0, true
	}
	if b.crashes == 1 {
		return 0, false // the first may be an accident: back at once
	}
	doubled := firstPause << min(b.crashes-2, 6)
	pause = min(doubled, longestPause)
	return pause + time.Duration(float64(pause)/4*b.random()), false
}
