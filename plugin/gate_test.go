package plugin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A gateStatus keeps whether a session that is ready says that it has to be alone.
type gateStatus struct{ *fakeStatus }

func (s gateStatus) ready(alone bool) { s.say(fmt.Sprintf("ready alone=%v", alone)) }

// A windowed work has a part of each window in its memory.
type windowed struct{}

func (windowed) Window() time.Duration { return time.Second }

// A prepared is what prepare has returned.
type prepared struct {
	p   any
	ok  bool
	err error
}

// A stage is a session that prepares itself.
type stage struct {
	s      *Session
	status gateStatus
	built  int
	cancel context.CancelFunc
	done   chan prepared
}

// prepares runs prepare, with what New gives the first, second ... time; the last again and again.
func prepares(t *testing.T, gate *gate, tries ...any) *stage {
	s, status := fakeSession(t, &fakeLink{})
	g := &stage{s: s, status: gateStatus{status}, done: make(chan prepared, 1)}
	s.gate, s.status = gate, g.status
	ctx, cancel := context.WithCancel(t.Context())
	g.cancel = cancel
	go func() {
		p, ok, err := s.prepare(ctx, func() (any, error) {
			try := tries[min(g.built, len(tries)-1)]
			g.built++
			if err, bad := try.(error); bad {
				return nil, err
			}
			return try, nil
		})
		g.done <- prepared{p, ok, err}
	}()
	synctest.Wait()
	return g
}

// waits reports that prepare has not returned.
func (g *stage) waits(t *testing.T, said ...string) {
	t.Helper()
	if len(g.done) > 0 || g.built != 1 || !slices.Equal(g.status.said, said) {
		t.Errorf("returned %v, built %d times, said %q; want it to wait, built once, and %q", len(g.done) > 0, g.built, g.status.said, said)
	}
}

// returned checks what prepare has returned, and how often New was called.
func (g *stage) returned(t *testing.T, p any, ok bool, err error, built int) {
	t.Helper()
	synctest.Wait()
	select {
	case got := <-g.done:
		if got.p != p || got.ok != ok || !errors.Is(got.err, err) || g.built != built {
			t.Errorf("%+v, built %d times; want %v, %v, %v, %d times", got, g.built, p, ok, err, built)
		}
	default:
		t.Errorf("it still waits, built %d times", g.built)
	}
}

var errInUse = &net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}

// Who is not held begins at once, and is told of any error.
func TestPrepareNotHeld(t *testing.T) {
	gone := newGate()
	gone.open()
	for _, gate := range []*gate{nil, gone} {
		synctest.Test(t, func(t *testing.T) {
			g := prepares(t, gate, "work")
			g.returned(t, "work", true, nil, 1)
			if len(g.status.said) > 0 {
				t.Errorf("said %q", g.status.said)
			}
			for _, err := range []error{errInUse, ErrTaken, ErrNoData, errors.New("boom")} {
				prepares(t, gate, err).returned(t, nil, true, err, 1)
			}
		})
	}
}

// Who is held makes itself ready, and begins with what it has made when its gate opens.
func TestPrepareHeld(t *testing.T) {
	f := func(work any, says string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			gate := newGate()
			g := prepares(t, gate, work)
			g.waits(t, says)
			time.Sleep(time.Hour)
			g.waits(t, says)
			gate.open()
			g.returned(t, work, true, nil, 1)
			if gate.closed() {
				t.Error("the gate is closed again")
			}
			gate.open() // again does nothing

			g = prepares(t, newGate(), work)
			g.cancel() // drained while it waits
			g.returned(t, work, false, nil, 1)
		})
	}
	f("work", "ready alone=false")
	f(windowed{}, "ready alone=true")
}

// What the process that works has still is had when that one has gone.
func TestPrepareTaken(t *testing.T) {
	for _, err := range []error{errInUse, fmt.Errorf("start: %w", ErrTaken), os.NewSyscallError("flock", syscall.EWOULDBLOCK)} {
		synctest.Test(t, func(t *testing.T) {
			gate := newGate()
			g := prepares(t, gate, err, err, err, "work")
			g.waits(t, "ready alone=true")
			time.Sleep(time.Hour)
			g.waits(t, "ready alone=true")
			gate.open()
			time.Sleep(3 * moveLook)
			g.returned(t, "work", true, nil, 4)

			gate = newGate() // it does not move out
			g = prepares(t, gate, err)
			gate.open()
			time.Sleep(moveOut + moveLook)
			g.returned(t, nil, true, err, 1+int(moveOut/moveLook))

			gate, boom := newGate(), errors.New("boom") // it has, and now something else is wrong
			g = prepares(t, gate, err, boom)
			gate.open()
			time.Sleep(moveLook)
			g.returned(t, nil, true, boom, 2)

			g = prepares(t, newGate(), err)
			g.cancel()
			g.returned(t, nil, false, nil, 1)
		})
	}
}

// Any other error is told at once: no waiting helps.
func TestPrepareFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, err := range []error{errors.New("boom"), ErrNoData, Permanent(errors.New("never"))} {
			g := prepares(t, newGate(), err)
			g.returned(t, nil, true, err, 1)
			if len(g.status.said) > 0 {
				t.Errorf("%v: said %q", err, g.status.said)
			}
		}
	})
}

// A session that is drained while it waits has not worked, and closes what it has made.
func TestHeldAndDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, status := fakeSession(t, &fakeLink{})
		s.gate = newGate()
		ctx, cancel := context.WithCancel(t.Context())
		w := &closing{}
		var g sync.WaitGroup
		g.Go(func() {
			err := s.live(ctx, func(context.Context) (any, error) { return w, nil }, func(context.Context, any) error {
				t.Error("it works")
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		g.Wait()
		if w.closed != 1 || !slices.Equal(status.said, []string{"ready"}) {
			t.Errorf("closed %d times, said %q", w.closed, status.said)
		}
	})
}

type closing struct{ closed int }

func (c *closing) Close() error {
	c.closed++
	return nil
}
