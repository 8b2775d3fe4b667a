package plugin

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// bounds returns a session with limits, and the link that it sends by.
func bounds(t *testing.T, rate, series int64) (*Session, *fakeLink) {
	l := &fakeLink{}
	s, _ := fakeSession(t, l)
	s.limits = newLimits()
	s.limits.set(telemetry.Work{MaxRate: rate, MaxSeries: series})
	return s, l
}

// named returns a batch of points of the series from to to, excluded.
func named(from, to int) *telemetry.Batch {
	var b telemetry.Batch
	for i := from; i < to; i++ {
		b.Add("s", telemetry.Fields{"n": i}, telemetry.Tags{"id": strconv.Itoa(i)})
	}
	return &b
}

// TestMaxRate checks that no more leaves than the rate and what was saved up within a second.
func TestMaxRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := bounds(t, 1000, 0)
		f := func(after time.Duration, n, want int) {
			t.Helper()
			time.Sleep(after)
			before := l.points
			s.Emit(named(0, n))
			if got := l.points - before; got != want {
				t.Errorf("%d of %d points left, want %d", got, n, want)
			}
		}
		f(0, 800, 800)
		f(0, 800, 200) // a second's worth is there at first
		f(0, 10, 0)
		f(100*time.Millisecond, 300, 100)
		f(time.Hour, 3000, 1000) // no more is saved than a second's
		f(500*time.Millisecond, 500, 500)
		if n := s.count.stats().Dropped[dropFlood]; n != 600+10+200+2000 {
			t.Errorf("%d points counted as %s", n, dropFlood)
		}
		s.limits.set(telemetry.Work{})
		f(0, 5000, 5000)
	})
}

// TestMaxRateOfAnswers checks that who waits for an answer has all of its points stored, or none and an error.
func TestMaxRateOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := bounds(t, 1000, 0)
		s.once = true
		err := s.Stream(t.Context(), func(_ context.Context, out *Outlet) error {
			f := func(after time.Duration, n int, want error) {
				t.Helper()
				time.Sleep(after)
				before := l.points
				err := out.Emit(named(0, n))
				stored := l.points - before
				if !errors.Is(err, want) || err == nil && stored != n || err != nil && stored != 0 {
					t.Errorf("%d of %d points stored: %v, want %v", stored, n, err, want)
				}
			}
			f(0, 600, nil)
			f(0, 600, ErrFlood)
			f(0, 400, nil)
			f(0, 1, ErrFlood)
			f(2*time.Second, 5000, nil) // more than ever come together pass, and the next ones wait for longer
			f(2*time.Second, 1, ErrFlood)
			f(3*time.Second, 500, nil)
			return nil
		})
		if c := s.count.stats(); err != nil || c.Refused[refusedFlood] != 602 || len(c.Refused) != 1 || c.Dropped != nil {
			t.Errorf("refused %v, dropped %v: %v; who was refused has kept all", c.Refused, c.Dropped, err)
		}
	})
}

// TestMaxSeries checks that points of known series pass, and those of more than allowed do not, until others are not used for long.
func TestMaxSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := bounds(t, 0, 100)
		f := func(b *telemetry.Batch, want int) {
			t.Helper()
			before, n := l.points, b.Len()
			s.Emit(b)
			if got := l.points - before; got != want {
				t.Errorf("%d of %d points left, want %d", got, n, want)
			}
		}
		f(named(0, 60), 60)
		f(named(0, 60), 60)
		f(named(0, 150), 100)
		f(named(100, 150), 0)
		time.Sleep(30 * time.Minute)
		f(named(0, 150), 100)
		for range 7 {
			time.Sleep(10 * time.Minute)
			f(named(0, 50), 50) // the others fall asleep
		}
		f(named(200, 250), 50)
		f(named(50, 100), 0)
		f(named(0, 50), 50)
		s.limits.set(telemetry.Work{MaxSeries: 120})
		f(named(300, 400), 20)
		s.limits.set(telemetry.Work{})
		f(named(0, 5000), 5000)
	})
}

