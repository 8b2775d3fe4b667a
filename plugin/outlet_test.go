package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// streams runs f as a stream on l until it returns, and returns its session.
func streams(t *testing.T, l *fakeLink, f func(ctx context.Context, out *Outlet) error) *Session {
	t.Helper()
	s, _ := fakeSession(t, l)
	s.once = true
	if err := s.Stream(t.Context(), f); err != nil {
		t.Errorf("stream: %v", err)
	}
	return s
}

func words(n int) *telemetry.Batch {
	var b telemetry.Batch
	for i := range n {
		b.Add("word", telemetry.Fields{"n": i, "text": fmt.Sprintf("%060d", i)}, nil)
	}
	return &b
}

// TestEmitsTravelTogether checks that who emits while a message leaves shares the next one, and hears when it is stored.
func TestEmitsTravelTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLink{token: make(chan struct{})}
		l.hold = true
		s, _ := fakeSession(t, &l.fakeLink)
		s.link, s.once = l, true
		const n = 50
		err := s.Stream(t.Context(), func(_ context.Context, out *Outlet) error {
			var stored sync.WaitGroup
			var heard atomic.Int32
			emit := func() {
				if err := out.Emit(words(1)); err != nil {
					t.Error(err)
				}
				heard.Add(1)
			}
			stored.Go(emit)
			synctest.Wait() // its message is leaving
			for range n - 1 {
				stored.Go(emit)
			}
			synctest.Wait()
			close(l.token)
			synctest.Wait()
			if m := len(l.messages()); m != 2 || heard.Load() != 0 {
				t.Errorf("%d messages for %d emits, %d of them heard before they were stored", m, n, heard.Load())
			}
			l.store(nil)
			stored.Wait()
			return nil
		})
		if err != nil || l.points != n {
			t.Errorf("%d points were sent, want %d; %v", l.points, n, err)
		}
	})
}

func TestEmitTellsOfErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLink{hold: true}
		refused := errors.New("refused by the stream")
		streams(t, l, func(_ context.Context, out *Outlet) error {
			time.AfterFunc(time.Second, func() { l.store(refused) })
			if err := out.Emit(words(1)); !errors.Is(err, refused) {
				t.Errorf("emit: %v", err)
			}
			if err := out.Emit(&telemetry.Batch{}); err != nil {
				t.Errorf("emit of nothing: %v", err)
			}
			return nil
		})
	})
}

// TestPostLingers checks when posted batches leave.
func TestPostLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &fakeLink{}
		streams(t, l, func(_ context.Context, out *Outlet) error {
			post := func(n int, wait time.Duration) {
				if err := out.Post(words(n), wait); err != nil {
					t.Error(err)
				}
			}
			sent := func(want int) {
				t.Helper()
				synctest.Wait()
				if l.mu.Lock(); l.points != want {
					t.Errorf("%d points were sent, want %d", l.points, want)
				}
				l.mu.Unlock()
			}
			post(1, time.Second)
			post(1, time.Minute)
			sent(0)
			time.Sleep(999 * time.Millisecond)
			sent(0)
			time.Sleep(2 * time.Millisecond)
			sent(2) // the most urgent takes the others along
			post(1, time.Minute)
			if err := out.Emit(words(1)); err != nil {
				t.Error(err)
			}
			sent(4)
			post(5000, time.Minute) // more than a message holds
			sent(5004)
			post(1, time.Minute)
			return nil
		})
		if l.points != 5005 {
			t.Errorf("%d points at the end: what was posted before the end leaves with it", l.points)
		}
	})
}

// A slowLink takes a message when the test says so.
type slowLink struct {
	fakeLink
	token chan struct{}
}

func (l *slowLink) send(ctx context.Context, m message, done func(error)) error {
	select {
	case <-l.token:
		return l.fakeLink.send(ctx, m, done)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestPostBlocks checks that no more than outletBytes wait while the bus does not take them, and that everybody who waited
// is let in afterwards.
func TestPostBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLink{token: make(chan struct{})}
		s, _ := fakeSession(t, &l.fakeLink)
		s.link, s.once = l, true
		const posters, each = 20, 1000
		size := words(each).Size()
		err := s.Stream(t.Context(), func(_ context.Context, out *Outlet) error {
			var in, wait sync.WaitGroup
			var mu sync.Mutex
			entered := 0
			for range posters {
				wait.Go(func() {
					if err := out.Post(words(each), time.Hour); err != nil {
						t.Error(err)
					}
					mu.Lock()
					entered++
					mu.Unlock()
				})
			}
			in.Wait()
			synctest.Wait()
			mu.Lock()
			if most := 2*outletBytes/size + 2; entered == 0 || entered > most {
				t.Errorf("%d posts of %d bytes went in, want %d at most", entered, size, most)
			}
			mu.Unlock()
			close(l.token)
			wait.Wait()
			return nil
		})
		if err != nil || l.points != posters*each {
			t.Errorf("%d points were sent, want %d; %v", l.points, posters*each, err)
		}
	})
}

// TestEndWhileBlocked checks that who waits is told when a drain takes too long.
func TestEndWhileBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &slowLink{token: make(chan struct{})}
		s, _ := fakeSession(t, &l.fakeLink)
		s.link, s.once = l, true
		life, end := context.WithCancel(t.Context())
		s.life = life
		err := s.Stream(t.Context(), func(_ context.Context, out *Outlet) error {
			failed := make(chan error)
			for range 10 {
				go func() { failed <- out.Emit(words(2000)) }()
			}
			synctest.Wait()
			end()
			for range 10 {
				if err := <-failed; !errors.Is(err, context.Canceled) {
					t.Errorf("emit: %v", err)
				}
			}
			close(l.token)
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// TestLateSpeaker checks that who goes on speaking after the end is told that nobody listens.
func TestLateSpeaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late *Outlet
		streams(t, &fakeLink{}, func(_ context.Context, out *Outlet) error {
			late = out
			return nil
		})
		if err := late.Post(words(1), 0); !errors.Is(err, errEnded) {
			t.Errorf("post: %v", err)
		}
		if err := late.Emit(words(1)); !errors.Is(err, errEnded) {
			t.Errorf("emit: %v", err)
		}
	})
}

// TestStreamIsStartedAgain checks that a stream that fails, ends or panics is called again, and a permanent error is not.
func TestStreamIsStartedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := fakeSession(t, &fakeLink{})
		calls := 0
		never := Permanent(errors.New("never"))
		err := s.Stream(t.Context(), func(context.Context, *Outlet) error {
			switch calls++; calls {
			case 1:
				return errors.New("connection lost")
			case 2:
				panic("oh")
			case 3:
				return nil
			}
			return never
		})
		if calls != 4 || !errors.Is(err, never) {
			t.Errorf("%d calls, %v", calls, err)
		}
	})
}

// TestStreamThatSpeaksIsWell checks that a stream which was called again is failing until it has points, and each time anew.
func TestStreamThatSpeaksIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, status := fakeSession(t, &fakeLink{})
		lost := errors.New("connection lost")
		calls := 0
		err := s.Stream(t.Context(), func(_ context.Context, out *Outlet) error {
			if calls++; calls == 5 {
				return Permanent(lost)
			}
			if calls%2 == 0 {
				for range 3 {
					if err := out.Post(words(1), time.Second); err != nil {
						t.Error(err)
					}
				}
			}
			return lost
		})
		want := []string{"failing", "well", "failing", "well", "failing"}
		if !slices.Equal(status.said, want) || !errors.Is(err, lost) {
			t.Errorf("%q, %v; want %q", status.said, err, want)
		}
	})
}
