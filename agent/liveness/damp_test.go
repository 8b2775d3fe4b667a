package liveness

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestPenaltyHalves(t *testing.T) {
	p := peer{penalty: 1000, penaltyAt: time.Hour}
	f := func(after time.Duration, want float64) {
		t.Helper()
		if got := p.penaltyNow(time.Hour + after); math.Abs(got-want) > 1 {
			t.Errorf("after %v %v, want %v", after, got, want)
		}
	}
	f(0, 1000)
	f(-time.Hour, 1000)
	f(15*time.Minute, 500)
	f(30*time.Minute, 250)
	f(10*24*time.Hour, 0)
}

func TestDampedForAnHourAtMost(t *testing.T) {
	r := newRig(t)
	for range 300 {
		r.hear(r.beat("a", 1))
		r.run(time.Minute)
	}
	if p := r.w.index["a"]; p.penalty > ceiling || p.calmAt()-p.penaltyAt > time.Hour {
		t.Errorf("penalty %v, for %v", p.penalty, p.calmAt()-p.penaltyAt)
	}
	r.take()
	r.run(time.Hour)
	c := r.take()
	if len(c) != 1 || c[0].Reason != ReasonEnded || c[0].Silenced || c[0].To != telemetry.HostDown {
		t.Errorf("it is DOWN and nobody was told: %+v", c)
	}
}

func TestFlappingStatesGoOn(t *testing.T) {
	r := newRig(t)
	for range 5 {
		r.hear(r.beat("a", 1))
		r.run(time.Minute)
	}
	p, _ := r.w.Peer("a")
	if p.Changed != 15 || p.State != telemetry.HostDown || !slices.Contains(p.Flags, FlagFlapping) {
		t.Errorf("%d changes, %s %v", p.Changed, p.State, p.Flags)
	}
}

func TestFlappingOutlivesTheWatcher(t *testing.T) {
	r := newRig(t)
	for range 5 {
		r.hear(r.beat("a", 1))
		r.run(time.Minute)
	}
	after := r.restart(time.Minute)
	after.run(10*time.Minute, "a")
	for _, c := range after.take() {
		if !c.Silenced {
			t.Errorf("told %s", say(c))
		}
	}
	after.run(time.Hour, "a")
	after.wants("a flapping ended")
}

// TestRareDownIsNoFlapping goes down each half an hour.
func TestRareDownIsNoFlapping(t *testing.T) {
	r := newRig(t)
	for range 20 {
		r.hear(r.beat("a", 1))
		r.run(30 * time.Minute)
	}
	if told, silenced := count(r.take(), TypeDown); told != 20 || silenced != 0 {
		t.Errorf("%d told, %d silenced", told, silenced)
	}
}
