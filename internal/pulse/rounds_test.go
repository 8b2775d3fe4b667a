package pulse

import (
	"math"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestRoundOf(t *testing.T) {
	const t1 = int64(1_763_000_000_000_000_000)
	f := func(t2, t3 int64, took time.Duration, want round) {
		t.Helper()
		if got := roundOf(telemetry.Ack{T2: t2, T3: t3}, t1, took); got != want {
			t.Errorf("received %d, sent %d, after %v: %+v, want %+v", t2-t1, t3-t1, took, got, want)
		}
	}
	ms := int64(time.Millisecond)
	f(t1+ms, t1+2*ms, 3*time.Millisecond, round{2 * time.Millisecond, 0, true})
	f(t1+1001*ms, t1+1002*ms, 3*time.Millisecond, round{2 * time.Millisecond, time.Second, true})
	f(t1-999*ms, t1-998*ms, 3*time.Millisecond, round{2 * time.Millisecond, -time.Second, true})
	f(t1+3*ms, t1+3*ms, 4*time.Millisecond, round{4 * time.Millisecond, time.Millisecond, true})

	untimed := round{trip: 3 * time.Millisecond}
	f(0, 0, untimed.trip, untimed)
	f(0, t1, untimed.trip, untimed)
	f(t1, t1-ms, untimed.trip, untimed)     // sent before it came
	f(t1, t1+ms*100, untimed.trip, untimed) // held for longer than it took
	f(math.MinInt64, math.MaxInt64, untimed.trip, untimed)
	f(math.MaxInt64, math.MinInt64, untimed.trip, untimed)
	f(-1, 1, untimed.trip, untimed)

	day := 24 * int64(time.Hour)
	f(t1+day, t1+day, 0, round{0, 24 * time.Hour, true})
	if got := roundOf(telemetry.Ack{T2: math.MaxInt64, T3: math.MaxInt64}, t1, time.Second); got.trip != time.Second || got.offset <= 0 {
		t.Errorf("the last moment of all: %+v", got)
	}
	if got := roundOf(telemetry.Ack{T2: t1, T3: t1}, math.MaxInt64-5, time.Second); got.timed {
		t.Errorf("our own clock is at its end: %+v", got)
	}
}

// The quickest of the last eight counts, and nothing of another watcher's clock.
func TestQuickest(t *testing.T) {
	b := newBench(t, Options{})
	f := func(took, offset, wantTrip, wantOffset time.Duration) {
		t.Helper()
		b.obeyed(took, func(a *telemetry.Ack) { a.T2 = b.last.T1 + int64(took/2+offset); a.T3 = a.T2 })
		p := b.s.Status(b.now)
		if p.RTTUS != wantTrip.Microseconds() || p.OffsetUS != wantOffset.Microseconds() {
			t.Errorf("after %v off by %v: %d us off by %d us", took, offset, p.RTTUS, p.OffsetUS)
		}
	}
	ms := time.Millisecond
	f(10*ms, 7*ms, 10*ms, 7*ms)
	f(2*ms, 3*ms, 2*ms, 3*ms)
	for range 7 {
		f(4*ms, 5*ms, 2*ms, 3*ms)
	}
	f(6*ms, 9*ms, 4*ms, 5*ms) // the ninth is forgotten
	if h := b.beat(); h.RTTUS != 4000 || h.OffsetUS != 5000 {
		t.Errorf("told: %d us, off by %d us", h.RTTUS, h.OffsetUS)
	}
	b.s.Missed()
	b.obeyed(20*ms, func(a *telemetry.Ack) { a.Server = "other" })
	if p := b.s.Status(b.now); p.RTTUS != 20_000 || p.OffsetUS != 0 {
		t.Errorf("another watcher: %d us, off by %d us", p.RTTUS, p.OffsetUS)
	}
}
