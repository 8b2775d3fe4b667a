package liveness

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestBlindWatcherJudgesNobody(t *testing.T) {
	f := func(reason string, trouble func(r *rig)) {
		t.Helper()
		r := newRig(t)
		r.run(30*time.Second, "a", "b", "c")
		r.run(20*time.Second, "b", "c")
		r.take()
		trouble(r)
		r.self = healthy
		if got := r.w.Blind(r.at()); got != reason {
			t.Errorf("blind %q, want %q", got, reason)
		}
		r.run(24*time.Second, "b", "c")
		for _, c := range r.take() {
			if c.Host != "" {
				t.Errorf("told %v", say(c))
			}
		}
		r.run(17*time.Second, "b", "c")
		r.wants("a overdue", "a down disconnected")
	}
	f(blindStalled, func(r *rig) { r.now += time.Minute; r.sweep() })
	f(blindDisconnected, func(r *rig) { r.self.Connected = false; r.run(time.Minute) })
	f(blindBus, func(r *rig) { r.self.Bus = false; r.run(time.Minute) })
	f(blindBehind, func(r *rig) { r.self.Behind = true; r.run(time.Minute, "b", "c") })
	f(blindClock, func(r *rig) { r.wall += time.Second; r.now += time.Second; r.sweep() })
	f(blindClock, func(r *rig) { r.wall -= 24 * time.Hour; r.now += time.Second; r.sweep() })
}

func TestBlindAtOnce(t *testing.T) {
	r := newRig(t)
	r.run(time.Second)
	if blind := r.w.Blind(r.at()); blind != "" {
		t.Errorf("blind %q", blind)
	}
	r.now += 3 * time.Second
	if blind := r.w.Blind(r.at()); blind != blindStalled {
		t.Errorf("blind %q before the sweep that finds out", blind)
	}
}

func TestCutOffIsUnknown(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "up", "gone")
	r.hear(r.beat("left", 1, bye("shutdown")))
	r.run(time.Minute, "up")
	f := func(up, gone, left string) {
		t.Helper()
		if r.state("up") != up || r.state("gone") != gone || r.state("left") != left {
			t.Errorf("%s %s %s, want %s %s %s", r.state("up"), r.state("gone"), r.state("left"), up, gone, left)
		}
	}
	f(telemetry.HostUp, telemetry.HostDown, telemetry.HostLeft)
	r.self.Connected = false
	r.take()
	r.run(time.Second)
	f(telemetry.HostUnknown, telemetry.HostDown, telemetry.HostLeft)
	if rec, _ := r.w.Record("up"); rec.State != telemetry.HostUp {
		t.Errorf("recorded %s: what is not known is not to be written", rec.State)
	}
	r.self.Connected = true
	r.run(time.Second)
	f(telemetry.HostUp, telemetry.HostDown, telemetry.HostLeft)
	r.wants()
}

// TestProbeBeforeBlindnessIsVoid asks again, since much may have changed.
func TestProbeBeforeBlindnessIsVoid(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.run(30 * time.Second)
	r.wants("a up", "a overdue")
	r.now += 3 * time.Second
	r.sweep()
	r.outcome = func(string) Outcome { return Alive }
	r.run(26 * time.Second)
	r.wants("a up probe")
}

func TestBlindWatcherForgetsNobody(t *testing.T) {
	rules := DefaultRules()
	rules.Upgrade = time.Second
	r := newRigWith(t, rules)
	r.hear(r.beat("a", 1, bye("shutdown")))
	r.hear(r.beat("b", 1, bye("upgrade")))
	r.take()
	r.now += time.Hour
	r.run(39 * time.Second)
	r.wants()
	r.run(2 * time.Second)
	r.wants("b down upgrade", "a forgotten shutdown")
}

func TestStallsAreCounted(t *testing.T) {
	r := newRig(t)
	r.now += time.Minute
	r.sweep()
	r.self.Connected = false
	r.run(2 * time.Second)
	if c := r.w.Counts(); c["blind_stalled"] != 1 || c["blind_disconnected"] != 2 {
		t.Errorf("%v", c)
	}
}
