package loadtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/internal/oracle"
)

// A Sink is an HTTP server at the end of a pipeline: it takes line protocol by POST and knows each point by its number.
type Sink struct {
	*Server

	seen   []atomic.Uint32 // by number: how often it came
	at     func(i int)
	bodies sync.Pool

	got, invented, bad, size atomic.Int64

	mu  sync.Mutex
	gap oracle.Gap // between points that came for the first time
}

// NewSink starts a sink for the points below n. at is told of each at its first arrival, by several goroutines; nil: nobody asks.
func NewSink(n int, at func(i int)) (s *Sink, err error) {
	s = &Sink{seen: make([]atomic.Uint32, n), at: at}
	s.bodies.New = func() any { return new(bytes.Buffer) }
	s.Server, err = Serve(http.HandlerFunc(s.serve))
	return s, err
}

// serve takes whole requests only: of one that is cut off nothing counts, and nothing was confirmed.
func (s *Sink) serve(w http.ResponseWriter, r *http.Request) {
	buf := s.bodies.Get().(*bytes.Buffer)
	defer s.bodies.Put(buf)
	buf.Reset()
	if _, err := io.Copy(buf, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.size.Add(int64(buf.Len()))
	if s.take(buf.Bytes()) {
		s.cameAt(time.Now())
	}
	w.WriteHeader(http.StatusNoContent)
}

// take notes the points of text, and reports whether one of them is new.
func (s *Sink) take(text []byte) (fresh bool) {
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			end = len(text)
		}
		fresh = s.point(text[:end]) || fresh
		text = text[min(end+1, len(text)):]
	}
	return fresh
}

// point notes a point, and reports whether it comes for the first time.
func (s *Sink) point(line []byte) (fresh bool) {
	i, ok := numberOf(line)
	switch {
	case !ok:
		s.bad.Add(1)
	case i >= len(s.seen) || Dropped(i):
		s.invented.Add(1)
	case s.seen[i].Add(1) == 1:
		s.got.Add(1)
		if s.at != nil {
			s.at(i)
		}
		return true
	}
	return false
}

// cameAt notes when new points came.
func (s *Sink) cameAt(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap.Came(now)
}

// Gap returns the longest time between two arrivals of new points. That after the last one does not count.
func (s *Sink) Gap() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.gap.Most()
}

// Times returns how often point i came.
func (s *Sink) Times(i int) int { return int(s.seen[i].Load()) }

// Got returns how many different points have come.
func (s *Sink) Got() int { return int(s.got.Load()) }

// Bytes returns how much text has come.
func (s *Sink) Bytes() int64 { return s.size.Load() }

// A Count compares what came with what was sent.
type Count struct {
	Want     int // different points
	Lost     int
	Doubled  int // different points that came more than once
	Invented int // points that nobody sent
	Bad      int // lines that are no points
}

// String says all of it in a line.
func (c Count) String() string {
	return fmt.Sprintf("of %d points %d were lost, %d came twice, %d were invented, %d could not be read", c.Want, c.Lost, c.Doubled, c.Invented, c.Bad)
}

// OK reports whether every point came exactly once, and nothing else.
func (c Count) OK() bool { return c == Count{Want: c.Want} }

// Count compares what has come with the first n points, which were sent.
func (s *Sink) Count(n int) Count {
	c := Count{Want: Arriving(n), Invented: int(s.invented.Load()), Bad: int(s.bad.Load())}
	for i := range s.seen {
		switch times := s.Times(i); {
		case i >= n && times > 0:
			c.Invented++
		case i < n && times == 0 && !Dropped(i):
			c.Lost++
		case i < n && times > 1:
			c.Doubled++
		}
	}
	return c
}

const look = 20 * time.Millisecond

// Settle waits until the first n points have come, or no further one has for patience, and returns the count.
func (s *Sink) Settle(ctx context.Context, n int, patience time.Duration) (Count, error) {
	t := time.NewTicker(look)
	defer t.Stop()
	last, since := -1, time.Now()
	for s.Got() < Arriving(n) && time.Since(since) < patience {
		select {
		case <-ctx.Done():
			return s.Count(n), ctx.Err()
		case <-t.C:
		}
		if got := s.Got(); got != last {
			last, since = got, time.Now()
		}
	}
	return s.Count(n), nil
}
