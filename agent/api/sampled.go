package api

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// errLags ends a tap that has fallen behind: the next one begins with what is new.
var errLags = errors.New("lags")

// mostLag is how far, in time at its budget, a reader may fall behind before it jumps to the newest.
const mostLag = 5 * time.Second

// A sampled reader looks at METRICS as far as its budget goes, and skips the rest. It is a tap, so it slows nobody down; what it
// takes of the machine is bounded by the budget.
type sampled struct {
	budget int // bytes a second

	read    atomic.Uint64 // batches
	skipped atomic.Uint64 // batches; with filters those that waited when it jumped, so it may have been some more
	foreign atomic.Uint64 // messages that are no batch

	left float64 // bytes that may be read now; below 0 it waits
	last time.Time
	mean float64 // bytes of a message, smoothed
	seq  uint64  // of the last message; where there are filters 0
}

// run gives f messages until ctx ends or f returns an error.
func (p *sampled) run(ctx context.Context, s *Server, filters []string, f func(bus.Tapped) error) error {
	p.left, p.last = float64(p.budget), time.Now()
	var stop error
	for ctx.Err() == nil && stop == nil {
		conn := s.o.Conn()
		if conn == nil {
			pause(ctx, s.o.Times.Connect)
			continue
		}
		err := conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamMetrics, Filters: filters}, func(m bus.Tapped) error {
			if len(filters) == 0 {
				p.follow(m.Seq)
			}
			if !p.afford(ctx, len(m.Body)) {
				return ctx.Err()
			}
			p.read.Add(1)
			if stop = f(m); stop != nil {
				return stop
			}
			return p.lag(m)
		})
		if !errors.Is(err, errLags) && stop == nil {
			pause(ctx, s.o.Times.Connect) // the stream is not there, or the connection has ended
		}
	}
	return stop
}

// afford waits until n bytes may be read.
func (p *sampled) afford(ctx context.Context, n int) bool {
	now := time.Now()
	rate := float64(p.budget)
	p.left = min(rate, p.left+now.Sub(p.last).Seconds()*rate) - float64(n)
	p.last = now
	p.mean += (float64(n) - p.mean) / 16
	if p.left >= 0 {
		return true
	}
	return pause(ctx, time.Duration(-p.left/rate*float64(time.Second)))
}

// lag returns errLags when what waits behind m is more than can be read soon.
func (p *sampled) lag(m bus.Tapped) error {
	if float64(m.Pending)*p.mean <= mostLag.Seconds()*float64(p.budget) {
		return nil
	}
	if p.seq == 0 {
		p.skipped.Add(m.Pending)
	}
	return errLags
}

// follow counts what lies between two messages as skipped.
func (p *sampled) follow(seq uint64) {
	if p.seq > 0 && seq > p.seq { // else the stream was made anew
		p.skipped.Add(seq - p.seq - 1)
	}
	p.seq = seq
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// readMetrics keeps recent values until ctx ends.
func (s *Server) readMetrics(ctx context.Context) {
	var b telemetry.Batch
	s.read.budget = s.o.Budget
	_ = s.read.run(ctx, s, nil, func(m bus.Tapped) error {
		if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
			s.read.foreign.Add(1)
			return nil
		}
		s.store.Add(&b, m.Subject.Host, m.Subject.Plugin, time.Now())
		return nil
	})
}
