package api

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache[int]()
		var made atomic.Int64
		slowly := func(context.Context) int {
			time.Sleep(time.Second)
			return int(made.Add(1))
		}
		f := func(want int) {
			t.Helper()
			if got, err := c.get(t.Context(), 2*time.Second, slowly); got != want || err != nil {
				t.Errorf("%d, %v; want %d", got, err, want)
			}
		}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { f(1) })
		}
		all.Wait()
		time.Sleep(1900 * time.Millisecond)
		f(1)
		time.Sleep(200 * time.Millisecond)
		f(2)

		time.Sleep(time.Minute)
		first, leave := context.WithCancel(t.Context())
		go func() { _, _ = c.get(first, 2*time.Second, slowly) }()
		synctest.Wait()
		leave() // it is made none the less
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := c.get(short, 2*time.Second, slowly); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waited longer than it may: %v", err)
		}
		f(3)
	})
}
