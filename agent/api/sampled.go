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

// mostLag is how far, in time at its budget, a reader may fall behind before it jumps to the newest. It jumps no more often than
// that: the server keeps the consumer of each tap that has ended for a while.
const mostLag = 5 * time.Second

// A sampled reader looks at METRICS as far as its budgets go, and skips the rest. It is a tap, so it slows nobody down; what it
// takes of the machine is bounded by the budgets.
type sampled struct {
	own    *budget
	shared *budget // of several readers; nil: none
	lasts  bool    // it waits for a stream that is not there, or that it may not read, instead of ending

	read    atomic.Uint64 // batches
	skipped atomic.Uint64 // batches; with filters those that waited when it jumped, so it may have been some more
	foreign atomic.Uint64 // messages that are no batch

	mean   float64 // bytes of a message, smoothed
	seq    uint64  // of the last message; where there are filters 0
	jumped time.Time
}

// run gives f messages until ctx ends, f returns an error, or there is nothing to be read.
func (p *sampled) run(ctx context.Context, s *Server, filters []string, f func(bus.Tapped) error) error {
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
		switch {
		case stop != nil || errors.Is(err, errLags):
		case !p.lasts && (errors.Is(err, bus.ErrNoStream) || errors.Is(err, bus.ErrDenied)):
			return err
		default:
			pause(ctx, s.o.Times.Connect) // the stream is not there, or the connection has ended
		}
	}
	return stop
}

// afford waits until n bytes may be read.
func (p *sampled) afford(ctx context.Context, n int) bool {
	p.mean += (float64(n) - p.mean) / 16
	return p.own.take(ctx, n) && (p.shared == nil || p.shared.take(ctx, n))
}

// lag returns errLags when what waits behind m is more than can be read soon.
func (p *sampled) lag(m bus.Tapped) error {
	if time.Since(p.jumped) < mostLag || float64(m.Pending)*p.mean <= mostLag.Seconds()*p.own.rate {
		return nil
	}
	p.jumped = time.Now()
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

// readMetrics keeps recent values until ctx ends.
func (s *Server) readMetrics(ctx context.Context) {
	var b telemetry.Batch
	_ = s.read.run(ctx, s, nil, func(m bus.Tapped) error {
		if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
			s.read.foreign.Add(1)
			return nil
		}
		s.store.Add(&b, m.Subject.Host, m.Subject.Plugin, time.Now())
		return nil
	})
}
