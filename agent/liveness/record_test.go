package liveness

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// follow restarts a watcher that was away.
func (r *rig) restart(away time.Duration) *rig {
	after := newRigWith(r.t, r.w.rules)
	after.wall = r.now + away
	after.seqs = r.seqs
	records := r.records()
	after.w = New(r.w.rules, after.at())
	after.w.Restore(records, away, after.at())
	return after
}

func TestAgesGoOn(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "left", "down", "up")
	r.hear(r.beat("left", 1, bye("shutdown")))
	r.run(30*time.Minute, "up")
	after := r.restart(20 * time.Minute)
	after.run(9*time.Minute, "up")
	after.wants()
	after.run(2*time.Minute, "up")
	after.wants("left forgotten shutdown")
	if p, _ := after.w.Peer("down"); p.State != telemetry.HostDown || p.Seen.Sub(begin).Round(time.Minute) != 0 {
		t.Errorf("%s, seen %v", p.State, p.Seen)
	}
}

// TestOldRecordOfTheLiving is not as old as it looks: a record is written when something happens.
func TestOldRecordOfTheLiving(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1))
	old, _ := r.w.Record("a")
	after := newRig(t)
	after.wall = 24 * 30 * time.Hour
	after.w = New(DefaultRules(), after.at())
	after.w.Restore([]telemetry.HostRecord{old}, time.Minute, after.at())
	after.run(2 * time.Minute)
	if c := after.take()[1]; c.Type != TypeDown || c.LastSeen > 4*time.Minute || c.LastSeen < 2*time.Minute {
		t.Errorf("%s after %v", c.Type, c.LastSeen)
	}
}

func TestUpgradeGoesOnAfterARestart(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1, bye("upgrade")))
	r.hear(r.beat("b", 1, bye("upgrade")))
	f := func(away, down time.Duration) {
		t.Helper()
		after := r.restart(away)
		after.run(30 * time.Second)
		after.hear(after.beat("b", 2))
		after.wants("b up", "b restarted")
		after.run(29 * time.Second)
		after.run(down-after.now-time.Second, "c")
		if after.state("a") != telemetry.HostLeft {
			t.Errorf("a is %s at %v", after.state("a"), after.now)
		}
		after.run(2*time.Second, "c")
		if after.state("a") != telemetry.HostDown {
			t.Errorf("a is %s at %v", after.state("a"), after.now)
		}
	}
	f(20*time.Second, 100*time.Second) // 120 s in all
	f(time.Hour, 61*time.Second)       // not before the end of the warm-up
}

func TestWarmUpOfASlowBeat(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.IntervalMS = 300_000 }))
	after := r.restart(time.Second)
	after.run(20*time.Minute + 19*time.Second)
	after.wants()
	after.run(time.Second)
	after.wants("a overdue")
	after.run(time.Second) // it was asked
	after.wants("a down not_seen_since_restart")
}

func TestWarmUpWaitsForABlindWatcher(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1))
	after := r.restart(time.Second)
	after.run(50 * time.Second)
	after.self.Connected = false
	after.run(30 * time.Second)
	after.self.Connected = true
	after.run(59 * time.Second)
	after.wants()
	after.run(time.Second)
	after.wants("a overdue")
	after.run(time.Second) // it was asked
	after.wants("a down not_seen_since_restart")
}

func TestRestartedWhileTheWatcherWasAway(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "same", "again", "boot", "name")
	after := r.restart(time.Minute)
	after.hear(after.beat("same", 1))
	after.hear(after.beat("again", 2))
	after.hear(after.beat("boot", 2, func(b *telemetry.Heartbeat) { b.Boot = "boot-2" }))
	after.hear(after.beat("name", 1, func(b *telemetry.Heartbeat) { b.Name = "new" }))
	after.wants("again restarted", "boot rebooted", "name renamed")
	if h := after.hear(after.beat("again", 1)); h.Order != Retired {
		t.Errorf("an instance of before is %s", h.Order)
	}
}

