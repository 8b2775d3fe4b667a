package plugin

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/pacewire/pacewire/internal/schedule"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	// wakeTime is how long nobody looks at the wall clock while a time on it is waited for. Timers do not follow when it
	// is set, and stand still while the machine sleeps.
	wakeTime = 30 * time.Second

	// graceTime is how late a tick still is worth having when the clock has jumped over its time, and only its: a clock
	// that is set forward by some seconds costs no daily tick.
	graceTime = time.Minute

	// onTime is how late a tick may be to count as made at its time.
	onTime = time.Second

	// backTime is how far the wall clock may be set back before the schedule begins anew. Up to there no tick comes twice
	// for the same time; from there on waiting for the clock to be there again would be the greater harm.
	backTime = 3 * time.Hour
)

// Ticks yields a time at each interval, or whenever the schedule says, in whole microseconds, until ctx ends.
//
// A plain interval counts on a clock that nobody sets; its first tick comes within a second, or the splay, at a place that
// differs from plugin to plugin. Cron and aligned intervals go by the wall clock: what a jump of it skips is missed, and
// nothing comes twice. A tick that is due while the last one is still worked on is dropped; all that is missed is counted.
func (s *Session) Ticks(ctx context.Context) iter.Seq[time.Time] { return s.ticks(ctx, wallClock) }

// wallClock returns what the clock of the machine shows, however it came to show it.
func wallClock() time.Time { return time.Now().Round(0) }

func (s *Session) ticks(ctx context.Context, clock func() time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		if s.once {
			s.count.ticks.Add(1)
			yield(clock().Truncate(time.Microsecond))
			return
		}
		var words telemetry.Schedule
		if s.work.Schedule != nil {
			words = *s.work.Schedule
		}
		every := time.Duration(s.work.EveryMS) * time.Millisecond
		if every <= 0 && words.Cron == "" {
			<-ctx.Done()
			return
		}
		t, err := newTicker(s, words, every)
		if err != nil {
			_ = s.Note(Permanent(fmt.Errorf("schedule: %w", err)))
			<-ctx.Done()
			return
		}
		t.clock, t.yield = clock, yield
		t.run(ctx)
	}
}

// A ticker makes the ticks of a session.
type ticker struct {
	s     *Session
	plan  *schedule.Schedule
	tally *schedule.Tally
	clock func() time.Time // the wall clock
	yield func(time.Time) bool

	deaf    bool // it was said that the tally cannot be kept
	overran bool // it was said that the work takes longer than the interval
}

func newTicker(s *Session, words telemetry.Schedule, every time.Duration) (*ticker, error) {
	plan, err := schedule.New(words, every, s.Env.Host, s.Env.Name)
	if err != nil {
		return nil, err
	}
	tally, err := schedule.OpenTally(s.Env.Dir, plan)
	if err != nil {
		s.log.Warn("count of ticks not read", "error", err)
	}
	return &ticker{s: s, plan: plan, tally: tally}, nil
}

// run ticks until ctx ends, or whoever works on the ticks wants no more. When there are no more it waits for the end.
func (t *ticker) run(ctx context.Context) {
	over := false
	if t.plan.Wall() {
		over = t.byWall(ctx)
	} else {
		over = t.byInterval(ctx)
	}
	if !over {
		return
	}
	t.s.status.idle(errors.New("the schedule is over"))
	for {
		select {
		case <-ctx.Done():
			return
		case o := <-t.s.refresh: // nothing to collect anew
			close(o.done)
		}
	}
}

// byInterval ticks at a plain interval, and reports whether there are no more ticks. It looks at the wall clock only for
// the window.
func (t *ticker) byInterval(ctx context.Context) (over bool) {
	every := t.plan.Every()
	if opens := t.plan.Opens(); !opens.IsZero() && !t.await(ctx, opens, time.Time{}) {
		return false
	}
	due := time.Now().Add(t.plan.First())
	for t.tally.Left() {
		if !sleep(ctx, time.Until(due)) {
			return false
		}
		now := t.clock()
		if t.plan.Over(now) {
			return true
		}
		begun := time.Now()
		if !t.tick(now) {
			return false
		}
		due = due.Add(every)
		missed := 0
		if late := time.Since(due); late > 0 {
			missed = int(late/every) + 1
			due = due.Add(time.Duration(missed) * every)
		}
		t.worked(time.Since(begun), missed)
	}
	return true
}

