package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// until runs loop until it ends by itself, or, in a bubble where all time passes at once, for an hour.
func until(t *testing.T, loop func(ctx context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	return loop(ctx)
}

// TestHaulDoesNotWait checks that what was gathered is delivered although the source claims that more is ready.
func TestHaulDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(3, 10)
		src.claims = 1
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		begin, calls := time.Now(), 0
		_ = until(t, func(ctx context.Context) error {
			return s.Deliver(ctx, Batching{}, func(_ context.Context, in *telemetry.Batch) error {
				if calls++; in.Len() != 30 || time.Since(begin) > time.Second {
					t.Errorf("call %d with %d points after %v", calls, in.Len(), time.Since(begin))
				}
				return nil
			})
		})
		for i, f := range fates {
			if acked, back, buried := f.counts(); acked != 1 || back+buried != 0 {
				t.Errorf("delivery %d: %+v", i, f)
			}
		}
	})
}

// TestBatchingBounds checks by what a haul is full, and how long it waits for more.
func TestBatchingBounds(t *testing.T) {
	f := func(how Batching, want ...int) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			src, _ := gives(5, 10)
			src.ends = true
			s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
			var got []int
			err := s.Deliver(t.Context(), how, func(_ context.Context, in *telemetry.Batch) error {
				got = append(got, in.Len())
				return nil
			})
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%+v: calls of %v points, %v; want %v", how, got, err, want)
			}
		})
	}
	f(Batching{}, 50)
	f(Batching{Points: 1}, 10, 10, 10, 10, 10)
	f(Batching{Points: 25}, 30, 20)
	f(Batching{Bytes: 1}, 10, 10, 10, 10, 10)
	f(Batching{Wait: time.Minute}, 50)
}

// TestCountsAfterSplit checks that points are counted once, whatever was halved.
func TestCountsAfterSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(3, 20)
		src.ends = true
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		err := s.Deliver(t.Context(), Batching{}, func(_ context.Context, in *telemetry.Batch) error {
			if in.Len() > 7 {
				return ErrTooLarge
			}
			return nil
		})
		if st := s.count.stats(); err != nil || st.PointsOut != 60 || st.BatchesOut != 3 || st.PointsIn != 60 {
			t.Errorf("%+v, %v", st, err)
		}
		for _, f := range fates {
			if acked, _, buried := f.counts(); acked != 1 || buried != 0 {
				t.Errorf("%+v", f)
			}
		}
	})
}

// TestPointTooLarge checks that a point that is too large alone is set aside, and only that.
func TestPointTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(1, 8)
		src.ends = true
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		var got []any
		err := s.Deliver(t.Context(), Batching{}, func(_ context.Context, in *telemetry.Batch) error {
			var ns []any
			for p := range in.Points() {
				if ns = append(ns, p.Fields["n"]); p.Fields["n"] == int64(5) {
					return ErrTooLarge
				}
			}
			got = append(got, ns...)
			return nil
		})
		if acked, _, buried := fates[0].counts(); err != nil || len(got) != 7 || acked != 1 || buried != 1 || fates[0].buried[0] != "too_large" {
			t.Errorf("%v, delivered %v, %+v", err, got, fates[0])
		}
	})
}

// TestRetriesForEver checks that a publisher is given the same again and again, and when.
func TestRetriesForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(1, 5)
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		begin, calls := time.Now(), 0
		_ = until(t, func(ctx context.Context) error {
			return s.Deliver(ctx, Batching{}, func(_ context.Context, in *telemetry.Batch) error {
				if calls++; in.Len() != 5 {
					t.Errorf("call %d with %d points", calls, in.Len())
				}
				for g := range in.Groups() {
					g.Keep(func(int) bool { return false }) // it is its own to change
				}
				if time.Since(begin) < 30*time.Minute {
					return errors.New("sink is away")
				}
				return nil
			})
		})
		if acked, back, _ := fates[0].counts(); acked != 1 || back != 0 || calls < 30 || calls > 70 {
			t.Errorf("%d calls in 30 minutes, %+v", calls, fates[0])
		}
	})
}

// TestEndGivesBack checks that a drain gives back what the sink does not take.
func TestEndGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(2, 5)
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		err := until(t, func(ctx context.Context) error {
			return s.Deliver(ctx, Batching{}, func(context.Context, *telemetry.Batch) error { return errors.New("away") })
		})
		for _, f := range fates {
			if acked, back, _ := f.counts(); err != nil || acked != 0 || back != 1 {
				t.Errorf("%v, %+v", err, f)
			}
		}
	})
}

// TestDeniedAlarms checks that somebody is told once for each outage, not for each try.
func TestDeniedAlarms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, _ := gives(3, 1)
		s, status := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		begin, calls := time.Now(), 0
		_ = until(t, func(ctx context.Context) error {
			return s.Deliver(ctx, Batching{Points: 1}, func(context.Context, *telemetry.Batch) error {
				if calls++; calls == 3 || calls > 5 {
					return nil
				}
				return Denied(errors.New("wrong password"))
			})
		})
		gone := 0
		for _, err := range status.alarms {
			if err == nil {
				gone++
			}
		}
		if len(status.alarms) != 6 || gone != 2 { // the life makes one event of those in between
			t.Errorf("alarms %v", status.alarms)
		}
		if f := s.count.lastFault(); f.Code != "denied" || time.Since(begin) < time.Hour {
			t.Errorf("fault %+v after %v", f, time.Since(begin))
		}
	})
}

