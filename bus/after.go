package bus

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// After returns how much a stream holds after a sequence, by the average of its messages, and what share that is of all it may hold,
// in bytes or in time: the larger one. At 1 the limits take the first of that.
func (s StreamState) After(place uint64, now time.Time) (bytes uint64, share float64) {
	place = max(place, max(s.FirstSeq, 1)-1)
	if s.Messages == 0 || place >= s.LastSeq { // a reader has moved on since the stream was asked
		return 0, 0
	}
	part := min(1, float64(s.LastSeq-place)/float64(s.Messages))
	bytes = uint64(part * float64(s.Bytes))
	if s.MaxBytes > 0 {
		share = float64(bytes) / float64(s.MaxBytes)
	}
	if s.MaxAge > 0 {
		share = max(share, part*float64(now.Sub(s.FirstTime))/float64(s.MaxAge))
	}
	return bytes, share
}

// Lags reports whether a reader for which such a share of a stream waits is told to be behind. It is still for a while when it was
// before: one at the border would be told of again and again.
func Lags(share float64, before bool) bool { return share > 0.5 || before && share > 0.4 }

// An Oldest knows when the first message for a reader of a stream behind its place was stored. What is settled stays in a stream until
// it is too old: by the oldest message of one in which little comes, as After has it, all that is fresh is old.
type Oldest struct {
	Stream  string
	Filters []string // of the reader; nil: none

	made, stored time.Time
	place        uint64
}

// Share is the share that After tells, by the time of the first message behind place itself. That asks the bus, once for each place:
// only who Lags by After needs it.
func (o *Oldest) Share(ctx context.Context, c *Conn, s StreamState, place uint64, now time.Time) (share float64, err error) {
	age := s.MaxAge
	s.MaxAge = 0
	if _, share = s.After(place, now); age <= 0 || share > 0.5 {
		return share, nil // it lags by its bytes, whatever its age
	}
	if o.stored.IsZero() || o.place != place || !o.made.Equal(s.Made) {
		if o.stored, err = o.ask(ctx, c, place, now); err != nil {
			return 0, err
		}
		o.place, o.made = place, s.Made
	}
	return max(share, float64(now.Sub(o.stored))/float64(age)), nil
}

// ask returns when the first message behind place was stored; now where there is none.
func (o *Oldest) ask(ctx context.Context, c *Conn, place uint64, now time.Time) (stored time.Time, err error) {
	found := errors.New("found")
	err = c.Tap(ctx, TapOptions{Stream: o.Stream, Filters: o.Filters, From: place + 1, Once: true}, func(t Tapped) error {
		stored = t.Stored
		return found
	})
	switch {
	case errors.Is(err, found):
		return stored, nil
	case err == nil && ctx.Err() == nil: // it was read meanwhile, or is gone
		return now, nil
	}
	return time.Time{}, fmt.Errorf("age of what is behind %d in %s: %w", place, o.Stream, errors.Join(err, ctx.Err()))
}
