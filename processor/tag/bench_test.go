package tag

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// busy returns a message with one group of 2,000 points.
func busy() []byte {
	var b telemetry.Batch
	g := b.Group("cpu", []string{"cpu", "host", "pid"}, []telemetry.Field{
		{Name: "usage", Type: telemetry.TypeFloat}, {Name: "idle", Type: telemetry.TypeFloat}, {Name: "count", Type: telemetry.TypeInt},
	})
	for i := range 2000 {
		g.Row(time.Unix(1000, int64(i)*1000), []string{fmt.Sprint("cpu", i%32), fmt.Sprint("web-", i%7), fmt.Sprint(i % 100)},
			telemetry.Float(float64(i)), telemetry.Float(100.5), telemetry.Int(int64(i%1000)))
	}
	b.DefaultTag("site", "lab")
	return b.AppendMsgPack(nil)
}

// everyChange is a config that does everything but merge tags.
func everyChange() Config {
	return Config{
		Series: []string{"c*"}, Drop: []string{"pid"}, Rename: map[string]string{"host": "name", "cpu": "core"},
		Add: map[string]string{"site": "there", "rack": "7"}, Default: map[string]string{"env": "prod"},
		FieldsKeep: []string{"usage", "c*"}, FieldsRename: map[string]string{"usage": "busy"},
		SeriesRename: map[string]string{"cpu": "processor"}, SeriesPrefix: "lab_",
	}
}

// TestAllocs brings a batch through every change: no memory is asked for.
func TestAllocs(t *testing.T) {
	p, wire := newTag(t, everyChange()), busy()
	var in, out telemetry.Batch
	var to []byte
	for range 3 {
		to = pass(t, p, wire, &in, &out, to)
	}
	if n := testing.AllocsPerRun(50, func() { to = pass(t, p, wire, &in, &out, to) }); n > 0 {
		t.Errorf("%v allocations a batch", n)
	}
}

// BenchmarkProcess measures the changes alone, and with the message decoded and encoded around them.
func BenchmarkProcess(b *testing.B) {
	p, wire := newTag(b, everyChange()).(*tag), busy()
	b.Run("change", func(b *testing.B) {
		var in telemetry.Batch
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			if err := in.DecodeMsgPack(wire); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			for g := range in.Groups() {
				p.change(g)
			}
		}
	})
	b.Run("message", func(b *testing.B) {
		var in, out telemetry.Batch
		var to []byte
		b.ReportAllocs()
		b.SetBytes(int64(len(wire)))
		for b.Loop() {
			to = pass(b, p, wire, &in, &out, to)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2000), "ns/point")
	})
}
