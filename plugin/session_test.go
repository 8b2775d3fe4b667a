package plugin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os/exec"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// TestTicks checks that ticks come at the interval, the first within a second, and that one which is due while the last is
// worked on is dropped and counted.
func TestTicks(t *testing.T) {
	f := func(every, work time.Duration, want, missed uint64) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s, _ := fakeSession(t, &fakeLink{})
			s.work.EveryMS = every.Milliseconds()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			begin, last := time.Now(), time.Time{}
			for at := range s.Ticks(ctx) {
				if last.IsZero() && at.Sub(begin) > time.Second {
					t.Errorf("first tick after %v", at.Sub(begin))
				}
				if d := at.Sub(last); !last.IsZero() && (d.Truncate(time.Microsecond)%every > time.Microsecond && every-d%every > time.Microsecond) {
					t.Errorf("%v between two ticks each %v", d, every)
				}
				last = at
				time.Sleep(work)
			}
			if st := s.count.stats(); st.Ticks != want || st.Missed != missed {
				t.Errorf("each %v, work %v: %d ticks, %d missed; want %d, %d", every, work, st.Ticks, st.Missed, want, missed)
			}
		})
	}
	f(10*time.Second, 0, 6, 0)
	f(10*time.Second, 9*time.Second, 6, 0)
	f(10*time.Second, 15*time.Second, 3, 3)
	f(10*time.Second, time.Hour, 1, 360)
	f(0, 0, 0, 0)
}

// TestCall checks the deadline of a call, and when one counts as hung.
func TestCall(t *testing.T) {
	f := func(edit func(*telemetry.Work), limit time.Duration) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			s, status := fakeSession(t, &fakeLink{})
			edit(&s.work)
			begin := time.Now()
			err := s.Call(func(ctx context.Context) error {
				<-ctx.Done()
				if d := time.Since(begin); d != limit {
					t.Errorf("deadline after %v, want %v", d, limit)
				}
				time.Sleep(hangTime - time.Millisecond)
				synctest.Wait()
				if status.isHung() {
					t.Error("hung too early")
				}
				time.Sleep(2 * time.Millisecond)
				synctest.Wait()
				if !status.isHung() {
					t.Error("not hung")
				}
				return ctx.Err()
			})
			if err == nil || err.Error() != "no answer in "+limit.String() {
				t.Errorf("%v", err)
			}
			if !errors.Is(err, context.DeadlineExceeded) || status.isHung() {
				t.Errorf("%v, hung %v", err, status.isHung())
			}
		})
	}
	f(func(*telemetry.Work) {}, callTime)
	f(func(w *telemetry.Work) { w.EveryMS = 10_000 }, 10*time.Second)
	f(func(w *telemetry.Work) { w.EveryMS, w.TimeoutMS = 10_000, 3000 }, 3*time.Second)
}

// TestPatience checks the deadline of calls of a program that has one of its own.
func TestPatience(t *testing.T) {
	f := func(w telemetry.Work, want time.Duration) {
		t.Helper()
		if got := (&Session{work: w, patience: 30 * time.Second}).timeout(); got != want {
			t.Errorf("%v every %v ms: %v, want %v", w.TimeoutMS, w.EveryMS, got, want)
		}
	}
	f(telemetry.Work{}, 30*time.Second)
	f(telemetry.Work{EveryMS: 300_000}, 30*time.Second)
	f(telemetry.Work{EveryMS: 10_000}, 10*time.Second)
	f(telemetry.Work{EveryMS: 300_000, TimeoutMS: 60_000}, time.Minute)
	f(telemetry.Work{EveryMS: 10_000, TimeoutMS: 60_000}, 10*time.Second)
	f(telemetry.Work{TimeoutMS: 60_000}, time.Minute)
}

// work is what New makes; it counts how often it is closed.
type work struct{ closed int }

func (w *work) Close() error {
	w.closed++
	return errors.New("close")
}

// TestLive checks that what New made is closed once, however the loop ends, and that nothing else is.
func TestLive(t *testing.T) {
	f := func(made error, loop func() error, closed int, says string) {
		t.Helper()
		s, status := fakeSession(t, &fakeLink{})
		w := &work{}
		err := s.live(t.Context(), func(context.Context) (any, error) { return w, made },
			func(context.Context, any) error { return loop() })
		if w.closed != closed || !strings.Contains(fmt.Sprint(err), says) {
			t.Errorf("closed %d times, %v; want %d, %q", w.closed, err, closed, says)
		}
		if ran := len(status.said) > 0 && status.said[0] == "running"; ran != (made == nil) {
			t.Errorf("said %v", status.said)
		}
	}
	f(nil, func() error { return nil }, 1, "close")
	f(nil, func() error { return errors.New("loop") }, 1, "loop\nclose")
	f(nil, func() error { panic("loop") }, 1, "panic: loop\nclose")
	f(errors.New("new"), nil, 0, "start: new")
	f(ErrNoData, nil, 0, "idle")
}

