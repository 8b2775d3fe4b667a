package liveness

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func bye(reason string) func(*telemetry.Heartbeat) {
	return func(b *telemetry.Heartbeat) { b.Bye = reason }
}

func TestSilenceIsOverdueThenDown(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.wants("a up")
	r.run(24 * time.Second)
	r.wants()
	r.run(time.Second)
	r.wants("a overdue")
	r.run(14 * time.Second)
	r.wants()
	r.run(time.Second)
	r.wants("a down disconnected")
	r.run(time.Hour)
	r.wants()
	r.hear(r.beat("a", 1))
	r.wants("a up")
}

func TestGoodbye(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.take()
	r.hear(r.beat("a", 1, bye("shutdown")))
	r.wants("a left shutdown")
	r.run(59 * time.Minute)
	r.wants()
	r.run(time.Minute + time.Second)
	r.wants("a forgotten shutdown")
}

func TestProbeSaves(t *testing.T) {
	r := newRig(t)
	r.outcome = func(string) Outcome { return Alive }
	r.run(30*time.Second, "a")
	r.run(26 * time.Second)
	r.wants("a up", "a overdue", "a up probe")
	p, _ := r.w.Peer("a")
	if p.Saved != 1 || !p.Stable && p.Received > 2 || p.Flags[0] != FlagSlow {
		t.Errorf("saved %d, stable %v, flags %v", p.Saved, p.Stable, p.Flags)
	}
	r.run(23 * time.Second)
	r.wants()
	r.hear(r.beat("a", 1))
	if p, _ := r.w.Peer("a"); p.Reason != "" || len(p.Flags) != 0 {
		t.Errorf("it beats again: %q %v", p.Reason, p.Flags)
	}
	r.wants()
}

func TestNoDownWithoutAnOutcome(t *testing.T) {
	f := func(outcome Outcome, asked int) {
		t.Helper()
		r := newRig(t)
		r.outcome = func(string) Outcome { return outcome }
		r.run(30*time.Second, "a")
		r.run(79 * time.Second)
		r.wants("a up", "a overdue")
		if len(r.asked) != asked {
			t.Errorf("asked %d times in 55 s, want %d", len(r.asked), asked)
		}
		r.run(time.Second)
		r.wants("a down silent")
	}
	f(Unclear, 55)
	f("", 6) // the answer was lost
}

func TestSilentNeedsTwoTries(t *testing.T) {
	f := func(outcomes []Outcome, told ...string) {
		t.Helper()
		r := newRig(t)
		n := 0
		r.outcome = func(string) Outcome { n++; return outcomes[n-1] }
		r.run(30*time.Second, "a")
		r.run(time.Minute)
		r.wants(append([]string{"a up", "a overdue"}, told...)...)
		if n != len(outcomes) {
			t.Errorf("asked %d times, want %d", n, len(outcomes))
		}
	}
	f([]Outcome{Silent, Alive, Disconnected}, "a up probe", "a overdue")
	f([]Outcome{Silent, Disconnected}, "a down disconnected")
	f([]Outcome{Silent, Unclear, Silent}, "a down silent")
	f([]Outcome{Disconnected}, "a down disconnected")
}

func TestAskedOnceASecond(t *testing.T) {
	r := newRig(t)
	r.outcome = func(string) Outcome { return Silent }
	r.run(30*time.Second, "a")
	r.run(25 * time.Second)
	for range 5 {
		r.sweep()
	}
	if len(r.asked) != 1 {
		t.Errorf("asked %d times within a second", len(r.asked))
	}
}

// TestOutcomeOfAnEarlierSilence says nothing about this one.
func TestOutcomeOfAnEarlierSilence(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.run(28 * time.Second)
	r.hear(r.beat("a", 1))
	r.outcome = func(string) Outcome { return Silent }
	r.run(27 * time.Second)
	if len(r.asked) != 3 {
		t.Errorf("asked %d times, want once, and twice again", len(r.asked))
	}
	r.run(30 * time.Second)
	r.wants("a up", "a overdue", "a up", "a overdue", "a down silent")
}

func TestProbedOfOneThatIsNotOverdue(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.take()
	for _, o := range []Outcome{Alive, Disconnected, Silent, Unclear, "nonsense"} {
		if changes := r.w.Probed("a", o, r.at()); changes != nil {
			t.Errorf("%s: %v", o, changes)
		}
		r.w.Probed("nobody", o, r.at())
	}
	r.run(time.Minute, "a")
	r.wants()
}

