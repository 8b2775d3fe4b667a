package plugin

import (
	"context"
	"errors"
	"sync"
	"syscall"
	"time"
)

// A gate keeps a process from its work. Its agent holds it closed while the process takes over from another one of its name: it makes
// itself ready meanwhile, so that nothing can go wrong when the other one ends. A gate that was opened stays so.
type gate struct {
	opened chan struct{}
	once   sync.Once
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

// open lets the process work. A nil gate is open.
func (g *gate) open() {
	if g != nil {
		g.once.Do(func() { close(g.opened) })
	}
}

func (g *gate) closed() bool {
	if g == nil {
		return false
	}
	select {
	case <-g.opened:
		return false
	default:
		return true
	}
}

// await returns when the gate is open, and reports whether that was before ctx ended.
func (g *gate) await(ctx context.Context) bool {
	if g == nil {
		return true
	}
	select {
	case <-g.opened:
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

// prepare builds the work, and waits for the gate to begin it. What another process has still is built when that one has
// gone. ok is false when ctx ended first.
func (s *Session) prepare(ctx context.Context, build func() (any, error)) (p any, ok bool, err error) {
	held := s.gate.closed()
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
	if !s.gate.await(ctx) {
		return p, false, nil
	}
	for end := time.Now().Add(moveOut); taken(err) && time.Now().Before(end) && sleep(ctx, moveLook); {
		p, err = build()
	}
	return p, true, err
}
