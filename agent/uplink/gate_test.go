package uplink

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.init()
		begin := time.Now()
		f := func(up bool, since time.Duration, reason error) {
			t.Helper()
			is, at, why := g.look()
			if is != up || at.Sub(begin) != since || !errors.Is(why, reason) || g.isUp() != up {
				t.Errorf("up %v since %v: %v", is, at.Sub(begin), why)
			}
		}
		f(false, 0, nil)
		time.Sleep(time.Second)
		g.shut(errStuck) // of a connection that never was
		f(false, 0, nil)
		g.open()
		f(true, time.Second, nil)
		time.Sleep(time.Second)
		g.open() // once more
		f(true, time.Second, nil)
		g.shut(errStuck)
		f(false, 2*time.Second, errStuck)
		g.open()
		f(true, 2*time.Second, nil)
	})
}

func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		g.init()
		time.AfterFunc(time.Second, g.open)
		time.AfterFunc(3*time.Second, func() { g.shut(nil) })
		begin := time.Now()
		during, end, err := g.await(t.Context())
		if err != nil || time.Since(begin) != time.Second || during.Err() != nil {
			t.Fatalf("after %v: %v", time.Since(begin), err)
		}
		<-during.Done()
		if cause := context.Cause(during); time.Since(begin) != 3*time.Second || !errors.Is(cause, errAway) {
			t.Errorf("after %v: %v", time.Since(begin), cause)
		}
		end()

		g.open()
		during, end, err = g.await(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		end() // by us: the bus is still there
		<-during.Done()
		if cause := context.Cause(during); errors.Is(cause, errAway) {
			t.Error(cause)
		}

		g.shut(nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, _, err := g.await(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

func TestAgain(t *testing.T) {
	f := func(failed int, most time.Duration) {
		t.Helper()
		for range 100 {
			if d := again(failed); d > most || d < most/2 {
				t.Errorf("after %d failures in %v, want %v at most", failed, d, most)
			}
		}
	}
	f(0, 500*time.Millisecond)
	f(1, time.Second)
	f(5, 15*time.Second)
	f(1000, 15*time.Second)
}
