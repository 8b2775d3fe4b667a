package supervise

import (
	"testing"
	"time"
)

func TestPauses(t *testing.T) {
	b := newBackoff(time.Minute)
	b.random = func() float64 { return 0 }
	now := time.Now()
	f := func(ran, pause time.Duration, tired bool) {
		t.Helper()
		b.started(now)
		now = now.Add(ran)
		if p, g := b.ended(now); p != pause || g != tired {
			t.Errorf("after %v: pause %v, tired %v; want %v, %v", ran, p, g, pause, tired)
		}
		now = now.Add(pause)
	}
	f(time.Second, 0, false)
	f(time.Second, time.Second, false)
	f(time.Second, 2*time.Second, false)
	f(time.Second, 4*time.Second, false)
	f(time.Minute, 0, false) // healthy: all is forgotten
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		f(59*time.Second, want*time.Second, false)
	}
}

func TestTiredAfterTenStartsInTenMinutes(t *testing.T) {
	f := func(ran time.Duration, healthy time.Duration, want int) {
		t.Helper()
		b, now := newBackoff(healthy), time.Now()
		for starts := 1; starts <= 100; starts++ {
			b.started(now)
			now = now.Add(ran)
			pause, tired := b.ended(now)
			if tired {
				if starts != want {
					t.Errorf("tired after %d starts of %v, want %d", starts, ran, want)
				}
				return
			}
			now = now.Add(pause)
		}
		if want != 0 {
			t.Errorf("not tired after 100 starts of %v, want %d", ran, want)
		}
	}
	f(0, time.Minute, 10)
	f(20*time.Second, time.Minute, 10)
	f(59*time.Second, time.Minute, 0) // with the pauses it is slower than the window
	f(time.Minute, time.Minute, 0)
	f(time.Millisecond, time.Millisecond, 0)
}

// Whatever the dice say, a child that ends at once is started seven times in its first minute (F20 of the table of faults).
func TestStartsOfAMinute(t *testing.T) {
	for _, dice := range []float64{0, 0.5, 0.999} {
		b, now := newBackoff(time.Minute), time.Now()
		b.random = func() float64 { return dice }
		starts, end := 0, now.Add(time.Minute)
		for ; now.Before(end); starts++ {
			b.started(now)
			pause, _ := b.ended(now)
			now = now.Add(pause)
		}
		if starts > 7 {
			t.Errorf("%d starts in a minute with dice of %v, want 7 at most", starts, dice)
		}
	}
}

func TestPausesAreSpread(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 100 {
		b, now := newBackoff(time.Minute), time.Now()
		b.started(now)
		b.ended(now)
		b.started(now)
		pause, _ := b.ended(now)
		if pause < firstPause || pause > firstPause*5/4 {
			t.Fatalf("pause %v, want 1 to 1.25 s", pause)
		}
		seen[pause] = true
	}
	if len(seen) < 50 {
		t.Errorf("%d different pauses of 100", len(seen))
	}
}
