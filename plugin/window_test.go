package plugin

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// counts is a window that counts its points, and fails when told.
type counts struct {
	mu        sync.Mutex
	n         int
	flushes   int
	onProcess error
	onFlush   error
}

func (c *counts) process(_ context.Context, in, _ *telemetry.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += in.Len()
	return c.onProcess
}

func (c *counts) flush(_ context.Context, out func(string) *telemetry.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushes++
	if c.onFlush != nil {
		return c.onFlush
	}
	if c.n > 0 {
		out("web-1").Add("count", telemetry.Fields{"n": c.n}, nil)
		out("web-2").Add("count", telemetry.Fields{"n": c.n}, nil)
	}
	c.n = 0
	return nil
}

// Who has only a part of each source in his window says so.
func TestWindowShares(t *testing.T) {
	f := func(process string, w telemetry.Work, want string) {
		t.Helper()
		l := &life{o: Options{Plugin: "sum", Process: process}}
		s, _ := fakeSession(t, &fakeLink{})
		var text strings.Builder
		s.log, s.shares = slog.New(slog.NewTextHandler(&text, nil)), l.shares(w)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var c counts
		if err := s.Window(ctx, time.Minute, c.process, c.flush); err != nil {
			t.Error(err)
		}
		if got := text.String(); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s, %+v: %q", process, w, got)
		}
	}
	f("sum", telemetry.Work{}, "")
	f("sum", telemetry.Work{Parallel: 1}, "")
	f("sum", telemetry.Work{Parallel: 2}, "setting=parallel")
	f("sum.2", telemetry.Work{}, "setting=replicas")
	f("sum.2", telemetry.Work{Parallel: 2, Order: telemetry.OrderSource}, "")
}

func TestWindowHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(3, 10)
		l := &fakeLink{inputs: map[string]*fakeSource{"in": src}}
		s, _ := fakeSession(t, l)
		var c counts
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Window(ctx, time.Minute, c.process, c.flush) }()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		c.mu.Lock()
		n := c.n
		c.mu.Unlock()
		if acked, _, _ := fates[0].counts(); acked != 0 || n != 30 {
			t.Errorf("settled before the flush: %+v, %d points", fates[0], n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, f := range fates {
			if acked, back, _ := f.counts(); acked != 1 || back != 0 {
				t.Errorf("after the flush: %+v", f)
			}
		}
		if m := l.messages(); len(m) != 2 || m[0].host != "web-1" || m[1].host != "web-2" {
			t.Errorf("messages %v", m)
		}
		cancel()
		if err := <-done; err != nil || c.flushes != 2 {
			t.Errorf("%v after %d flushes", err, c.flushes)
		}
	})
}

// TestWindowIsFull checks that a window flushes early rather than hold more than the bus lets it.
func TestWindowIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, _ := gives(40, 1)
		src.ends = true
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		s.work.MaxAckPending = 16
		var c counts
		if err := s.Window(t.Context(), time.Hour, c.process, c.flush); err != nil || c.flushes != 3 { // 14, 14, the rest
			t.Errorf("%v after %d flushes", err, c.flushes)
		}
	})
}

// TestWindowIsNeverHalf checks that after an error nothing of the window is sent and all of it is given back, whichever of
// two inputs met the error.
func TestWindowIsNeverHalf(t *testing.T) {
	f := func(c *counts, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			a, fates := gives(2, 10)
			b, more := gives(2, 10)
			fates = append(fates, more...)
			l := &fakeLink{inputs: map[string]*fakeSource{"a": a, "b": b}}
			s, _ := fakeSession(t, l)
			err := s.Window(t.Context(), time.Minute, c.process, c.flush)
			if err == nil || err.Error() != want {
				t.Errorf("ended with %v, want %s", err, want)
			}
			if len(l.messages()) > 0 || c.flushes > 1 {
				t.Errorf("%d messages, %d flushes", len(l.messages()), c.flushes)
			}
			for _, f := range fates {
				if acked, _, buried := f.counts(); acked+buried != 0 {
					t.Errorf("settled: %+v", f)
				}
			}
		})
	}
	f(&counts{onProcess: errors.New("in process")}, "in process")
	f(&counts{onFlush: errors.New("in flush")}, "in flush")
}

func TestWindowWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(1, 10)
		l := &fakeLink{inputs: map[string]*fakeSource{"in": src}, hold: true}
		s, _ := fakeSession(t, l)
		var c counts
		time.AfterFunc(2*time.Minute, func() { l.store(errors.New("refused")) })
		err := s.Window(t.Context(), time.Minute, c.process, c.flush)
		if acked, back, _ := fates[0].counts(); err == nil || acked != 0 || back != 1 {
			t.Errorf("%v, %+v", err, fates[0])
		}
	})
}

func TestWindowPermanent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(1, 10)
		src.ends = true
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		c := &counts{onProcess: Permanent(errors.New("never"))}
		if err := s.Window(t.Context(), time.Minute, c.process, c.flush); err != nil || len(fates[0].buried) != 1 || fates[0].acked != 1 {
			t.Errorf("%v, %+v", err, fates[0])
		}
		if err := s.Window(t.Context(), 0, c.process, c.flush); !IsPermanent(err) {
			t.Errorf("a window of nothing: %v", err)
		}
	})
}