func TestStableAfterThreeBeats(t *testing.T) {
	r := newRig(t)
	f := func(want ...bool) {
		t.Helper()
		for i, stable := range want {
			if h := r.hear(r.beat("a", 1)); h.Peer.Stable != stable {
				t.Errorf("beat %d: stable %v", i+1, h.Peer.Stable)
			}
		}
	}
	f(false, false, true, true)
	r.run(2 * time.Minute)
	if p, _ := r.w.Peer("a"); p.Stable {
		t.Error("DOWN is stable")
	}
	f(false, false, true)
	r.run(30 * time.Second) // OVERDUE is not DOWN
	f(true)
}

func TestForget(t *testing.T) {
	f := func(change func(*telemetry.Heartbeat), rules func(*Rules), after time.Duration) {
		t.Helper()
		rule := DefaultRules()
		rules(&rule)
		r := newRigWith(t, rule)
		r.hear(r.beat("a", 1, change))
		r.run(2 * time.Minute)
		for range 14 * 24 { // an hour each
			r.now += time.Hour - time.Minute
			r.sweep()
			r.run(time.Minute)
			if _, ok := r.w.Peer("a"); !ok {
				break
			}
		}
		_, kept := r.w.Peer("a")
		if forgotten, _ := count(r.take(), TypeForgotten); kept != (after == 0) || forgotten == 0 != kept {
			t.Fatalf("kept %v, told %d", kept, forgotten)
		}
		if !kept && (r.now < after || r.now > after+2*time.Hour) {
			t.Errorf("forgotten after %v, want %v", r.now, after)
		}
	}
	default_ := func(*Rules) {}
	steady := func(*telemetry.Heartbeat) {}
	f(steady, default_, 7*24*time.Hour)
	f(steady, func(r *Rules) { r.ForgetDown = 0 }, 0)
	f(steady, func(r *Rules) { r.ForgetDown = -1 }, 0)
	f(func(b *telemetry.Heartbeat) { b.Flags = []string{FlagEphemeral} }, default_, time.Hour)
	f(bye("shutdown"), default_, time.Hour)
	f(bye("upgrade"), default_, 7*24*time.Hour) // it was to come back: it is DOWN
}

func TestForgottenIsNewAgain(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a", "b")
	r.take()
	r.got = r.w.Forget("a", r.at())
	r.hear(r.beat("a", 1))
	r.wants("a forgotten", "a up")
	if p, _ := r.w.Peer("a"); p.From != telemetry.HostUnknown || p.Received != 1 || r.w.Len() != 2 {
		t.Errorf("%+v", p)
	}
	if r.w.Forget("nobody", r.at()) != nil {
		t.Error("nobody was forgotten")
	}
}

func TestResumed(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "a")
	r.hear(r.beat("a", 1, bye("suspend")))
	r.take()
	r.now += time.Hour
	r.hear(r.beat("a", 1, func(b *telemetry.Heartbeat) { b.ResumedMS, b.T1 = 3_600_000, b.T1+int64(time.Hour) }))
	r.wants("a up resumed")
}

func TestIntervalOfTheBeatMakesTheLimit(t *testing.T) {
	r := newRig(t)
	minute := func(b *telemetry.Heartbeat) { b.IntervalMS = 60_000 }
	r.hear(r.beat("a", 1, minute))
	r.take()
	r.run(149 * time.Second)
	r.wants()
	r.run(91 * time.Second)
	r.wants("a overdue", "a down disconnected")
}

func TestUpTellsForHowLongItWasGone(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1))
	if c := r.take()[0]; c.LastSeen != 0 || c.Message != "a is up for the first time" {
		t.Errorf("%v, %s", c.LastSeen, c.Message)
	}
	r.run(5 * time.Minute)
	r.take()
	r.hear(r.beat("a", 1))
	if c := r.take()[0]; c.LastSeen != 5*time.Minute || c.Missed != 30 || c.Message != "a is up again after 5m0s" {
		t.Errorf("%v, %d, %s", c.LastSeen, c.Missed, c.Message)
	}
}

func TestMissed(t *testing.T) {
	r := newRig(t)
	r.hear(r.beat("a", 1))
	r.run(time.Minute)
	last := r.got[len(r.got)-1]
	if last.Type != TypeDown || last.Missed != 4 || last.LastSeen != 40*time.Second || last.At.Mono != 40*time.Second {
		t.Errorf("%+v", last)
	}
}
