package conform

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// life is the scene of a plugin whose agent is content with it.
func life(s *stage) {
	if !s.need("config", s.begins) {
		return
	}
	s.kit.settle("config", nil, nil)
	s.ready()
	fed, err := s.feed(10)
	if err != nil {
		s.over = err
	}
	s.check("beats", s.beatsSteadily)
	s.check("beat", s.beatsNow)
	s.check("ping", s.pings)
	s.check("refresh_cached", func() error { return s.refreshes(telemetry.ModeCached) })
	s.check("refresh_collect", func() error { return s.refreshes(telemetry.ModeCollect) })
	s.results(fed)
	s.check("drain", s.drains, "goodbye")
	s.check("goodbye", s.goodbye)
}

// begins starts the plugin and gives it its settings.
func (s *stage) begins() error {
	rev := s.give(s.kit.o.Config)
	if err := s.start(); err != nil {
		return err
	}
	return s.inForce(s.ctx, rev)
}

// again starts the plugin anew before a check, if the check before has ended it, which was told then.
func (s *stage) again(check func() error) func() error {
	return func() error {
		if s.proc.ended() {
			if err := s.begins(); err != nil {
				return err
			}
		}
		return check()
	}
}

// soon is how long that may take which a plugin does at once.
const soon = 15 * time.Second

const steadyBeats = 5

// steady returns the heartbeats since a time that are no hello and have no list of the inventory.
func (w *ward) steady(since time.Time) []beat {
	return slices.DeleteFunc(w.all(), func(b beat) bool {
		return b.at.Before(since) || b.err == nil && (b.Hello || len(b.Inventory) > 0 || b.Manifest != nil)
	})
}

// beatsSteadily looks at some heartbeats in a row.
func (s *stage) beatsSteadily() error {
	since := time.Now()
	limit := 8 * steadyBeats * interval
	if err := s.until(s.ctx, limit, fmt.Sprintf("%d heartbeats, one each second as next_ms wants it", steadyBeats), func() bool {
		return len(s.steady(since)) >= steadyBeats
	}); err != nil {
		return err
	}
	all := s.all()
	for i, b := range all {
		if err := s.follows(all[:i], b); err != nil {
			return err
		}
	}
	beats := s.steady(since)
	for _, b := range beats {
		if len(b.body) > 1024 {
			return broken(b.body, "a steady heartbeat has %d bytes: want at most 1,024, without manifest and inv_list", len(b.body))
		}
	}
	return obeysInterval(beats)
}

// follows looks whether b can come after the heartbeats before it.
func (s *stage) follows(before []beat, b beat) error {
	no := func(format string, args ...any) error { return broken(b.body, format, args...) }
	switch {
	case b.err != nil:
		return no("a heartbeat cannot be read: %v", b.err)
	case b.Inst != s.proc.inst:
		return no("inst is %q, and was %q", b.Inst, s.proc.inst)
	case b.T1 != 0 && b.at.Sub(time.Unix(0, b.T1)).Abs() > clockOff:
		return no("t1 is %v off: want the wall clock in ns", b.at.Sub(time.Unix(0, b.T1)).Round(time.Second))
	case len(before) == 0:
		return nil
	}
	last := before[len(before)-1]
	switch {
	case b.Seq != last.Seq+1:
		return no("seq is %d after %d: want one more each time", b.Seq, last.Seq)
	case b.Mono1 != 0 && b.Mono1 <= last.Mono1:
		return no("mono1 goes back, from %d to %d", last.Mono1, b.Mono1)
	case b.UpMS < last.UpMS:
		return no("up_ms goes back, from %d to %d", last.UpMS, b.UpMS)
	}
	return nil
}

const clockOff = 30 * time.Second

// obeysInterval compares the gaps between heartbeats with the interval that was asked for. One late beat says nothing on a busy
// machine, the middle one of the gaps does.
func obeysInterval(beats []beat) error {
	var gaps []time.Duration
	for i, b := range beats[1:] {
		gaps = append(gaps, b.at.Sub(beats[i].at))
	}
	last := beats[len(beats)-1]
	if last.IntervalMS != interval.Milliseconds() {
		return broken(last.body, "int_ms is %d: the agent asks for %d by next_ms", last.IntervalMS, interval.Milliseconds())
	}
	slices.SortFunc(gaps, cmp.Compare)
	switch middle := gaps[len(gaps)/2]; {
	case middle > interval*5/2:
		return broken(last.body, "it beats each %v: want each %v", middle.Round(time.Millisecond), interval)
	case middle < interval/2:
		return broken(last.body, "it beats each %v: want each %v, and more only when something has changed", middle.Round(time.Millisecond), interval)
	}
	return nil
}

// beatsNow asks for a beat.
func (s *stage) beatsNow() error {
	since := time.Now()
	reply, body, err := s.ask(s.ctx, "beat", telemetry.CtlRequest{})
	if err != nil {
		return err
	}
	if !reply.OK {
		return broken(body, "it does not beat when asked to")
	}
	if err := s.until(s.ctx, soon, "a hello, as it was asked to beat", func() bool {
		return slices.ContainsFunc(s.all(), func(b beat) bool { return b.at.After(since) && b.Hello })
	}); err != nil {
		return err
	}
	all := s.all()
	b := all[slices.IndexFunc(all, func(b beat) bool { return b.at.After(since) && b.Hello })]
	if b.Manifest == nil {
		return broken(b.body, "asked for a beat it says hello without a manifest")
	}
	return nil
}

// pings asks whether it is there.
func (s *stage) pings() error {
	reply, body, err := s.ask(s.ctx, "ping", telemetry.CtlRequest{})
	switch {
	case err != nil:
		return err
	case !reply.OK:
		return broken(body, "a ping is not answered with ok")
	case len(reply.Payload) == 0:
		return nil
	}
	if _, _, err := telemetry.DecodeStats(reply.Payload); err != nil {
		return broken(body, "the counters in the answer to ping cannot be read: %v", err)
	}
	return nil
}
