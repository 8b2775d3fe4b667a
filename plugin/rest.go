package plugin

import (
	"runtime/debug"
	"time"
)

// A rester gives memory back to the system while a plugin has little to do: what it needed to start, or in a burst, should
// not be held for days.
type rester struct {
	last  time.Time
	bytes uint64
}

const (
	restEvery = 30 * time.Second
	restBelow = 256 << 10 // bytes in and out since the last look that still count as little
)

// look is called with each heartbeat.
func (r *rester) look(c *counters, now time.Time) {
	if now.Sub(r.last) < restEvery && !r.last.IsZero() {
		return
	}
	bytes := c.bytesIn.Load() + c.bytesOut.Load()
	quiet := bytes-r.bytes < restBelow
	r.last, r.bytes = now, bytes
	if quiet {
		debug.FreeOSMemory()
	}
}