// TestTransformTries checks how often a processor is given a batch, and what else may become of one.
func TestTransformTries(t *testing.T) {
	f := func(err error, calls, acked int, code string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			src, fates := gives(1, 5)
			src.ends = true
			s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
			n := 0
			got := s.Transform(t.Context(), func(_ context.Context, in, out *telemetry.Batch) error {
				if n++; in.Len() != 5 || out.Len() != 0 {
					t.Errorf("call %d: %d points in, %d out", n, in.Len(), out.Len())
				}
				for g := range in.Groups() {
					out.Take(g)
				}
				if err == nil {
					panic("at the disco")
				}
				return err
			})
			if a, _, buried := fates[0].counts(); got != nil || n != calls || a != acked || buried != 1 || fates[0].buried[0] != code {
				t.Errorf("%v: %d calls, %+v, %v", err, n, fates[0], got)
			}
		})
	}
	f(errors.New("some error"), 5, 1, "processor")
	f(Permanent(errors.New("never")), 1, 1, "processor")
	f(nil, 5, 1, "processor") // panics
}

// TestTransformIDs checks that the ids of an output follow from the input's, whatever was done before.
func TestTransformIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ids := func(before int) (list []string) {
			src, fates := gives(before+1, 3000)
			src.ends = true
			src.waiting = append(src.waiting[:before:before], src.waiting[before])
			src.waiting[before].id = "the-same"
			l := &fakeLink{inputs: map[string]*fakeSource{"in": src}}
			s, _ := fakeSession(t, l)
			err := s.Transform(t.Context(), func(_ context.Context, in, out *telemetry.Batch) error {
				for g := range in.Groups() {
					for row := range g.Len() {
						out.Add("t", telemetry.Fields{"text": fmt.Sprintf("%0100d", row)}, nil)
					}
				}
				return nil
			})
			if acked, _, _ := fates[before].counts(); err != nil || acked != 1 {
				t.Errorf("%v, %+v", err, fates[before])
			}
			for _, m := range l.messages() {
				if len(m.id) > 8 && m.id[:8] == "the-same" {
					list = append(list, fmt.Sprint(m.id, " ", len(m.body)))
				}
			}
			return list
		}
		first, later := ids(0), ids(5)
		if len(first) < 2 || first[0][:14] != "the-same+test " || !slices.Equal(first, later) {
			t.Errorf("messages %v, and after others %v", first, later)
		}
	})
}

// TestTransformWaitsForStore checks that an input is not settled before its output is stored, and given back when it never is.
func TestTransformWaitsForStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(2, 1)
		src.ends = true
		l := &fakeLink{inputs: map[string]*fakeSource{"in": src}, hold: true}
		s, _ := fakeSession(t, l)
		take := func(_ context.Context, in, out *telemetry.Batch) error {
			for g := range in.Groups() {
				out.Take(g)
			}
			return nil
		}
		if err := s.Transform(t.Context(), take); err != nil {
			t.Fatal(err)
		}
		if acked, back, _ := fates[0].counts(); acked+back != 0 {
			t.Errorf("settled before: %+v", fates[0])
		}
		l.mu.Lock()
		first := l.waiting[0]
		l.waiting = l.waiting[1:]
		l.mu.Unlock()
		first(nil)
		l.store(errors.New("refused by the stream"))
		if acked, back, _ := fates[0].counts(); acked != 1 || back != 0 {
			t.Errorf("stored: %+v", fates[0])
		}
		if acked, back, _ := fates[1].counts(); acked != 0 || back != 1 {
			t.Errorf("refused: %+v", fates[1])
		}
	})
}

// TestForeignSubject checks that a message nobody knows the origin of is set aside, and the next one worked on.
func TestForeignSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(2, 3)
		src.ends = true
		src.waiting[0].fault = errors.New("not a token")
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		err := s.Deliver(t.Context(), Batching{}, func(context.Context, *telemetry.Batch) error { return nil })
		if err != nil || len(fates[0].buried) != 1 || fates[0].acked != 1 || fates[1].acked != 1 || len(fates[1].buried) != 0 {
			t.Errorf("%v, %+v, %+v", err, fates[0], fates[1])
		}
	})
}

// TestUndecodable checks the same for bytes that are no batch.
func TestUndecodable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, fates := gives(2, 3)
		src.ends = true
		src.waiting[0].body = []byte{0x9f, 0xff}
		s, _ := fakeSession(t, &fakeLink{inputs: map[string]*fakeSource{"in": src}})
		err := s.Transform(t.Context(), func(context.Context, *telemetry.Batch, *telemetry.Batch) error { return nil })
		if err != nil || len(fates[0].buried) != 1 || fates[0].acked != 1 || fates[1].acked != 1 {
			t.Errorf("%v, %+v, %+v", err, fates[0], fates[1])
		}
	})
}
