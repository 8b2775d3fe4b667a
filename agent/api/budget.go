package api

import (
	"context"
	"sync"
	"time"
)

// A budget is how many bytes may be read in a second, by all who share it. What nobody has taken for a second is gone.
type budget struct {
	rate float64

	mu   sync.Mutex
	left float64 // below 0 who takes waits
	last time.Time
}

func newBudget(rate int) *budget {
	return &budget{rate: float64(rate), left: float64(rate), last: time.Now()}
}

// take waits until n bytes may be read, and reports whether ctx goes on.
func (b *budget) take(ctx context.Context, n int) bool {
	wait := b.owe(n, time.Now())
	return wait <= 0 && ctx.Err() == nil || pause(ctx, wait)
}

// owe takes n bytes, and returns how long to wait for them.
func (b *budget) owe(n int, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left = min(b.rate, b.left+now.Sub(b.last).Seconds()*b.rate) - float64(n)
	b.last = now
	return time.Duration(-b.left / b.rate * float64(time.Second))
}

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
