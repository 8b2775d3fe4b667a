package listen

import (
	"sync"
	"time"
)

// A Throttle is for the log of what goes wrong because of others, however often that is: it lets one through in a second, and
// counts the others.
type Throttle struct {
	mu   sync.Mutex
	next time.Time
	held int
}

// Pass reports whether it is time for another one, and how many were held back since the last.
func (t *Throttle) Pass() (held int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.next) {
		t.held++
		return 0, false
	}
	held = t.held
	t.next, t.held = now.Add(time.Second), 0
	return held, true
}