func TestConflictIsRemembered(t *testing.T) {
	r := newRig(t)
	beat := func(r *rig) {
		for range 2 {
			r.run(10*time.Second, "a")
			r.hear(r.beat("a", 1, as("clone", 1)))
		}
		r.run(10*time.Second, "a")
	}
	beat(r)
	after := r.restart(time.Second)
	after.seqs = r.seqs
	beat(after)
	after.wants()
	if p, _ := after.w.Peer("a"); !slices.Contains(p.Flags, FlagConflict) || p.Gen != 1 {
		t.Errorf("%v, gen %d", p.Flags, p.Gen)
	}
}

// TestConflictThatEndedMeanwhile is told again when it comes again.
func TestConflictThatEndedMeanwhile(t *testing.T) {
	r := newRig(t)
	both := func(r *rig) {
		r.run(10*time.Second, "a")
		r.hear(r.beat("a", 1, as("clone", 1)))
		r.run(10*time.Second, "a")
	}
	both(r)
	after := r.restart(time.Second)
	after.run(5*time.Second, "a")
	if rec, _ := after.w.Record("a"); !slices.Contains(rec.Flags, FlagConflict) {
		t.Errorf("recorded %v: a successor would tell it again", rec.Flags)
	}
	after.run(2*time.Minute, "a")
	both(after)
	after.wants("a conflict")
}

func TestAdoptKnowsWhatItHeard(t *testing.T) {
	f := func(state, recorded, want string, told ...string) {
		t.Helper()
		r := newRig(t)
		r.w.Speak(false, r.at())
		if state != "" {
			r.hear(r.beat("a", 1))
		}
		r.run(time.Second)
		r.w.Adopt(telemetry.HostRecord{Host: "a", Name: "a", State: recorded, Since: 1, Inst: "a/1", Gen: 1, IntervalMS: 10_000, Boot: "boot-1"}, r.at())
		r.run(time.Second)
		if state == "again" {
			r.hear(r.beat("a", 1))
		}
		r.w.Speak(true, r.at())
		r.run(time.Second)
		if got := r.state("a"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		r.wants(told...)
	}
	f("", telemetry.HostUp, telemetry.HostUp)
	f("", telemetry.HostDown, telemetry.HostDown)
	f("once", telemetry.HostUp, telemetry.HostUp)
	f("once", telemetry.HostDown, telemetry.HostDown) // the verdict is about that beat too
	f("again", telemetry.HostDown, telemetry.HostUp, "a up")
	f("again", telemetry.HostLeft, telemetry.HostUp, "a up")
	f("again", "", telemetry.HostUp, "a up")
	f("again", telemetry.HostUp, telemetry.HostUp)
}

// TestTakeOverAsksBeforeDown has one silent for an hour, of which nothing was said.
func TestTakeOverAsksBeforeDown(t *testing.T) {
	r := newRig(t)
	r.w.Speak(false, r.at())
	r.run(time.Minute, "a")
	r.w.Adopt(telemetry.HostRecord{Host: "a", State: telemetry.HostUp, Inst: "a/1", Since: 1}, r.at())
	r.run(time.Hour)
	r.outcome = func(string) Outcome { return "" } // no answer yet
	r.w.Speak(true, r.at())
	r.run(9 * time.Second)
	r.wants("a overdue")
	r.outcome = nil
	r.run(5 * time.Second)
	r.wants("a down disconnected")
}

func TestTakeOverOfOneNotHeard(t *testing.T) {
	f := func(restored bool, adopted, silent time.Duration, told ...string) {
		t.Helper()
		r := newRig(t)
		r.w.Speak(false, r.at())
		rec := telemetry.HostRecord{Host: "a", State: telemetry.HostUp, Inst: "a/1", Since: 1, IntervalMS: 10_000}
		if restored {
			r.w.Restore([]telemetry.HostRecord{rec}, 0, r.at())
		}
		if adopted > 0 {
			r.run(adopted)
			rec.Since++
			r.w.Adopt(rec, r.at())
		}
		r.w.Speak(true, r.at())
		r.run(silent)
		r.wants(told...)
	}
	f(true, 0, 59*time.Second)
	f(true, 0, 61*time.Second, "a overdue", "a down not_seen_since_restart")
	f(true, 30*time.Second, 24*time.Second)
	f(true, 30*time.Second, 25*time.Second, "a overdue") // another hub has seen it
	f(false, 30*time.Second, 24*time.Second)
	f(false, 30*time.Second, 40*time.Second, "a overdue", "a down disconnected")
}

func TestTakeOverAfterTheWarmUpGoesTheNormalWay(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1))
	after := r.restart(0)
	after.w.Speak(false, after.at())
	after.run(10 * time.Minute)
	after.w.Speak(true, after.at())
	after.run(5 * time.Second)
	after.wants("a overdue", "a down disconnected")
}

