package telemetry

import "testing"

func perPoint(b *testing.B, points int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(points), "ns/point")
}

func BenchmarkEncodeMsgPack(b *testing.B) {
	batch := sample(1000)
	buf := batch.AppendMsgPack(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		buf = batch.AppendMsgPack(buf[:0])
	}
	perPoint(b, 1000)
	b.ReportMetric(float64(len(buf))/1000, "B/point")
}

func BenchmarkDecodeMsgPack(b *testing.B) {
	buf := sample(1000).AppendMsgPack(nil)
	var batch Batch
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if err := batch.DecodeMsgPack(buf); err != nil {
			b.Fatal(err)
		}
	}
	perPoint(b, 1000)
}

// BenchmarkFilterAndTag is what a processor does between reading and sending.
func BenchmarkFilterAndTag(b *testing.B) {
	buf := sample(1000).AppendMsgPack(nil)
	var in, out Batch
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		if err := in.DecodeMsgPack(buf); err != nil {
			b.Fatal(err)
		}
		out.Reset()
		for g := range in.Groups() {
			mask := in.mask(g.Len())
			g.Tag("cpu").Match(mask, func(s string) bool { return s != "cpu3" })
			g.Select(mask)
			g.SetTag("site", "lab")
			out.Take(g)
		}
		dst = out.AppendMsgPack(dst[:0])
	}
	perPoint(b, 1000)
}

func BenchmarkAdd(b *testing.B) {
	var batch Batch
	fields := Fields{"idle": 1.5, "system": 2.5, "user": 3.5, "nice": 4.5, "irq": 5.5}
	tags := Tags{"cpu": "cpu0", "dc": "eu", "rack": "r1", "zone": "z1"}
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		for range 1000 {
			batch.Add("cpu", fields, tags)
		}
	}
	perPoint(b, 1000)
}
