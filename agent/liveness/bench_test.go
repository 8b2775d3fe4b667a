package liveness

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// fleet is a Watch of n hosts that are UP, and what makes a steady beat of each.
type fleet struct {
	*rig
	beat  telemetry.Heartbeat // of whichever host; fresh from its decoder, so in the cache
	hosts []string
	insts []string
	seqs  []uint64
}

func newFleet(tb testing.TB, n int) *fleet {
	rules := DefaultRules()
	rules.NewBurst, rules.Most = n, n
	f := &fleet{rig: newRigWith(tb, rules), seqs: make([]uint64, n)}
	f.beat = f.rig.beat("", 1, func(b *telemetry.Heartbeat) {
		b.Boot, b.Name = "6e0f24bb-5f17-4a4f-9c1b-3b7d2c1a0b55", "a name"
		b.Load = map[string]float64{"load1": 0.3, "load5": 0.2, "load15": 0.1, "rss": 4e7}
		b.Plugins, b.RTTUS, b.OffsetUS, b.ConfigRev = &telemetry.PluginCounts{OK: 12}, 210, -40, 7
	})
	for i := range n {
		f.hosts = append(f.hosts, fmt.Sprintf("host-%d.example.org", i))
		f.insts = append(f.insts, fmt.Sprintf("%032x", i))
		f.next(i)
	}
	f.now = time.Second
	f.sweep()
	return f
}

// next has the next beat of a host heard.
func (f *fleet) next(i int) Heard {
	f.seqs[i]++
	f.beat.Host, f.beat.Inst, f.beat.Seq = f.hosts[i], f.insts[i], f.seqs[i]
	return f.w.Hear(f.beat, f.at())
}

func BenchmarkHear(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := newFleet(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				f.next(i % n)
				i += 7919 // another part of the memory each time
			}
		})
	}
}

func BenchmarkSweep(b *testing.B) {
	f := newFleet(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		f.w.Sweep(healthy, f.at())
	}
}

// BenchmarkSweepAll looks at everybody, as after the watcher was cut off.
func BenchmarkSweepAll(b *testing.B) {
	f := newFleet(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		clear(f.w.due)
		f.w.Sweep(healthy, f.at())
	}
}

func BenchmarkInterval(b *testing.B) {
	f := newFleet(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		f.w.Interval(f.beat, 2000)
	}
}

func BenchmarkRestore(b *testing.B) {
	f := newFleet(b, 100_000)
	records := f.records()
	b.ReportAllocs()
	for b.Loop() {
		w := New(f.w.rules, f.at())
		w.Restore(records, time.Minute, f.at())
	}
}

func TestSteadyBeatsAndSweepsAllocateNothing(t *testing.T) {
	fl := newFleet(t, 100)
	w, i := fl.w, 0
	fl.take()
	f := func(what string, do func()) {
		t.Helper()
		if n := testing.AllocsPerRun(1000, do); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	f("Hear", func() {
		i++
		fl.next(i % 100)
	})
	f("Hear of a duplicate", func() { w.Hear(fl.beat, fl.at()) })
	f("Sweep", func() { w.Sweep(healthy, fl.at()) })
	f("Peer", func() { w.Peer(fl.hosts[1]) })
	f("Interval", func() { w.Interval(fl.beat, 1) })
	w.Speak(false, fl.at())
	f("Hear of a Watch that does not speak", func() { fl.next(3) })
	if len(fl.take()) != 0 {
		t.Error("something was told")
	}
}
