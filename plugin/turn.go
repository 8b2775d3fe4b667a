package plugin

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"
)

// A turn is the moment from which a process may work. Its agent holds it back while it takes over from another process of
// its name: it makes itself ready meanwhile, so that nothing can go wrong when the other one ends. A turn that has come
// does not go away.
type turn struct {
	come chan struct{}
	once sync.Once
}

func newTurn() *turn { return &turn{come: make(chan struct{})} }

// comes lets the process work. A nil turn is one that has come.
func (t *turn) comes() {
	if t != nil {
		t.once.Do(func() { close(t.come) })
	}
}

func (t *turn) waits() bool {
	if t == nil {
		return false
	}
	select {
	case <-t.come:
		return false
	default:
		return true
	}
}

// await returns when it is our turn, and reports whether that was before ctx ended.
func (t *turn) await(ctx context.Context) bool {
	if t == nil {
		return true
	}
	select {
	case <-t.come:
		return true
	case <-ctx.Done():
		return false
	}
}

const (
	moveOut  = 5 * time.Second // for who had a port or a lock before us to let it go
	moveLook = 20 * time.Millisecond
)

// taken reports whether err is that somebody else has what we need alone.
func taken(err error) bool {
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EWOULDBLOCK) || errors.Is(err, ErrTaken)
}

// prepare builds the work, and waits for the turn to begin it. What another process has still is built when that one has
// gone. ok is false when ctx ended first.
func (s *Session) prepare(ctx context.Context, build func() (any, error)) (p any, ok bool, err error) {
	held := s.turn.waits()
	p, err = build()
	switch {
	case !held:
		return p, true, err
	case taken(err):
		s.status.ready(true)
	case err != nil:
		return nil, true, err
	default:
		_, windowed := p.(interface{ Window() time.Duration }) // each would have a part of it
		s.status.ready(windowed)
	}
	if !s.turn.await(ctx) {
		return p, false, nil
	}
	for end := time.Now().Add(moveOut); taken(err) && time.Now().Before(end) && sleep(ctx, moveLook); {
		p, err = build()
	}
	return p, true, err
}
