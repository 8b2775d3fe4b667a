package liveness

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestPenaltyHalves(t *testing.T) {
	p := Flaps{penalty: 1000, at: time.Hour}
	f := func(after time.Duration, want float64) {
		t.Helper()
		if got := p.now(time.Hour + after); math.Abs(got-want) > 1 {
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
	if p := r.w.index["a"]; p.flaps.penalty > ceiling || p.flaps.calmAt()-p.flaps.at > time.Hour {
		t.Errorf("penalty %v, for %v", p.flaps.penalty, p.flaps.calmAt()-p.flaps.at)
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

func TestFlaps(t *testing.T) {
	now := time.Hour
	var p Flaps
	if p.Down(now) || p.Damped() || p.Calms(now+time.Hour) {
		t.Errorf("once: %+v", p)
	}
	if p.Down(now+time.Second) || p.Damped() {
		t.Errorf("twice: %+v", p)
	}
	if now += 2 * time.Second; !p.Down(now) || !p.Damped() || p.Down(now) {
		t.Errorf("three times: %+v", p)
	}
	for range 100 {
		p.Down(now)
	}
	if p.Calms(now+59*time.Minute) || !p.Calms(now+time.Hour+time.Second) || p.Damped() {
		t.Errorf("the ceiling lets it calm within the hour: %+v", p)
	}
	p = Flaps{}
	for range 9 { // one a quarter of an hour never adds up
		now += halfLife
		if p.Down(now) {
			t.Error("one a quarter of an hour is flapping")
		}
	}
	if p.Calms(now - time.Hour) { // a clock that went back
		t.Error("calm before it was damped")
	}
}
