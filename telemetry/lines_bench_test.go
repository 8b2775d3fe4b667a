package telemetry

import (
	"fmt"
	"testing"
	"time"
)

// hosts returns a batch of n points with distinct values of one tag, and fields of every type.
func hosts(n, distinct int) *Batch {
	var b Batch
	g := b.Group("net", []string{"dc", "host", "if", "role"}, []Field{
		{"drop", TypeUint}, {"load", TypeFloat}, {"rx", TypeInt}, {"state", TypeString}, {"up", TypeBool}})
	base := time.Unix(1763559525, 997744000)
	for i := range n {
		g.Row(base.Add(time.Duration(i)*time.Microsecond),
			[]string{"eu", fmt.Sprintf("web-%d", i%distinct), fmt.Sprintf("eth%d", i%3), "front"},
			Uint(uint64(i%10)), Float(float64(i%9973)/100), Int(int64(i)*7919), String([]string{"ok", "degraded"}[i%50/49]), Bool(i%50 != 49))
	}
	return &b
}

// busy returns a batch of n points as agents mostly collect them: percentages with two decimals, and counters.
func busy(n int) *Batch {
	var b Batch
	g := b.Group("cpu", []string{"cpu", "host", "keep", "rack"}, []Field{
		{"ctx", TypeInt}, {"irq", TypeInt}, {"usage_idle", TypeFloat}, {"usage_system", TypeFloat}, {"usage_user", TypeFloat}})
	base := time.Unix(1763559525, 0)
	for i := range n {
		g.Row(base.Add(time.Duration(i)*time.Microsecond),
			[]string{fmt.Sprintf("cpu%d", i%16), fmt.Sprintf("web-%02d", i%20), []string{"yes", "no"}[i%10/9], fmt.Sprintf("r%d", i%4)},
			Int(int64(100000+i*31)), Int(int64(i%200)), Float(float64(9000-i%7000)/100), Float(float64(i%3001)/100), Float(float64(i%9773)/100))
	}
	return &b
}

// benchBatches are what the benchmarks read and write.
func benchBatches(run func(name string, b *Batch)) {
	run("busy1000", busy(1000))
	run("busy4000", busy(4000))
	run("sample1000", sample(1000))
	run("sample4000", sample(4000))
	run("hosts1", hosts(4000, 1))
	run("hosts100", hosts(4000, 100))
	run("hosts1000", hosts(4000, 1000))
}

func BenchmarkDecodeLines(b *testing.B) {
	benchBatches(func(name string, batch *Batch) {
		text := batch.AppendLines(nil)
		b.Run(name, func(b *testing.B) { benchmarkDecodeLines(b, text, batch.Len(), nil) })
	})
}

// BenchmarkDecodeLinesAppendMsgPack is what a collector does between its socket and the bus.
func BenchmarkDecodeLinesAppendMsgPack(b *testing.B) {
	var msg []byte
	benchBatches(func(name string, batch *Batch) {
		text := batch.AppendLines(nil)
		b.Run(name, func(b *testing.B) {
			benchmarkDecodeLines(b, text, batch.Len(), func(b *Batch) { msg = b.AppendMsgPack(msg[:0]) })
			b.ReportMetric(float64(len(msg))/float64(batch.Len()), "B/point")
		})
	})
}

func benchmarkDecodeLines(b *testing.B, text []byte, points int, then func(*Batch)) {
	var d LineDecoder
	var batch Batch
	arrival := time.Now()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		if err := d.Decode(&batch, text, arrival); err != nil {
			b.Fatal(err)
		}
		if then != nil {
			then(&batch)
		}
	}
	if batch.Len() != points {
		b.Fatalf("%d points, want %d", batch.Len(), points)
	}
	perPoint(b, points)
	if then == nil {
		b.ReportMetric(float64(len(text))/float64(points), "B/point")
	}
}

// BenchmarkAppendLines is what a publisher does with a batch from the bus.
func BenchmarkAppendLines(b *testing.B) {
	benchBatches(func(name string, batch *Batch) {
		b.Run(name, func(b *testing.B) {
			var in Batch
			if err := in.DecodeMsgPack(batch.AppendMsgPack(nil)); err != nil {
				b.Fatal(err)
			}
			text := in.AppendLines(nil)
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				text = in.AppendLines(text[:0])
			}
			perPoint(b, in.Len())
			b.ReportMetric(float64(len(text))/float64(in.Len()), "B/point")
		})
	})
}
