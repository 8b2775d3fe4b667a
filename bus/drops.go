package bus

import (
	"time"

	"github.com/pacewire/pacewire/internal/amount"
)

// Drops tells, from one look at a stream to the next, what its limits have taken. It is for a stream from which people remove messages
// too: what goes while there is room and nothing is old went by hand.
type Drops struct {
	was    StreamState
	untold uint64
	told   time.Time
}

// See takes a look into account, and returns how many messages the limits have taken since the one before: at most so many, as of a
// stream that is full some may have been removed by hand. The first look is compared with nothing.
func (d *Drops) See(s StreamState, now time.Time) uint64 {
	was := d.was
	d.was = s
	if !was.Made.Equal(s.Made) || s.LastSeq < was.LastSeq {
		return 0
	}
	had := was.Messages + s.LastSeq - was.LastSeq
	gone := min(had-min(had, s.Messages), s.FirstSeq-min(s.FirstSeq, was.FirstSeq))
	old := was.Messages > 0 && was.MaxAge > 0 && now.Sub(was.FirstTime) >= was.MaxAge
	if !old && !s.full() {
		return 0
	}
	d.untold += gone
	return gone
}

// Due returns how many are to be told now, so that it is done once in a while: 0 is not yet, or none.
func (d *Drops) Due(now time.Time, every time.Duration) uint64 {
	if d.untold == 0 || now.Sub(d.told) < every {
		return 0
	}
	n := d.untold
	d.untold, d.told = 0, now
	return n
}

// LettersLost says in words that the limits of DEAD have taken n letters.
func LettersLost(n uint64) string {
	return "at most " + amount.Of(n, "dead letter was", "dead letters were") + " dropped by the limits of their stream (64 MiB or less, 30 days), the oldest first: " +
		"see pacewire dead list, mend what is refused, and retry or drop"
}

// full reports whether the next large message pushes out the oldest.
func (s StreamState) full() bool {
	room := min(max(s.MaxBytes/16, 1<<20), s.MaxBytes/2)
	return s.MaxBytes > 0 && int64(s.Bytes) > s.MaxBytes-room
}