// TestMaxSeriesTellsWhoWaits checks that the points of other series are stored, and that others in the same message hear nothing.
func TestMaxSeriesTellsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l := bounds(t, 0, 10)
		s.once = true
		err := s.Stream(t.Context(), func(_ context.Context, out *Outlet) error {
			if err := out.Emit(named(0, 8)); err != nil {
				t.Error(err)
			}
			err := out.Emit(named(0, 20))
			if over, ok := errors.AsType[*SeriesLimitError](err); !ok || over.Points != 10 || l.points != 8+10 {
				t.Errorf("%d points stored: %v", l.points, err)
			}
			many, known := make(chan error, 1), make(chan error, 1)
			l.hold = true
			go func() { many <- out.Emit(named(5, 25)) }()
			go func() { known <- out.Emit(named(0, 10)) }()
			synctest.Wait()
			lost := errors.New("refused by the stream")
			l.store(lost)
			synctest.Wait()
			l.store(lost)
			if a, b := <-many, <-known; !errors.Is(a, lost) || !errors.Is(b, lost) {
				t.Errorf("nothing is stored: %v, %v", a, b)
			}
			return nil
		})
		if n := s.count.stats().Dropped[dropSeries]; err != nil || n != 10+15 {
			t.Errorf("%d points counted as %s: %v", n, dropSeries, err)
		}
	})
}

// TestSeriesOfHosts checks that a series of another host is another one.
func TestSeriesOfHosts(t *testing.T) {
	s, l := bounds(t, 0, 15)
	for _, host := range []string{"a", "b", "a"} {
		s.emit(named(0, 10), host, nil, func(error) {})
	}
	if l.points != 10+5+10 {
		t.Errorf("%d points left", l.points)
	}
}

// TestCensusAgainstAMap compares a census with a map, under random series.
func TestCensusAgainstAMap(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	for _, most := range []int{1, 47, 48, 49, 1000} {
		c, known := census{most: most}, map[uint64]bool{}
		mask := make([]bool, 1)
		for range 20_000 {
			h := uint64(r.IntN(2 * most)) // small numbers, so that neighbours are in the way; 0 too
			if r.IntN(2) == 0 {
				h = h<<40 | 7
			}
			refused := c.admit([]uint64{h}, 1, mask)
			h = max(h, 1)
			want := known[h] || len(known) < most
			if mask[0] != want || (refused == 0) != want {
				t.Fatalf("seed %d, %d at most, %d known: %d admitted %v", seed, most, len(known), h, mask[0])
			}
			if want {
				known[h] = true
			}
		}
		if c.n != min(most, len(known)) || len(c.slots) > max(fewSlots, 4*most) {
			t.Errorf("%d of %d series have %d slots", c.n, most, len(c.slots))
		}
	}
}

// TestLimitsCostNoMemory checks that a batch like the one before allocates nothing.
func TestLimitsCostNoMemory(t *testing.T) {
	l, b := newLimits(), named(0, 1000)
	l.set(telemetry.Work{MaxRate: 1 << 40, MaxSeries: 10_000})
	if n := testing.AllocsPerRun(100, func() { l.apply(b, "web-1", false) }); n > 2 { // the walk over the groups
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkLimits(b *testing.B) {
	f := func(name string, w telemetry.Work, series int) {
		b.Run(name, func(b *testing.B) {
			l := newLimits()
			l.set(w)
			var batches []*telemetry.Batch
			for from := 0; from < series; from += 1000 {
				var batch telemetry.Batch
				for i := range 1000 {
					id := (from + i) % series
					batch.Add("cpu", telemetry.Fields{"usage": float64(i)},
						telemetry.Tags{"host": fmt.Sprint(id / 100), "cpu": fmt.Sprint(id % 100), "zone": "a", "rack": fmt.Sprint(id % 7)})
				}
				batches = append(batches, &batch)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.apply(batches[i%len(batches)], "web-1", false)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/point")
		})
	}
	f("none", telemetry.Work{}, 100)
	f("rate", telemetry.Work{MaxRate: 1 << 40}, 100)
	f("series100", telemetry.Work{MaxSeries: 10_000}, 100)
	f("series10000", telemetry.Work{MaxSeries: 10_000}, 10_000)
}

// TestSeedsDiffer checks that nobody outside can know which series meet in a census.
func TestSeedsDiffer(t *testing.T) {
	a, b := newLimits(), newLimits()
	var from, other []uint64
	for g := range named(0, 10).Groups() {
		from, other = g.SeriesHashes(a.seed, from), g.SeriesHashes(b.seed, other)
	}
	if slices.Equal(from, other) || a.seed == (maphash.Seed{}) {
		t.Error("two processes hash alike")
	}
}
