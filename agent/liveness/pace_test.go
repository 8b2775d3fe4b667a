package liveness

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestIntervalGrowsWithTheFleet(t *testing.T) {
	r := newRig(t)
	beats := map[string]telemetry.Heartbeat{}
	for _, host := range names(400) {
		beats[host] = r.beat(host, 1)
		r.hear(beats[host])
	}
	f := func(most float64, from, to time.Duration) {
		t.Helper()
		sum, different := time.Duration(0), map[time.Duration]bool{}
		for _, b := range beats {
			got := r.w.Interval(b, most)
			if got < from || got > to || got != r.w.Interval(b, most) {
				t.Fatalf("%s: %v, want %v to %v", b.Host, got, from, to)
			}
			sum += got
			different[got] = true
		}
		if from != to && len(different) < 300 {
			t.Errorf("%d different intervals of 400", len(different))
		}
	}
	f(40, 10*time.Second, 10*time.Second)
	f(0, 10*time.Second, 10*time.Second)
	f(20, 20*time.Second, 25*time.Second)
	f(39, 400*time.Second/39, 400*time.Second/39*5/4)
	f(0.001, time.Hour, time.Hour)
}

func TestIntervalShrinksAgain(t *testing.T) {
	r := newRig(t)
	hosts := names(100)
	beat := func(host string, interval time.Duration) telemetry.Heartbeat {
		return r.beat(host, 1, func(b *telemetry.Heartbeat) { b.IntervalMS = interval.Milliseconds() })
	}
	for _, host := range hosts {
		r.hear(beat(host, 10*time.Second))
	}
	slow := r.w.Interval(beat("h0", 10*time.Second), 5)
	if slow < 20*time.Second {
		t.Fatalf("100 hosts at 5 a second: %v", slow)
	}
	b := beat("h0", slow)
	r.hear(b)
	if got := r.w.Interval(b, 5); got != slow {
		t.Errorf("it does as it is asked, and is asked for %v instead of %v", got, slow)
	}
	for _, host := range hosts[1:60] {
		r.hear(r.beat(host, 1, bye("shutdown")))
	}
	if got := r.w.Interval(b, 5); got != 10*time.Second {
		t.Errorf("41 hosts at 5 a second: %v", got)
	}
}

func TestIntervalOfItsOwn(t *testing.T) {
	r := newRig(t)
	f := func(interval time.Duration, rev uint64, want time.Duration) {
		t.Helper()
		b := r.beat("a", 1, func(b *telemetry.Heartbeat) { b.IntervalMS, b.ConfigRev = interval.Milliseconds(), rev })
		r.hear(b)
		if got := r.w.Interval(b, 100); got != want {
			t.Errorf("%v, want %v", got, want)
		}
	}
	f(time.Minute, 1, time.Minute)
	f(2*time.Minute, 1, time.Minute) // it was asked for that
	f(2*time.Minute, 2, 2*time.Minute)
	f(time.Second, 2, time.Second)
	unknown := telemetry.Heartbeat{Host: "nobody", IntervalMS: 7000}
	if got := r.w.Interval(unknown, 100); got != 7*time.Second {
		t.Errorf("%v", got)
	}
}

func TestUnknownHostsAreAdmittedSlowly(t *testing.T) {
	rules := DefaultRules()
	rules.NewBurst, rules.NewRate, rules.Most = 100, 2, 300
	r := newRigWith(t, rules)
	admit := func(from, to int) (fresh int) {
		for n := from; n < to; n++ {
			h := r.hear(r.beat(fmt.Sprint("new", n), 1))
			switch {
			case h.Order == Fresh:
				fresh++
			case h.Order != Refused || h.Reason != ReasonBusy || h.Peer.Host != "":
				t.Fatalf("%s %s %+v", h.Order, h.Reason, h.Peer)
			}
		}
		return fresh
	}
	f := func(from, to, want int) {
		t.Helper()
		if got := admit(from, to); got != want || r.w.Len() > 300 {
			t.Errorf("%d of %d admitted, want %d; %d watched", got, to-from, want, r.w.Len())
		}
	}
	f(0, 10_000, 100)
	r.now += 10 * time.Second
	f(10_000, 20_000, 20)
	f(0, 100, 100) // known ones are not asked to wait
	r.now += time.Hour
	f(20_000, 21_000, 100)
	r.now += time.Hour
	f(30_000, 31_000, 80) // as many as may be
	if got := r.w.Counts()["refused_busy"]; got != 10_000-100+10_000-20+900+920 {
		t.Errorf("%d counted", got)
	}
}

func TestAlarmOfUnknownHosts(t *testing.T) {
	rules := DefaultRules()
	rules.NewBurst, rules.NewRate = 1, 0
	r := newRigWith(t, rules)
	r.run(time.Second, "a")
	r.hear(r.beat("a", 1))
	r.take()
	for range 180 {
		r.hear(r.beat("b", 1))
		r.hear(r.beat("c", 1))
		r.run(time.Second, "a")
	}
	all := r.take()
	told, _ := count(all, TypeUnknown)
	if told != 3 || all[0].Count != 2 || all[1].Count != 120 || all[0].Host != "" {
		t.Errorf("%d told: %+v", told, all)
	}
}

func TestFollowerRaisesNoAlarm(t *testing.T) {
	rules := DefaultRules()
	rules.NewBurst, rules.NewRate = 0, 0
	r := newRigWith(t, rules)
	r.w.Speak(false, r.at())
	r.hear(r.beat("a", 1))
	r.run(time.Minute)
	r.w.Speak(true, r.at())
	r.run(time.Minute)
	r.wants()
}

// The first ACK asks a host of short intervals for a longer one, which its next beat keeps: it is not overdue meanwhile.
func TestAskedInterval(t *testing.T) {
	r := newRig(t)
	b := r.beat("a", 1)
	b.IntervalMS = 1000
	r.hear(b)
	r.w.Asked("a", 10*time.Second)
	r.run(12 * time.Second)
	if p, _ := r.w.Peer("a"); p.State != telemetry.HostUp {
		t.Errorf("%v after 12 s", p.State)
	}
	r.w.Asked("a", time.Second) // a shorter one says nothing
	r.w.Asked("nobody", time.Hour)
	r.run(20 * time.Second)
	if p, _ := r.w.Peer("a"); p.State != telemetry.HostOverdue {
		t.Errorf("%v after 32 s", p.State)
	}
}
