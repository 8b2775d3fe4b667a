package pulse

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A bench is a sender whose clocks a test moves.
type bench struct {
	*testing.T
	s    *Sender
	now  Instant
	last telemetry.Heartbeat
}

func newBench(t *testing.T, o Options) *bench {
	b := &bench{T: t, now: Instant{Wall: 1_763_000_000_000_000_000, Mono: time.Hour, Asleep: time.Minute}}
	o.Host, o.Plugin, o.Inst = "h1", "p", "a"
	b.s = New(o, b.now)
	return b
}

// pass lets time pass.
func (b *bench) pass(d time.Duration) {
	b.now.Mono += d
	b.now.Wall += int64(d)
}

// beat beats.
func (b *bench) beat() telemetry.Heartbeat {
	b.last = telemetry.Heartbeat{}
	b.s.Beat(&b.last, b.now)
	return b.last
}

// ack is an ordinary answer to the last beat.
func (b *bench) ack() telemetry.Ack {
	return telemetry.Ack{Server: "w", Seq: b.last.Seq, State: telemetry.Accepted}
}

// obeyed has a beat answered with what edit makes of an ordinary ACK, after so long.
func (b *bench) obeyed(after time.Duration, edit func(*telemetry.Ack)) {
	b.Helper()
	b.beat()
	a := b.ack()
	b.pass(after)
	if edit != nil {
		edit(&a)
	}
	if err := b.s.Obey(a, b.now); err != nil {
		b.Fatal(err)
	}
}

func TestBeat(t *testing.T) {
	b := newBench(t, Options{Boot: "boot", Gen: 7})
	b.pass(1500 * time.Millisecond)
	h := b.beat()
	if h.Version != 1 || h.Host != "h1" || h.Plugin != "p" || h.Inst != "a" || h.Boot != "boot" || h.Gen != 7 || h.Seq != 1 || h.IntervalMS != 10_000 ||
		h.T1 != b.now.Wall || h.Mono1 != int64(b.now.Mono) || h.UpMS != 1500 || !h.Hello || h.Ack != 0 || h.AckLost != 0 || h.ResumedMS != 0 {
		t.Errorf("%+v", h)
	}
	if err := b.s.Obey(b.ack(), b.now); err != nil {
		t.Fatal(err)
	}
	if h := b.beat(); h.Seq != 2 || h.Hello || h.Ack != 1 || h.AckLost != 0 {
		t.Errorf("%+v", h)
	}
	b.s.Missed()
	b.s.Missed() // once for a beat
	if h := b.beat(); h.Seq != 3 || h.Hello || h.Ack != 1 || h.AckLost != 1 {
		t.Errorf("%+v", h)
	}
	b.s.GreetAgain(b.now)
	if h := b.beat(); !h.Hello {
		t.Errorf("%+v", h)
	}
}

// Who is asked to greet again while a beat is under way does it with the next: the answer to that one does not settle it.
func TestGreetAgainUnderWay(t *testing.T) {
	b := newBench(t, Options{})
	b.obeyed(0, nil)
	if h := b.beat(); h.Hello {
		t.Errorf("%+v", h)
	}
	b.s.GreetAgain(b.now)
	if err := b.s.Obey(b.ack(), b.now); err != nil {
		t.Fatal(err)
	}
	if h := b.beat(); !h.Hello {
		t.Errorf("%+v", h)
	}
}

// Only the answer to the last beat counts, and once.
func TestStray(t *testing.T) {
	b := newBench(t, Options{})
	f := func(seq uint64, want error) {
		t.Helper()
		a := b.ack()
		a.Seq, a.NextMS = seq, 5000
		if err := b.s.Obey(a, b.now); !errors.Is(err, want) {
			t.Errorf("ack of %d: %v, want %v", seq, err, want)
		}
	}
	f(0, ErrStray) // nothing was sent
	b.beat()
	f(2, ErrStray) // of the future
	f(1, ErrStray) // given up by now
	b.beat()
	f(1, ErrStray)
	b.beat()
	f(math.MaxUint64, ErrStray)
	b.beat()
	if b.s.Interval() != 10*time.Second || b.s.lost != 3 {
		t.Errorf("interval %v, %d lost: a stray one was obeyed", b.s.Interval(), b.s.lost)
	}
	f(4, nil)
	f(4, ErrStray)
	if b.s.Interval() != 5*time.Second || b.s.lost != 3 || b.s.missed != 0 {
		t.Errorf("interval %v, %d lost, %d missed", b.s.Interval(), b.s.lost, b.s.missed)
	}
}