// TestAdoptedInstance follows the one that speaks, unless something newer was heard.
func TestAdoptedInstance(t *testing.T) {
	f := func(gen, recorded uint64, retired []string, want string) {
		t.Helper()
		r := newRig(t)
		r.w.Speak(false, r.at())
		r.hear(r.beat("a", gen, as("mine", gen)))
		r.w.Adopt(telemetry.HostRecord{Host: "a", State: telemetry.HostUp, Inst: "theirs", Gen: recorded, Retired: retired}, r.at())
		if got := r.w.index["a"].inst; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	f(2, 1, nil, "mine")
	f(1, 2, nil, "theirs")
	f(1, 1, nil, "mine")
	f(0, 0, []string{"x", "mine"}, "theirs")
}

func TestRecordsOfAnyKind(t *testing.T) {
	long := strings.Repeat("x", 5000)
	wild := []telemetry.HostRecord{
		{}, {Host: long}, {Host: "a"}, {Host: "b", State: "nonsense", Since: math.MinInt64, Seen: math.MinInt64, Until: math.MaxInt64},
		{Host: "c", State: telemetry.HostUp, Since: math.MaxInt64, Seen: math.MaxInt64, Until: math.MinInt64, IntervalMS: math.MaxInt64},
		{Host: "d", State: telemetry.HostDown, Penalty: math.Inf(1), PenaltyAt: math.MinInt64, Damped: true, IntervalMS: math.MinInt64},
		{Host: "e", State: telemetry.HostDown, Penalty: math.NaN(), PenaltyAt: math.MaxInt64, Damped: true, Gen: math.MaxUint64},
		{Host: "f", State: telemetry.HostLeft, Retired: make([]string, 1000), Aliases: make([]string, 1000), Flags: make([]string, 1000)},
	}
	for _, speaks := range []bool{true, false} {
		r := newRig(t)
		r.w.Speak(speaks, r.at())
		r.w.Restore(wild, math.MaxInt64, r.at())
		for _, rec := range wild {
			r.w.Adopt(rec, r.at())
		}
		r.run(2*time.Minute, "a", "b", "c", "d", "e", "f")
		r.w.Speak(true, r.at())
		r.run(2*time.Hour, "a", "b", "c", "d", "e", "f")
		for _, host := range []string{"a", "b", "c", "d", "e", "f"} {
			p, _ := r.w.Peer(host)
			if p.State != telemetry.HostUp || slices.Contains(p.Flags, FlagFlapping) || len(p.Aliases) > mostAliases {
				t.Errorf("%s is %s %v", host, p.State, p.Flags)
			}
		}
	}
}

// One that answers when it is asked is not DOWN, though it was not heard since the restart: its beats may find their way again.
func TestNotSeenButAlive(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1))
	after := r.restart(time.Second)
	after.outcome = func(string) Outcome { return Alive }
	after.run(62 * time.Second)
	after.wants("a overdue", "a up probe")
	after.outcome = nil
	after.run(2 * time.Minute)
	if c := after.take(); c[len(c)-1].Reason != ReasonNotSeen {
		t.Errorf("%+v", c)
	}
}
