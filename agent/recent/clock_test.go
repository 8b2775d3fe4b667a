package recent

import (
	"math"
	"testing"
	"time"
)

// TestClockIsSet sets the wall clock in the middle of an hour: what is kept, dropped and how old it is does not change.
func TestClockIsSet(t *testing.T) {
	const day = 24 * time.Hour
	f := func(before, after time.Duration) {
		t.Helper()
		s := newStore(Limits{})
		at := func(mono time.Duration) instant {
			wall := noon.Add(mono + before)
			if mono >= 10*time.Minute {
				wall = noon.Add(mono + after)
			}
			return instant{mono, wall}
		}
		for mono := time.Duration(0); mono <= 20*time.Minute; mono += Step {
			s.add(cpu(at(mono).wall, mono.Seconds()), "h1", "host", at(mono))
			if mono < 5*time.Minute {
				s.add(cpu(at(mono).wall, 1), "gone", "host", at(mono))
			}
		}
		now := at(20*time.Minute + time.Second)
		all, _ := s.history(Query{Host: "h1"}, now.wall.Add(-15*time.Minute), now, 10)
		if len(all) != 1 || len(all[0].Values) != 91 || all[0].AgeMS != 1000 || now.wall.Sub(all[0].From) != 15*time.Minute+time.Second {
			t.Fatalf("%v to %v: history %+v", before, after, all)
		}
		for i, v := range all[0].Values {
			if v != float64(300+10*i) {
				t.Errorf("%v to %v: value %d is %v", before, after, i, v)
			}
		}
		if got := s.Stats(); got.Series != 2 || got.Dropped != 0 {
			t.Errorf("%v to %v: %+v, want nothing dropped", before, after, got)
		}
		later := at(5*time.Minute + Span)
		s.add(cpu(later.wall, 5), "h1", "host", later)
		if got := s.Stats(); got.Series != 1 || got.Dropped != 1 {
			t.Errorf("%v to %v: %+v, want the silent one dropped after an hour", before, after, got)
		}
	}
	f(0, 0)
	f(0, day)
	f(0, -day)
	f(day, 0)
	f(-day, 0)
	f(0, time.Hour)
	f(time.Hour, 0)
}

// TestMonotonicClockCounts is the same through Add, whose times have both clocks.
func TestMonotonicClockCounts(t *testing.T) {
	s := New(Limits{})
	now := time.Now()
	s.Add(cpu(now.Add(-48*time.Hour), 1), "h1", "host", now.Add(-30*time.Second))
	s.Add(cpu(now.Add(48*time.Hour), 2), "h1", "host", now)
	all, _ := s.History(Query{}, now.Add(-time.Minute), now, 10)
	if len(all) != 1 || len(all[0].Values) < 6 || all[0].Values[len(all[0].Values)-1] != 2 || all[0].Value.Value != 2.0 {
		t.Fatalf("%+v", all)
	}
	heard := 0
	for _, v := range all[0].Values {
		if !math.IsNaN(v) {
			heard++
		}
	}
	if heard != 2 || all[0].Time != now.Add(48*time.Hour).UnixNano() {
		t.Errorf("%d slots, time %d; want 2 slots, and the point's own time as it is", heard, all[0].Time)
	}
}
