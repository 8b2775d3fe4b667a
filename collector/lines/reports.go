package lines

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// reports are what goes wrong because of others. However often that is, each is logged once a second at most.
type reports struct {
	lines       throttle // cannot be read
	connections throttle // are too many, or cannot be had
	datagrams   throttle // were thrown away by the kernel
	bus         throttle // takes nothing
}

// A throttle lets one through in a second, and counts the others.
type throttle struct {
	mu   sync.Mutex
	next time.Time
	held int
}

// pass reports whether it is time for another one, and how many were held back since the last.
func (t *throttle) pass() (held int, ok bool) {
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

// A tooLongError is about a line that was left out for its length.
type tooLongError struct {
	line  int
	limit int
	start string
}

func (e *tooLongError) Error() string {
	return fmt.Sprintf("longer than %d bytes, begins with %q: send shorter lines, or raise max_line_bytes",
		e.limit, strings.ToValidUTF8(e.start, "\uFFFD"))
}