// Who has lost the say is not obeyed, until nobody else has spoken for three intervals: then the terms have begun anew.
func TestTerm(t *testing.T) {
	b := newBench(t, Options{})
	f := func(term uint64, want error) {
		t.Helper()
		b.beat()
		a := b.ack()
		a.Term, a.Server = term, fmt.Sprint("w", term)
		if err := b.s.Obey(a, b.now); !errors.Is(err, want) {
			t.Errorf("term %d: %v, want %v", term, err, want)
		}
		if want == nil && b.s.ack.Term != term {
			t.Errorf("term %d after one of %d", b.s.ack.Term, term)
		}
	}
	f(0, nil)
	f(5, nil)
	f(4, ErrTerm)
	f(5, nil)
	b.pass(30 * time.Second)
	f(4, ErrTerm)
	b.pass(time.Second)
	f(4, nil)
	f(math.MaxUint64, nil)
	f(5, ErrTerm)
	b.pass(31 * time.Second)
	f(5, nil)
}

func TestInterval(t *testing.T) {
	f := func(o Options, next int64, want time.Duration) {
		t.Helper()
		b := newBench(t, o)
		b.obeyed(0, func(a *telemetry.Ack) { a.NextMS = next })
		if got := b.s.Interval(); got != want || b.beat().IntervalMS != want.Milliseconds() {
			t.Errorf("next_ms %d: %v, want %v", next, got, want)
		}
	}
	f(Options{}, 0, 10*time.Second) // as it is
	f(Options{}, -5, 10*time.Second)
	f(Options{}, 1, time.Second)
	f(Options{}, 1500, 1500*time.Millisecond)
	f(Options{}, telemetry.MaxIntervalMS, time.Hour)
	f(Options{}, math.MaxInt64, time.Hour)
	f(Options{Least: 20 * time.Millisecond}, 1, 20*time.Millisecond)
	f(Options{Interval: time.Minute}, 0, time.Minute)
}

// An ACK may take an interval, on a busy machine a second in any case, and never so long that the next beats wait for it.
func TestPatience(t *testing.T) {
	f := func(interval, want time.Duration) {
		t.Helper()
		if got := newBench(t, Options{Interval: interval}).s.Patience(); got != want {
			t.Errorf("interval %v: %v, want %v", interval, got, want)
		}
	}
	f(20*time.Millisecond, time.Second)
	f(3*time.Second, 3*time.Second)
	f(0, 5*time.Second)
	f(time.Hour, 5*time.Second)
}

// A refusal counts as an answer. Who has refused a hello is not sent it all again at each interval; who accepts us, or is another
// one, has to know it.
func TestRefusal(t *testing.T) {
	b := newBench(t, Options{})
	f := func(server string, term uint64, state string, hello bool) {
		t.Helper()
		b.pass(b.s.Wait(b.now))
		b.beat()
		if b.last.Hello != hello || hello && !b.s.Lists(telemetry.Digest{1}) || b.s.rejected && b.s.Lists(telemetry.Digest{1}) {
			t.Errorf("beat %d: hello %v, list %v", b.last.Seq, b.last.Hello, b.s.Lists(telemetry.Digest{1}))
		}
		a := b.ack()
		a.Server, a.Term, a.State, a.Reason, a.NextMS = server, term, state, "busy", 25_000
		if err := b.s.Obey(a, b.now); err != nil {
			t.Fatal(err)
		}
	}
	due := func(least, most time.Duration) {
		t.Helper()
		if got := b.s.Wait(b.now); got < least || got > most || b.s.Interval() != 25*time.Second {
			t.Errorf("next in %v of %v, want %v to %v", got, b.s.Interval(), least, most)
		}
	}
	f("w", 1, telemetry.Refused, true)
	due(2*time.Second, 30*time.Second) // it is not asked about again at once
	if p := b.s.Status(b.now); p.State != telemetry.PulseRefused || p.Reason != "busy" {
		t.Errorf("%+v", p)
	}
	for range 3 {
		f("w", 1, telemetry.Refused, false)
	}
	f("w", 1, telemetry.Accepted, false)
	due(soonest, soonest)
	f("w", 1, telemetry.Accepted, true)
	due(2*time.Second, 30*time.Second)
	f("w", 1, telemetry.Refused, false)
	f("w", 1, telemetry.Refused, true) // it may have forgotten who we are
	f("w", 2, telemetry.Refused, false)
	f("w", 2, telemetry.Refused, true)
	f("v", 2, telemetry.Refused, false)
	f("v", 2, telemetry.Refused, true)
	f("v", 2, telemetry.Refused, false)
	b.s.GreetAgain(b.now)
	f("v", 2, telemetry.Refused, true)
	f("w", 3, telemetry.Accepted, false)
	f("w", 3, telemetry.Accepted, true)
	f("w", 3, telemetry.Accepted, false)
}

