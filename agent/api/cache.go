package api

import (
	"context"
	"time"
)

// A cache keeps an answer that takes much work for a while. While one makes it the others wait for it.
type cache[T any] struct {
	turn  chan struct{} // 1: of who looks, or makes
	value T
	until time.Time
}

func newCache[T any]() cache[T] { return cache[T]{turn: make(chan struct{}, 1)} }

// get returns the answer, which is made where there is none that is younger than fresh. It is made to its end also when who
// asked is gone: the next ones need it.
func (c *cache[T]) get(ctx context.Context, fresh time.Duration, make func(context.Context) T) (value T, err error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return value, ctx.Err()
	}
	if time.Now().After(c.until) {
		c.value = make(context.WithoutCancel(ctx))
		c.until = time.Now().Add(fresh)
	}
	return c.value, nil
}
