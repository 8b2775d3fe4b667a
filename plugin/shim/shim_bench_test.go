package shim

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// BenchmarkProcessor gives batches of 500 points, of 4 tags and 5 fields, to a program that gives them back.
func BenchmarkProcessor(b *testing.B) {
	const points = 500
	var text strings.Builder
	for i := range points {
		fmt.Fprintf(&text, "net,dc=ams,host=web-%d,if=eth%d,rack=r%d drop=0i,err=%di,rx=%d.25,tx=%d.5,up=true %d\n",
			i%10, i%4, i%7, i%3, i*1000, i*500, noon.UnixNano()+int64(i)*1e6)
	}
	in := batch(b, text.String())
	for _, format := range []Format{Lines, JSON} {
		b.Run(string(format), func(b *testing.B) {
			o := sh(plugin.Processor, "exec cat")
			o.Format = format
			p, err := newProcessor(o.runner(b.Context(), nil, plugintest.Env(b)))
			if err != nil {
				b.Fatal(err)
			}
			defer closed(b, p)
			b.ReportAllocs()
			for b.Loop() {
				var out telemetry.Batch
				if err := p.Process(b.Context(), in, &out); err != nil || out.Len() != points {
					b.Fatalf("%d points, %v", out.Len(), err)
				}
			}
			b.ReportMetric(float64(points*b.N)/b.Elapsed().Seconds(), "points/s")
		})
	}
}