func TestLists(t *testing.T) {
	b := newBench(t, Options{})
	one, two := telemetry.Digest{1}, telemetry.Digest{2}
	f := func(d telemetry.Digest, want bool) {
		t.Helper()
		if b.s.Lists(d) != want {
			t.Errorf("list of %v: %v", d, !want)
		}
	}
	f(one, true)
	b.obeyed(0, func(a *telemetry.Ack) { a.Digest = one })
	f(one, false)
	f(two, true)
	b.obeyed(0, func(a *telemetry.Ack) { a.Digest = one })
	f(two, true)
	b.obeyed(0, func(a *telemetry.Ack) { a.Digest = two })
	f(two, false)
	b.s.GreetAgain(b.now)
	f(two, true)
}

// After three beats without an answer nobody counts as watching: this is told once.
func TestUnwatched(t *testing.T) {
	b := newBench(t, Options{})
	var told []int
	for i := 1; i <= 6; i++ {
		b.beat()
		b.s.Missed()
		if b.s.Unwatched() {
			told = append(told, i)
		}
	}
	if len(told) != 1 || told[0] != 3 || !b.s.Missing() || b.s.Status(b.now).State != telemetry.PulseAlone {
		t.Errorf("told at %v", told)
	}
	b.obeyed(0, nil)
	if b.s.Unwatched() || b.s.Missing() || b.s.Status(b.now).State != telemetry.PulseWatched {
		t.Error("an answer, and nobody watches")
	}
	for range 3 {
		b.pass(10 * time.Second)
		b.beat()
		b.s.Missed()
	}
	if p := b.s.Status(b.now); p.State != telemetry.PulseAlone || p.AgeMS != 30_000 || p.Ack != 7 || p.AckLost != 3 {
		t.Errorf("%+v", p) // that there was nobody before the first answer is no loss
	}
	if h := b.beat(); h.AckLost != 9 {
		t.Errorf("a beat tells of %d without an answer", h.AckLost)
	}
	b.s.Missed()
	b.obeyed(0, func(a *telemetry.Ack) { a.Server = "another" })
	if p := b.s.Status(b.now); p.AckLost != 0 {
		t.Errorf("another hub has lost %d answers", p.AckLost)
	}
}

// What the machine has slept is told until somebody has heard it, and no step of a clock.
func TestSleep(t *testing.T) {
	b := newBench(t, Options{})
	b.obeyed(0, nil)
	sleep := func(d time.Duration) {
		b.now.Asleep += d
		b.now.Wall += int64(d)
	}
	if b.s.Resumed(b.now) {
		t.Error("nobody slept")
	}
	sleep(time.Hour)
	b.pass(time.Second)
	if !b.s.Resumed(b.now) || b.s.Resumed(b.now) || b.s.Wait(b.now) != 0 {
		t.Errorf("a sleep is told once, and a beat is due in %v", b.s.Wait(b.now))
	}
	f := func(want int64) {
		t.Helper()
		if h := b.beat(); h.ResumedMS != want || b.s.steps != 0 {
			t.Errorf("slept %d ms, %d steps, want %d ms", h.ResumedMS, b.s.steps, want)
		}
	}
	f(3_600_000)
	b.s.Missed()
	sleep(time.Minute)
	f(3_660_000)
	sleep(time.Minute) // while the answer is under way: it is of what was told
	b.s.Resumed(b.now)
	if err := b.s.Obey(b.ack(), b.now); err != nil {
		t.Fatal(err)
	}
	f(60_000)
	if err := b.s.Obey(b.ack(), b.now); err != nil {
		t.Fatal(err)
	}
	sleep(50 * time.Millisecond) // clocks that were not read at the same moment
	f(0)
}

