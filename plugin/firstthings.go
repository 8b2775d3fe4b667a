package plugin

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

const (
	leftLook = 100 * time.Millisecond
	leftMost = 6 * time.Second // for the last questions of who read before: LeaseExpires, and some
	leftWait = 7 * time.Second // for what somebody had in hand who is gone: AckWait, and some
)

// firstThings is a source that another process has read before. What that one had in hand comes again when the stream believes
// it gone, behind what nobody has read yet: here it comes first, in the order of the stream.
type firstThings struct {
	source
	left  int    // that are still to come
	last  uint64 // of the stream, that the other one was given
	until time.Time
	held  []*delivery
}

func (s *firstThings) next(ctx context.Context) (*delivery, error) {
	if err := s.gather(ctx); err != nil {
		return nil, err
	}
	if len(s.held) == 0 {
		return s.source.next(ctx)
	}
	d := s.held[0]
	s.held[0] = nil
	s.held = s.held[1:]
	return d, nil
}

// gather holds what comes until all is there that the other one had in hand. The stream gives out no more than so much at a time.
func (s *firstThings) gather(ctx context.Context) error {
	if s.left == 0 {
		return nil
	}
	if s.until.IsZero() {
		s.until = time.Now().Add(leftWait)
	}
	patient, cancel := context.WithDeadline(ctx, s.until)
	defer cancel()
	for s.left > 0 {
		d, err := s.source.next(patient)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			s.left = 0 // settled after all, or gone from the stream
			break
		}
		if err != nil {
			return err
		}
		if s.held = append(s.held, d); d.seq <= s.last {
			s.left--
		}
	}
	slices.SortStableFunc(s.held, func(a, b *delivery) int { return cmp.Compare(a.seq, b.seq) })
	return nil
}

func (s *firstThings) ready() int { return len(s.held) + s.source.ready() }

// close gives back what was not given out.
func (s *firstThings) close(ctx context.Context) error {
	for _, d := range s.held {
		d.again(0)
	}
	return s.source.close(ctx)
}
