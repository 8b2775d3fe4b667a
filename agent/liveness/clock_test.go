package liveness

import (
	"math"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// measured is a beat of a sender that has measured its clock.
func measured(offset time.Duration) func(*telemetry.Heartbeat) {
	return func(b *telemetry.Heartbeat) { b.RTTUS, b.OffsetUS = 300, offset.Microseconds() }
}

// beats has a host beat n times, ten seconds apart.
func (r *rig) beats(n int, change ...func(*telemetry.Heartbeat)) {
	for range n {
		r.run(10 * time.Second)
		r.hear(r.beat("a", 1, change...))
	}
}

func TestClockStep(t *testing.T) {
	f := func(told int, changes ...func(*telemetry.Heartbeat)) {
		t.Helper()
		r := newRig(t)
		for _, change := range changes {
			r.beats(12, change)
		}
		if got, _ := count(r.take(), TypeClockStep); got != told {
			t.Errorf("%d steps, want %d", got, told)
		}
	}
	set := func(by time.Duration) func(*telemetry.Heartbeat) {
		return func(b *telemetry.Heartbeat) { b.T1 += int64(by) }
	}
	f(0, set(0))
	f(0, set(0), set(400*time.Millisecond))
	f(1, set(0), set(600*time.Millisecond))
	f(2, set(0), set(-time.Hour), set(0))
	f(0, measured(0), measured(400*time.Millisecond))
	f(1, measured(0), measured(-600*time.Millisecond))
	f(1, measured(0), func(b *telemetry.Heartbeat) { set(time.Hour)(b); measured(0)(b) }, func(b *telemetry.Heartbeat) {
		set(time.Hour)(b)
		b.RTTUS, b.Mono1 = 300, 0
	})
	f(0, func(b *telemetry.Heartbeat) { b.Mono1 = 0 }, set(time.Hour)) // nothing to compare with
	f(0, func(b *telemetry.Heartbeat) { b.T1 = 0 }, set(time.Hour))
}

func TestEchoOfAStepIsNoStep(t *testing.T) {
	r := newRig(t)
	r.beats(5, measured(0))
	hour := func(b *telemetry.Heartbeat) { b.T1 += int64(time.Hour) }
	r.beats(8, hour, measured(0))
	r.beats(8, hour, measured(time.Hour)) // the filtered offset comes after
	if got, _ := count(r.take(), TypeClockStep); got != 1 {
		t.Errorf("%d steps of one", got)
	}
}

func TestJitterIsNoStep(t *testing.T) {
	r := newRig(t)
	for n := range 40 { // it has grown slowly to 480 ms, and then 600 ms are no surprise
		r.beats(1, measured(time.Duration(n%2*min(n, 40)*12)*time.Millisecond))
	}
	r.beats(1, measured(600*time.Millisecond))
	r.beats(1, measured(0))
	if got, _ := count(r.take(), TypeClockStep); got != 0 {
		t.Errorf("%d steps", got)
	}
}

// TestRestartIsNoStep has a monotonic clock that begins anew with the machine.
func TestRestartIsNoStep(t *testing.T) {
	r := newRig(t)
	r.beats(5)
	for range 5 {
		r.run(10 * time.Second)
		r.hear(r.beat("a", 2, func(b *telemetry.Heartbeat) { b.Mono1 -= 5e11 }))
	}
	if got, _ := count(r.take(), TypeClockStep); got != 0 {
		t.Errorf("%d steps", got)
	}
}

func TestSuspendIsNoStep(t *testing.T) {
	r := newRig(t)
	r.beats(5, measured(0))
	late := func(b *telemetry.Heartbeat) { b.T1 += int64(time.Hour) }
	r.beats(1, late, func(b *telemetry.Heartbeat) { b.ResumedMS = 3_600_000 })
	r.beats(5, late, measured(0))
	if got, _ := count(r.take(), TypeClockStep); got != 0 {
		t.Errorf("%d steps", got)
	}
}

func TestClockSkew(t *testing.T) {
	f := func(told int, change ...func(*telemetry.Heartbeat)) {
		t.Helper()
		r := newRig(t)
		r.beats(59, change...)
		if got, _ := count(r.take(), TypeClockSkew); got != 0 {
			t.Errorf("%d told before ten minutes", got)
		}
		r.beats(30, change...)
		if got, _ := count(r.take(), TypeClockSkew); got != told {
			t.Errorf("%d told, want %d", got, told)
		}
	}
	f(0, measured(900*time.Millisecond))
	f(1, measured(1100*time.Millisecond))
	f(1, measured(-time.Hour))
	f(1, func(b *telemetry.Heartbeat) { b.T1 -= int64(time.Minute) }) // never measured
	f(0, func(b *telemetry.Heartbeat) { b.T1 = 0 })
}

func TestClockSkewAgain(t *testing.T) {
	r := newRig(t)
	r.beats(70, measured(2*time.Second))
	r.beats(2, measured(0))
	r.beats(70, measured(2*time.Second))
	if got, _ := count(r.take(), TypeClockSkew); got != 2 {
		t.Errorf("%d told, want 2", got)
	}
	r.w.Forget("a", r.at())
	if r.w.skewed != 0 {
		t.Errorf("%d skewed of none", r.w.skewed)
	}
}

// TestClocksAtTheirEnds has clocks that no calendar knows.
func TestClocksAtTheirEnds(t *testing.T) {
	r := newRig(t)
	ends := []int64{math.MinInt64, math.MinInt64 + 1, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64, time.Date(2106, 2, 7, 6, 28, 15, 0, time.UTC).UnixNano()}
	for _, t1 := range ends {
		for _, mono := range ends {
			for _, off := range ends {
				r.now += time.Second
				h := r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) {
					b.T1, b.Mono1, b.OffsetUS, b.RTTUS = t1, mono, off, off
					b.UpMS, b.HostUpMS, b.AckLost, b.Ack = t1, mono, math.MaxUint64, math.MaxUint64
				}))
				r.sweep()
				if h.Order != Fresh || h.Peer.State != telemetry.HostUp {
					t.Fatalf("%d %d %d: %s, %s", t1, mono, off, h.Order, h.Peer.State)
				}
			}
		}
	}
	for _, c := range r.take() {
		if c.Type != TypeClockStep && c.Type != TypeClockSkew && c.Type != TypeUp {
			t.Errorf("told %v", say(c))
		}
	}
}

func TestSubtractionEndsAtTheRange(t *testing.T) {
	f := func(a, b, want int64, far time.Duration) {
		t.Helper()
		if got := minus(a, b); got != want {
			t.Errorf("%d - %d = %d, want %d", a, b, got, want)
		}
		if got := apart(a, b); got != far {
			t.Errorf("%d and %d are %d apart, want %d", a, b, got, far)
		}
	}
	f(3, 5, -2, 2)
	f(math.MaxInt64, -1, math.MaxInt64, math.MaxInt64)
	f(math.MinInt64, 1, math.MinInt64, math.MaxInt64)
	f(0, math.MinInt64, math.MaxInt64, math.MaxInt64)
	f(math.MinInt64, math.MinInt64, 0, 0)
}
