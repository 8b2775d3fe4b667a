package pulse

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// between checks that the next beat is due within a span.
func (b *bench) between(least, most time.Duration) {
	b.Helper()
	if got := b.s.Wait(b.now); got < least || got > most {
		b.Errorf("due in %v, want %v to %v", got, least, most)
	}
}

// Hellos that nobody answers come after 1 s, 2 s, 4 s, 8 s and then at the interval.
func TestRetry(t *testing.T) {
	b := newBench(t, Options{})
	b.between(0, 0)
	for _, want := range []time.Duration{1, 2, 4, 8} {
		b.beat()
		b.s.Missed()
		b.between(want*950*time.Millisecond, want*1050*time.Millisecond)
	}
	for range 20 {
		b.beat()
		b.s.Missed()
		b.between(500*time.Millisecond, 11500*time.Millisecond)
	}
	b.obeyed(0, nil)
	b.beat()
	b.s.Missed() // no hello: it need not hurry
	b.between(500*time.Millisecond, 11500*time.Millisecond)
}

// Beats come once in each interval, by a phase of their own, give or take a twentieth.
func TestPhase(t *testing.T) {
	const interval = 10 * time.Second
	b := newBench(t, Options{})
	b.obeyed(time.Millisecond, nil)
	b.pass(b.s.Wait(b.now))
	mark := b.now.Mono
	for i := range 200 {
		b.obeyed(2*time.Millisecond, nil)
		b.between(interval*9/10-2*time.Millisecond, interval*11/10)
		b.pass(b.s.Wait(b.now))
		if off := b.now.Mono - mark - time.Duration(i+1)*interval; off < -interval/10 || off > interval/10 {
			t.Fatalf("beat %d is off by %v", i, off)
		}
	}
}

// A thousand senders that begin at one moment are spread over the interval, each where it was before.
func TestPhases(t *testing.T) {
	var tenths [10]int
	for i := range 1000 {
		c := newSchedule(Options{Host: fmt.Sprint("host-", i), Plugin: "agent"}, 10*time.Second, 0)
		if c.phase() < 0 || c.phase() >= 10*time.Second {
			t.Fatal(c.phase())
		}
		tenths[c.phase()/time.Second]++
	}
	for i, n := range tenths {
		if n < 50 || n > 150 {
			t.Errorf("%d of 1,000 in tenth %d", n, i)
		}
	}
	one, two := newSchedule(Options{Host: "h", Plugin: "a"}, time.Hour, 5), newSchedule(Options{Host: "h", Plugin: "a"}, time.Hour, 7)
	if one.phase() != two.phase() {
		t.Errorf("%v, then %v", one.phase(), two.phase())
	}
}

func TestFirst(t *testing.T) {
	most := time.Duration(0)
	for range 100 {
		b := newBench(t, Options{First: time.Second})
		b.between(0, time.Second)
		most = max(most, b.s.Wait(b.now))
	}
	if most < 100*time.Millisecond {
		t.Errorf("the latest of 100 is due in %v", most)
	}
}

// What comes out of turn comes once, and not too soon after another.
func TestOutOfTurn(t *testing.T) {
	b := newBench(t, Options{First: time.Second})
	b.s.Reconnected(b.now) // the first connection is no news
	b.s.Hasten(b.now)
	b.between(0, 0)
	b.obeyed(0, nil)
	b.pass(300 * time.Millisecond)
	b.s.Hasten(b.now)
	b.s.Hasten(b.now)
	b.between(200*time.Millisecond, 700*time.Millisecond)
	b.pass(700 * time.Millisecond)
	b.obeyed(0, nil)
	b.between(500*time.Millisecond, 11500*time.Millisecond)
	b.s.Reconnected(b.now)
	b.between(0, comeBack)
	b.s.GreetAgain(b.now)
	b.between(0, 0)
	b.beat()
	b.s.Reconnected(b.now)
	b.s.Missed() // of the beat before the bus came back
	b.between(0, comeBack)
}

// A new interval counts from the last beat on.
func TestFollow(t *testing.T) {
	b := newBench(t, Options{})
	b.obeyed(0, nil)
	b.pass(b.s.Wait(b.now))
	for _, interval := range []time.Duration{time.Second, time.Minute, time.Hour, 10 * time.Second} {
		b.obeyed(0, func(a *telemetry.Ack) { a.NextMS = interval.Milliseconds() })
		b.between(interval/20, interval*23/20)
		b.pass(b.s.Wait(b.now))
		b.obeyed(0, nil)
		b.between(interval*4/5, interval*23/20)
		b.pass(b.s.Wait(b.now))
	}
}
