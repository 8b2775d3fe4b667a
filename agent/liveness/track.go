package liveness

import "time"

// A Track follows the beats of one instance: which sequences came, and when the last fresh one did. Its zero value is that of
// an instance never heard.
type Track struct {
	Received, Lost  uint64        // of this instance
	Late, Duplicate uint64        // of all
	Heard           time.Duration // when the last fresh one arrived, monotonic

	first uint64 // sequence heard first; the watcher may have begun later than the sender
	top   uint64 // highest sequence; 0: none
	seen  uint64 // bit n: top-n came
}

const (
	window = 64 // sequences back, in which a late one is told from one that came twice

	// mostLost is how many beats a jump of the sequence counts as lost at most: so many are never lost in one silence, and
	// a counter that says 2^64 tells nobody anything.
	mostLost = 1 << 16
)

// Take orders a beat that arrived at now.
func (t *Track) Take(seq uint64, now time.Duration) Order {
	switch {
	case t.top == 0 || seq > t.top:
		t.forward(seq)
		t.Heard = now
		return Fresh
	case t.top-seq >= window || seq < t.first:
		t.Late++ // or a duplicate: nobody remembers
		return Late
	case t.seen&(1<<(t.top-seq)) != 0:
		t.Duplicate++
		return Duplicate
	}
	t.seen |= 1 << (t.top - seq)
	t.Late++
	t.Received++
	if t.Lost > 0 {
		t.Lost-- // it was counted when a newer one came
	}
	return Late
}

// forward takes the highest sequence so far.
func (t *Track) forward(seq uint64) {
	gap := seq - t.top
	if t.top == 0 {
		gap, t.first = 1, seq // what came before is not lost
	}
	t.Lost += min(gap-1, mostLost)
	t.seen = t.seen<<min(gap, window) | 1 // a shift by 64 leaves nothing
	t.top = seq
	t.Received++
}

// Restart begins with another instance. What counts all instances goes on.
func (t *Track) Restart() { *t = Track{Late: t.Late, Duplicate: t.Duplicate, Heard: t.Heard} }

// Silent returns for how long nothing fresh came.
func (t *Track) Silent(now time.Duration) time.Duration { return max(0, now-t.Heard) }