// TestNote checks that the same error is logged once, and again after a success.
func TestNote(t *testing.T) {
	s, _ := fakeSession(t, &fakeLink{})
	var log strings.Builder
	s.log = newLog(&log, nil, false, Options{})
	away, never := errors.New("away"), Permanent(errors.New("never"))
	for _, err := range []error{away, away, ErrTooLarge, nil, away, ErrNoData, never} {
		if got := s.Note(err); (got != nil) != IsPermanent(err) {
			t.Errorf("note of %v: %v", err, got)
		}
	}
	if strings.Count(log.String(), "away") != 2 || strings.Count(log.String(), "never") != 1 || strings.Contains(log.String(), "too large") {
		t.Errorf("log %s", log.String())
	}
	if st := s.count.stats(); st.Errors["error"] != 3 || st.Errors["permanent"] != 1 || st.Errors["too_large"] != 1 {
		t.Errorf("%v", st.Errors)
	}
}

// TestKeep checks when facts are surveyed: at the start, each hour or so, and when asked, but not more often than each 10 s.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, status := fakeSession(t, &fakeLink{})
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		var at []time.Duration
		done := make(chan error, 1)
		go func() {
			done <- s.Keep(ctx, func(_ context.Context, out telemetry.Facts) error {
				at = append(at, time.Since(begin))
				out["n"] = len(at)
				return nil
			})
		}()
		time.Sleep(time.Second)
		asked := time.Now()
		surveyAnew(t.Context(), s.refresh)
		if d := time.Since(asked); d != surveyApart-time.Second {
			t.Errorf("a refresh took %v", d)
		}
		time.Sleep(70 * time.Minute)
		cancel()
		if err := <-done; err != nil || len(at) != 3 || at[0] != 0 || at[1] != surveyApart || at[2] < 54*time.Minute || at[2] > 67*time.Minute {
			t.Errorf("surveys at %v, %v", at, err)
		}
		if len(status.said) != 3 {
			t.Errorf("said %v", status.said)
		}
	})
}

// TestKeepEnds checks that nobody who asked for a refresh waits for a survey that never comes.
func TestKeepEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := fakeSession(t, &fakeLink{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- s.Keep(ctx, func(context.Context, telemetry.Facts) error { return nil })
		}()
		time.Sleep(time.Second)
		asked := time.Now()
		time.AfterFunc(time.Second, cancel)
		surveyAnew(t.Context(), s.refresh)
		if err := <-done; err != nil || time.Since(asked) != time.Second {
			t.Errorf("%v after %v", err, time.Since(asked))
		}
	})
}

// TestSurveyFaults checks what is told of facts that cannot be had: which failures are the plugin's, and what is too large to be
// sent is said instead of it.
func TestSurveyFaults(t *testing.T) {
	f := func(found telemetry.Facts, fails error, code, message string, failing bool) {
		t.Helper()
		s, _ := fakeSession(t, &fakeLink{})
		var kept *facts
		s.status = keeper{s.status, &kept}
		err := s.survey(func(_ context.Context, out telemetry.Facts) error {
			maps.Copy(out, found)
			return fails
		})
		if (err != nil) != failing || kept.fault == nil || kept.fault.Code != code || !strings.Contains(kept.fault.Message, message) {
			t.Errorf("%v, told %+v", err, kept.fault)
		}
		if whole := kept.size > 0 && kept.size <= telemetry.MaxPluginData && !kept.digest.IsZero(); whole != (kept.data != nil) {
			t.Errorf("%d bytes, %d facts are kept", kept.size, len(kept.data))
		}
	}
	f(telemetry.Facts{"n": 1}, exec.ErrNotFound, telemetry.FaultDependency, "executable file not found", false)
	f(telemetry.Facts{"n": 1}, fs.ErrPermission, telemetry.FaultDenied, "permission denied", true)
	f(telemetry.Facts{"n": make(chan int)}, nil, telemetry.FaultInvalid, "", true)
	large := telemetry.Facts{}
	for n := range 9 {
		large[fmt.Sprint(n)] = strings.Repeat("x", 1<<20)
	}
	f(large, nil, telemetry.FaultInvalid, "the facts have 94", true)
	f(large, fs.ErrPermission, telemetry.FaultInvalid, "at most 8388608", true)
}

// A keeper takes what is kept.
type keeper struct {
	status
	kept **facts
}

func (k keeper) keeps(f *facts) { *k.kept = f }

func TestFaultCodes(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		if got := faultCode(fmt.Errorf("survey: %w", err)); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	f(context.DeadlineExceeded, telemetry.FaultTimeout)
	f(fs.ErrPermission, telemetry.FaultDenied)
	f(fs.ErrNotExist, telemetry.FaultNotFound)
	f(exec.ErrNotFound, telemetry.FaultDependency)
	f(Permanent(errors.New("x")), telemetry.FaultInvalid)
	f(errors.New("x"), telemetry.FaultInternal)
}
