package conform

import (
	"iter"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	away     = 2 * time.Second  // the bus
	backWait = 45 * time.Second // clients come back within 20 s each, at random
	tooLate  = time.Second      // that a beat is on its way
)

// outage is the scene of a plugin whose bus goes and comes back.
func outage(s *stage) {
	if !s.need("bus_restart", s.begins) {
		return
	}
	s.check("bus_restart", s.comesBack)
}

func (s *stage) comesBack() error {
	if _, err := s.feed(5); err != nil {
		return err
	}
	if err := s.busy(); err != nil {
		return err
	}
	s.g.stop()
	pause(s.ctx, away)
	if s.proc.ended() {
		return broken(nil, "it ended with %s as the bus was away%s", s.proc.exit(), s.proc.lastWords())
	}
	_ = s.proc.Signal(syscall.SIGSTOP) // we have to be back before it, to hear what it says first
	err := s.g.startAgain(s.ctx)
	_ = s.proc.Signal(syscall.SIGCONT) // the only error is that it has ended
	if err != nil {
		return skipped("the bus does not start again: %v", err)
	}
	since := time.Now()
	if err := s.until(s.ctx, backWait, "two heartbeats after the bus came back", func() bool { return len(s.since(since)) >= 2 }); err != nil {
		return err
	}
	for _, b := range s.since(since) {
		if b.err != nil {
			return broken(b.body, "a heartbeat cannot be read: %v", b.err)
		}
		if late := b.at.Sub(time.Unix(0, b.T1)); b.T1 > 0 && late > tooLate && time.Unix(0, b.T1).Before(since) {
			return broken(b.body, "a heartbeat is %v old: one that could not be sent must not be sent later", late.Round(time.Millisecond))
		}
	}
	return s.goesOn(len(s.own()))
}

// since returns the heartbeats that have come since a time.
func (s *stage) since(at time.Time) []beat {
	var some []beat
	for _, b := range s.all() {
		if b.at.After(at) {
			some = append(some, b)
		}
	}
	return some
}

// busy waits until the plugin has done something.
func (s *stage) busy() error {
	if s.kit.reads() {
		return s.done()
	}
	for end := time.Now().Add(4 * interval); len(s.own()) == 0 && time.Now().Before(end) && s.ctx.Err() == nil; {
		pause(s.ctx, 20*time.Millisecond) // it may have nothing to say
	}
	return nil
}

// goesOn looks whether work goes on, and nothing is missing.
func (s *stage) goesOn(before int) error {
	if s.kit.reads() {
		return s.worksOn()
	}
	if before == 0 {
		return nil
	}
	if err := s.until(s.ctx, 2*dataWait, "a batch after the bus came back", func() bool { return len(s.own()) > before }); err != nil {
		return err
	}
	return s.whole()
}

// times gives the times of the points of a stored batch.
func (w *ward) times(t bus.Tapped) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		var b telemetry.Batch
		if b.Decode(t.ContentType, "", t.Body, t.Stored) != nil {
			return
		}
		for p := range b.Points() {
			if !yield(p.Time) {
				return
			}
		}
	}
}
