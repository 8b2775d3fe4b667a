package bus_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/cluster"
)

// What the servers of a cluster say of a consumer with a backlog while they go and come one after the other: errors, and perhaps
// zeros, but never for long that nothing is left.
func TestQuietInCluster(t *testing.T) {
	t.Parallel()
	c := bustest.NewCluster(t, cluster.Options{})
	hub := c.Conn(t, bus.Hub)
	if err := hub.EnsureStreams(t.Context(), smallStreams()); err != nil {
		t.Fatal(err)
	}
	fill(t, hub, 50)
	if err := hub.EnsureConsumer(t.Context(), input("late")); err != nil {
		t.Fatal(err)
	}
	var asks sync.WaitGroup
	var answered atomic.Int64
	done := make(chan struct{})
	asks.Go(func() {
		asked, errs, zeros, row, since, longest := 0, 0, 0, 0, time.Time{}, time.Duration(0)
		for {
			select {
			case <-done:
				t.Logf("asked %d times: %d errors, %d times nothing left, for %v at most", asked, errs, zeros, longest)
				if longest >= 3*time.Second { // for which an agent wants to hear it
					t.Errorf("nothing left for %v", longest)
				}
				return
			case <-time.After(2 * time.Millisecond):
			}
			asked++
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			s, err := hub.ConsumerInfo(ctx, bus.StreamMetrics, "late")
			cancel()
			if err == nil {
				answered.Add(1)
			}
			switch {
			case err != nil:
				errs++
			case !s.Quiet():
				row = 0
			case row == 0:
				zeros, row, since = zeros+1, 1, time.Now()
			default:
				zeros, row = zeros+1, row+1
				if row > 20 { // fewer may be this process that stood still
					longest = max(longest, time.Since(since))
				}
			}
		}
	})
	nodes := c.Nodes[:2]
	if long() {
		nodes = c.Nodes
	}
	for _, n := range nodes {
		heard := answered.Load()
		bustest.Wait(t, limit, "answers", func() bool { return answered.Load() > heard+20 })
		n.Kill()
		start(t, n)
		c.Leader(t, hub, bus.StreamMetrics)
	}
	close(done)
	asks.Wait()
}
