package host

import (
	"log/slog"
	"time"
)

// A flood counts the heartbeats of one process. One that beats without end must not keep the agent from hearing the others.
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

// admits reports whether a heartbeat of the process that calls itself inst is looked at. Who floods for seconds is replaced;
// what strangers do under its name is not its fault.
func (e *entry) admits(inst string, now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	i, f := e.known(inst), &e.others
	if i != nil {
		f = &i.flood
	}
	ok, begins := f.admits(now)
	if begins {
		e.flooded(i, f.floods)
	}
	return ok
}

// admits counts a heartbeat, and reports whether it is one too many, and the first such in this second.
func (f *flood) admits(now time.Time) (ok, begins bool) {
	if past := now.Sub(f.second); past >= time.Second {
		if f.beats <= mostBeats || past >= 2*time.Second {
			f.floods = 0
		}
		f.second, f.beats = now, 0
	}
	f.beats++
	if f.beats <= mostBeats {
		return true, false
	}
	f.dropped++
	if f.beats > mostBeats+1 {
		return false, false
	}
	f.floods++
	return false, true
}

// flooded acts on so many seconds of flood by i, or by a stranger. The caller has the lock.
func (e *entry) flooded(i *instance, seconds int) {
	switch {
	case seconds == 1:
		e.say(slog.LevelWarn, "plugin beats too often", "per_second_more_than", mostBeats)
	case seconds >= mostFloods && i != nil && !i.attached():
		i.child.Replace("it floods the bus with heartbeats")
	}
}
