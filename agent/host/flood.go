package host

import (
	"log/slog"
	"time"
)

// A flood counts the heartbeats of one plugin. One that beats without end must not keep the agent from hearing the others.
type flood struct {
	second  time.Time
	beats   int // in this second
	floods  int // seconds in a row with too many
	dropped uint64
}

const (
	mostBeats  = 20 // in a second; a change of state is told at once, so there may be some
	mostFloods = 5  // seconds in a row, then the process is replaced
)

// admits reports whether a heartbeat of the plugin is looked at. Who floods for seconds is replaced.
func (e *entry) admits(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	f := &e.flood
	if past := now.Sub(f.second); past >= time.Second {
		if f.beats <= mostBeats || past >= 2*time.Second {
			f.floods = 0
		}
		f.second, f.beats = now, 0
	}
	f.beats++
	if f.beats <= mostBeats {
		return true
	}
	f.dropped++
	if f.beats == mostBeats+1 {
		f.floods++
		e.flooded(f.floods)
	}
	return false
}

// flooded acts on so many seconds of flood. The caller has the lock.
func (e *entry) flooded(seconds int) {
	switch {
	case seconds == 1:
		e.say(slog.LevelWarn, "plugin beats too often", "per_second_more_than", mostBeats)
	case seconds >= mostFloods && !e.now.attached():
		e.now.child.Replace("it floods the bus with heartbeats")
	}
}
