package pulse

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		first := c.Now()
		time.Sleep(time.Hour)
		later := c.Now()
		if first.Mono != 0 || later.Mono != time.Hour || later.Wall-first.Wall != int64(time.Hour) {
			t.Errorf("%+v, then %+v", first, later)
		}
		if slept := later.Asleep - first.Asleep; slept > sleepLeast || slept < -sleepLeast {
			t.Errorf("the machine slept %v meanwhile", slept)
		}
	})
	if c := NewClock(); runtime.GOOS == "linux" && (c.Now().HostUp <= 0 || len(Boot()) != 36) {
		t.Errorf("up for %v, boot %q", c.Now().HostUp, Boot())
	}
}

// An hour of beats whose every answer is on time, and not one of them too early.
func TestHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := NewClock()
		b := newBench(t, Options{})
		b.s = New(Options{Host: "h1", Plugin: "p"}, c.Now())
		for c.Now().Mono < time.Hour {
			time.Sleep(b.s.Wait(c.Now()))
			b.s.Beat(&b.last, c.Now())
			time.Sleep(time.Millisecond)
			if err := b.s.Obey(b.ack(), c.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if n := b.last.Seq; n < 359 || n > 363 {
			t.Errorf("%d beats in an hour", n)
		}
	})
}
