package uplink

import (
	"fmt"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

// BenchmarkDrain is how fast a backlog goes on, in messages and in points: a batch of 1,000 points has about 50 KB, one of a source
// that sends 250 about 2.7 KB. Both buses run beside it on the same machine, without fsync.
func BenchmarkDrain(b *testing.B) {
	f := func(points, size int) {
		b.Run(fmt.Sprintf("points=%d", points), func(b *testing.B) {
			r := newRig(b)
			r.make(max(b.N, 200), size)
			b.ReportAllocs()
			b.SetBytes(int64(size))
			b.ResetTimer()
			r.run()
			bustest.Wait(b, 10*within, "all is over there", func() bool { return r.count(bus.StreamMetrics) >= b.N })
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
			b.ReportMetric(float64(b.N*points)/b.Elapsed().Seconds(), "points/s")
		})
	}
	f(250, 2700)
	f(1000, 50_000)
}
