package liveness

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestTrackOrders(t *testing.T) {
	var k Track
	f := func(seq uint64, want Order, received, lost, late, duplicate uint64) {
		t.Helper()
		if got := k.Take(seq, 0); got != want {
			t.Errorf("%d is %s, want %s", seq, got, want)
		}
		if k.Received != received || k.Lost != lost || k.Late != late || k.Duplicate != duplicate {
			t.Errorf("after %d received %d, lost %d, late %d, duplicate %d; want %d, %d, %d, %d",
				seq, k.Received, k.Lost, k.Late, k.Duplicate, received, lost, late, duplicate)
		}
	}
	f(5, Fresh, 1, 0, 0, 0) // the watcher began later: 1 to 4 are not lost
	f(4, Late, 1, 0, 1, 0)
	f(5, Duplicate, 1, 0, 1, 1)
	f(6, Fresh, 2, 0, 1, 1)
	f(9, Fresh, 3, 2, 1, 1)
	f(8, Late, 4, 1, 2, 1) // it was not lost
	f(8, Duplicate, 4, 1, 2, 2)
	f(9+64, Fresh, 5, 64, 2, 2)
	f(9, Late, 5, 64, 3, 2) // nobody remembers whether it came
	f(10, Late, 6, 63, 4, 2)
	f(math.MaxUint64, Fresh, 7, 63+mostLost, 4, 2)
	f(74, Late, 7, 63+mostLost, 5, 2)
	f(math.MaxUint64, Duplicate, 7, 63+mostLost, 5, 3)
	k.Restart()
	f(1, Fresh, 1, 0, 5, 3)
}

// TestTrackCountsRight compares with a set of all that came.
func TestTrackCountsRight(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var k Track
		seen, top, first, received, duplicate := map[uint64]bool{}, uint64(0), uint64(0), uint64(0), uint64(0)
		for range rapid.IntRange(1, 300).Draw(rt, "n") {
			seq := uint64(max(1, int64(top)+rapid.Int64Range(-63, 70).Draw(rt, "step")))
			if first == 0 {
				first = seq
			}
			k.Take(seq, time.Second)
			switch {
			case seq < first:
			case seen[seq]:
				duplicate++
			default:
				seen[seq] = true
				received++
			}
			top = max(top, seq)
		}
		if lost := top - first + 1 - received; k.Received != received || k.Duplicate != duplicate || k.Lost != lost {
			rt.Fatalf("received %d, duplicate %d, lost %d; want %d, %d, %d", k.Received, k.Duplicate, k.Lost, received, duplicate, lost)
		}
	})
}

func TestLimits(t *testing.T) {
	f := func(r Rules, interval, overdue, down time.Duration) {
		t.Helper()
		if o, d := r.Limits(interval); o != overdue || d != down {
			t.Errorf("limits of %v are %v, %v; want %v, %v", interval, o, d, overdue, down)
		}
	}
	def := DefaultRules()
	f(def, 10*time.Second, 25*time.Second, 40*time.Second)
	f(def, time.Second, 5*time.Second, 40*time.Second)
	f(def, time.Minute, 150*time.Second, 4*time.Minute)
	f(def, -1, 5*time.Second, 40*time.Second)
	f(def, math.MaxInt64, 150*time.Minute, 4*time.Hour)
	local := def
	local.Spread = 0
	f(local, time.Second, 5*time.Second, 15*time.Second)
	local.Down = math.Inf(1)
	f(local, time.Second, 5*time.Second, 1<<61)
}
