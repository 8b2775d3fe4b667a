package liveness

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func TestHistogram(t *testing.T) {
	h := newMeasures().Intervals
	for _, v := range []float64{0, 0.5, 0.51, 1, 2.5, 2.6, 8, 8.1, 1e300} {
		h.add(v)
	}
	if want := [...]uint64{2, 1, 0, 1, 0, 0, 0, 1, 1, 0, 0, 1, 2}; h.Counts != want || h.Count() != 9 {
		t.Errorf("counts %v, want %v", h.Counts, want)
	}
	if want := 0.5 + 0.51 + 1 + 2.5 + 2.6 + 8 + 8.1 + mostValue; math.Abs(h.Sum-want) > 1e-9 {
		t.Errorf("sum %v, want %v: one lie hides the rest", h.Sum, want)
	}
	m := newMeasures()
	for _, h := range []Histogram{m.Intervals, m.RTTs, m.Offsets} {
		if !slices.IsSorted(h.Bounds) || len(h.Bounds)+1 != len(h.Counts) || h.Bounds[0] <= 0 {
			t.Errorf("bounds %v", h.Bounds)
		}
	}
}

// counted returns the buckets of h that have something, as bound and count.
func counted(h Histogram) map[float64]uint64 {
	got := map[float64]uint64{}
	for i, n := range h.Counts {
		if n > 0 {
			got[append(slices.Clone(h.Bounds), math.Inf(1))[i]] = n
		}
	}
	return got
}

func TestMeasures(t *testing.T) {
	r := newRig(t)
	at := func(now time.Duration, gen uint64, change ...func(*telemetry.Heartbeat)) {
		r.now = now
		r.hear(r.beat("h", gen, change...))
	}
	seq := func(n uint64) func(*telemetry.Heartbeat) {
		return func(b *telemetry.Heartbeat) { b.Seq = n }
	}
	says := func(ackLost uint64, rtt, offset int64) func(*telemetry.Heartbeat) {
		return func(b *telemetry.Heartbeat) { b.AckLost, b.RTTUS, b.OffsetUS = ackLost, rtt, offset }
	}
	f := func(what string, got, want any) {
		t.Helper()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	at(time.Second, 1, says(7, 0, 0)) // what was lost before the watcher began is not its business
	at(11*time.Second, 1, says(9, 300, -40))
	at(12*time.Second, 1, says(9, 300, 2_000_000)) // after a change of its inventory
	at(12*time.Second, 1, seq(3))                  // a duplicate
	at(42*time.Second, 1, seq(6), says(9, 900_000, 1))
	at(43*time.Second, 1, seq(5), says(50, 1, 1)) // late: it says nothing new
	m := r.w.Measures()
	acksLost := func() uint64 {
		p, _ := r.w.Peer("h")
		return p.AckLost
	}
	f("intervals", counted(m.Intervals), map[float64]uint64{1.05: 1, 0.5: 1, 3: 1})
	f("round trips", counted(m.RTTs), map[float64]uint64{0.0005: 2, 1: 1})
	f("offsets", counted(m.Offsets), map[float64]uint64{0.0001: 2, 10: 1})
	f("lost beats", m.BeatsLost, uint64(2))
	f("lost acks", m.AcksLost, uint64(2))
	f("of the host", acksLost(), uint64(2))

	at(143*time.Second, 2, says(5, math.MinInt64, math.MinInt64)) // another instance, out of its mind
	f("of another instance", acksLost(), uint64(0))
	at(153*time.Second, 2, says(math.MaxUint64, math.MaxInt64, math.MaxInt64))
	at(163*time.Second, 2, seq(math.MaxUint64))
	m = r.w.Measures()
	f("intervals within instances", counted(m.Intervals), map[float64]uint64{1.05: 3, 0.5: 1, 3: 1})
	f("lost beats of one jump", m.BeatsLost, uint64(2+mostLost))
	f("lost acks of one beat", m.AcksLost, uint64(2+mostLost))
	if most := 3 * float64(mostValue); m.RTTs.Sum > most || m.Offsets.Sum > most || m.RTTs.Sum < 0 || m.Offsets.Sum < 0 {
		t.Errorf("sums %v and %v", m.RTTs.Sum, m.Offsets.Sum)
	}
}

// TestMeasuresOfRestored restarts the watcher: its silence is nobody's interval.
func TestMeasuresOfRestored(t *testing.T) {
	r := newRig(t)
	r.run(30*time.Second, "h")
	records := r.records()
	r.w = New(DefaultRules(), r.at())
	r.w.Restore(records, 0, r.at())
	r.run(time.Minute, "h")
	if got := counted(r.w.Measures().Intervals); !reflect.DeepEqual(got, map[float64]uint64{1.05: 5}) {
		t.Errorf("intervals %v, want five of 1", got)
	}
}