// byWall ticks at times of the wall clock, and reports whether there are no more ticks.
func (t *ticker) byWall(ctx context.Context) (over bool) {
	last := t.clock() // up to where all that was due is done with
	for ctx.Err() == nil {
		due, ok := t.plan.Next(last)
		if !ok || !t.tally.Left() {
			return true
		}
		if !t.await(ctx, due, last) {
			last = t.clock() // it was set back
			continue
		}
		var late time.Duration
		if last, late, ok = t.reached(last); !ok {
			continue
		}
		at := last // so that the points of all hosts line up
		if late >= onTime {
			at = last.Add(late)
		}
		begun := time.Now()
		if !t.tick(at) {
			return false
		}
		took := time.Since(begun)
		// What was due meanwhile is not what the clock shows now: it may have been set.
		missed, newest := t.plan.Passed(last, last.Add(late+took-1))
		if missed > 0 {
			last = newest
		}
		t.worked(took, missed)
	}
	return false
}

// reached returns the newest time that was due since last, how late it is now, and whether a tick is to be made of it. What
// the clock has jumped over is missed.
func (t *ticker) reached(last time.Time) (newest time.Time, late time.Duration, ok bool) {
	now := t.clock()
	passed, newest := t.plan.Passed(last, now)
	if passed == 0 { // it was set back just now
		return last, 0, false
	}
	late = now.Sub(newest)
	if late >= onTime && (passed > 1 || late > graceTime) {
		t.skipped(passed)
		return newest, late, false
	}
	t.skipped(passed - 1)
	return newest, late, true
}

// await waits until the wall clock shows due, and reports whether it did. It did not when ctx has ended, or when the clock
// was set back to long before last.
func (t *ticker) await(ctx context.Context, due, last time.Time) bool {
	for {
		now := t.clock()
		left := due.Sub(now)
		if left <= 0 {
			return true
		}
		if back := last.Sub(now); !last.IsZero() && back > backTime {
			t.s.log.Warn("clock was set back, the schedule begins anew", "by", back.Round(time.Second))
			return false
		}
		if !sleep(ctx, min(left, wakeTime)) {
			return false
		}
	}
}

// tick has one tick worked on, and reports whether more are wanted.
func (t *ticker) tick(at time.Time) bool {
	if err := t.tally.Take(); err != nil && !t.deaf {
		t.deaf = true
		t.s.log.Warn("count of ticks not kept", "error", err)
	}
	t.s.count.ticks.Add(1)
	return t.yield(at.Truncate(time.Microsecond))
}

// skipped counts n ticks that the clock has jumped over.
func (t *ticker) skipped(n int) {
	if n > 0 {
		t.s.count.missed.Add(uint64(n))
		t.s.log.Warn("clock was set forward, or the machine slept: ticks are missed", "ticks", n)
	}
}

// worked notes that the work of a tick took so long that n more were due meanwhile. That is no news when the call failed:
// its error is the reason then.
func (t *ticker) worked(took time.Duration, n int) {
	s := t.s
	if n == 0 {
		if t.overran {
			t.overran = false
			s.log.Info("collection keeps up with its interval again")
		}
		return
	}
	s.count.missed.Add(uint64(n))
	if s.troubled() {
		return
	}
	took = took.Round(time.Millisecond)
	s.count.fail("overrun", fmt.Errorf("collection took %v, and %d ticks were missed: give it a longer interval", took, n))
	if !t.overran {
		t.overran = true
		s.log.Warn("collection takes longer than its interval", "took", took, "missed", n)
	}
}