// A wall clock that is set is noted, and changes neither what is due nor who is obeyed.
func TestStep(t *testing.T) {
	f := func(step time.Duration, want uint64) {
		t.Helper()
		b := newBench(t, Options{})
		b.obeyed(2*time.Millisecond, func(a *telemetry.Ack) { a.T2, a.T3 = b.last.T1, b.last.T1 })
		wait := b.s.Wait(b.now)
		b.now.Wall += int64(step)
		if b.s.Wait(b.now) != wait {
			t.Errorf("step %v: due in %v, before in %v", step, b.s.Wait(b.now), wait)
		}
		h := b.beat()
		n, by := b.s.Steps()
		if n != want || want > 0 && by != step || (h.RTTUS == 0) != (want > 0) {
			t.Errorf("step %v: %d steps, the last of %v, round trip %d us", step, n, by, h.RTTUS)
		}
		b.pass(time.Second)
		b.s.Missed()
		if b.beat(); b.s.steps != want || b.s.Status(b.now).State != telemetry.PulseWatched {
			t.Errorf("step %v: %d steps, %+v", step, b.s.steps, b.s.Status(b.now))
		}
	}
	f(0, 0)
	f(400*time.Millisecond, 0)
	f(-400*time.Millisecond, 0)
	f(600*time.Millisecond, 1)
	f(-24*time.Hour, 1)
	f(24*time.Hour, 1)
	f(-55*365*24*time.Hour, 1) // 1970
	f(80*365*24*time.Hour, 1)  // 2106
}

// Another start that the watcher knows makes the sender go on above it, as long as that is possible.
func TestOutranked(t *testing.T) {
	f := func(own, known uint64, want bool) {
		t.Helper()
		b := newBench(t, Options{Gen: own})
		b.obeyed(0, func(a *telemetry.Ack) { a.Gen = known })
		b.pass(time.Minute)
		gen, yes := b.s.Outranked()
		if yes != want || gen != known {
			t.Fatalf("own %d, known %d: %v", own, known, yes)
		}
		if !yes {
			return
		}
		b.s.Above(gen+1, b.now)
		if _, again := b.s.Outranked(); again || b.s.Wait(b.now) != 0 || b.beat().Gen != known+1 {
			t.Errorf("own %d, known %d: goes on as %+v", own, known, b.last)
		}
	}
	f(0, 5, false) // nobody counts
	f(5, 0, false)
	f(5, 5, false)
	f(5, 6, true)
	f(5, math.MaxUint64, false)
	f(5, highestGen, false)
	f(5, highestGen-1, true)
}

// Whatever an answer says, the next beat is one that a watcher takes, and comes within the longest interval.
func FuzzObey(f *testing.F) {
	f.Add(uint64(1), uint64(1), int64(0), int64(0), int64(0), uint64(0), int64(1e9))
	f.Add(uint64(1), uint64(math.MaxUint64), int64(math.MinInt64), int64(math.MaxInt64), int64(math.MaxInt64), uint64(math.MaxUint64), int64(0))
	f.Add(uint64(math.MaxUint64), uint64(0), int64(math.MaxInt64), int64(math.MinInt64), int64(-1), uint64(1), int64(math.MaxInt32))
	f.Fuzz(func(t *testing.T, seq, term uint64, t2, t3, next int64, gen uint64, took int64) {
		b := newBench(t, Options{Gen: 1})
		for range 3 {
			b.beat()
			b.pass(time.Duration(took % int64(time.Hour)))
			a := telemetry.Ack{Server: "w", Seq: seq, Term: term, T2: t2, T3: t3, NextMS: next, Gen: gen, State: telemetry.Accepted}
			_ = b.s.Obey(a, b.now)
			a.Seq = b.last.Seq
			_ = b.s.Obey(a, b.now)
			if gen, yes := b.s.Outranked(); yes {
				b.s.Above(gen+1, b.now)
			}
			h := b.beat()
			body, err := telemetry.EncodeControl(h, telemetry.MsgPack)
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := telemetry.DecodeHeartbeat(body); err != nil {
				t.Fatalf("%+v: %v", h, err)
			}
			if wait := b.s.Wait(b.now); wait < 0 || wait > mostInterval*5/4 || h.RTTUS < 0 {
				t.Fatalf("next beat in %v, round trip %d us", wait, h.RTTUS)
			}
		}
	})
}
