package api

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBudgetIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(1000)
		begun := time.Now()
		var all sync.WaitGroup
		for range 64 { // 64,000 bytes, of which 1,000 are there
			all.Go(func() {
				for range 10 {
					b.take(t.Context(), 100)
				}
			})
		}
		all.Wait()
		if took := time.Since(begun); took != 63*time.Second {
			t.Errorf("it took %v", took)
		}
		time.Sleep(time.Hour) // what is not used is not saved up
		if wait := b.owe(1500, time.Now()); wait != 500*time.Millisecond {
			t.Errorf("after an hour the wait is %v", wait)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if b.take(ctx, 1e6) {
			t.Error("who is gone goes on")
		}
	})
}

// TestTapsShareABudget has two taps, each with more of its own than both may have together.
func TestTapsShareABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newBudget(1000)
		begun := time.Now()
		var all sync.WaitGroup
		for range 2 {
			p := sampled{own: newBudget(1e6), shared: shared}
			all.Go(func() {
				for range 50 {
					p.afford(t.Context(), 100)
				}
			})
		}
		all.Wait()
		if took := time.Since(begun); took != 9*time.Second {
			t.Errorf("10,000 bytes took %v", took)
		}
	})
}
