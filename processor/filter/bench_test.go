package filter

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// busy returns a message as a busy host sends it: one group of 2,000 points with 4 tags and 5 fields.
func busy(t testing.TB) []byte {
	t.Helper()
	var b telemetry.Batch
	g := b.Group("cpu", []string{"cpu", "host", "rack", "mode"}, []telemetry.Field{
		{Name: "usage", Type: telemetry.TypeFloat}, {Name: "total", Type: telemetry.TypeFloat}, {Name: "count", Type: telemetry.TypeInt},
		{Name: "seen", Type: telemetry.TypeUint}, {Name: "up", Type: telemetry.TypeBool},
	})
	for i := range 2000 {
		tags := []string{fmt.Sprint("cpu", i%32), fmt.Sprint("web-", i%7), "r1", []string{"user", "system", "idle"}[i%3]}
		g.Row(time.Unix(1000, int64(i)*1000), tags, telemetry.Float(float64(i*7919%1000)/10), telemetry.Float(100.5),
			telemetry.Int(int64(i*31%1000)), telemetry.Uint(uint64(i)), telemetry.Bool(i%5 != 0))
	}
	return b.AppendMsgPack(nil)
}

// forms are conditions of all forms, and whether they never take memory.
var forms = []struct {
	name, text string
	free       bool
}{
	{"series", `series == "cpu"`, true},
	{"tag", `tags.mode == "idle"`, true},
	{"tag regexp", `tags.host matches "^web-[0-3]$"`, false}, // package regexp has a pool, which -race empties at random
	{"tag in", `tags.cpu in ["cpu1", "cpu2", "cpu3"]`, true},
	{"tag constant", `tags.rack == "r1"`, true},
	{"float", `fields.usage > 90`, true},
	{"int", `fields.count <= 500`, true},
	{"bool", `fields.up`, true},
	{"time", `time > "1970-01-01T00:16:40.001Z"`, true},
	{"pair", `fields.usage < fields.count`, true},
	{"and", `fields.usage > 90 and tags.mode == "user"`, true},
	{"or", `fields.usage > 90 or tags.mode == "user"`, true},
	{"not", `not (tags.mode == "user")`, true},
	{"expr", `fields.usage / fields.total > 0.9`, false},
	{"expr on a tag", `int(trimPrefix(tags.cpu, "cpu")) > 16`, false},
	{"expr for a few", `tags.cpu == "cpu1" and fields.usage / fields.total > 0.9`, false},
}

// BenchmarkCondition measures a condition alone, on columns that stay as they are.
func BenchmarkCondition(b *testing.B) {
	for _, form := range forms {
		b.Run(form.name, func(b *testing.B) {
			g, s, c := atWork(b, form.text)
			mask := make([]bool, g.Len())
			b.ReportAllocs()
			for b.Loop() {
				for row := range mask {
					mask[row] = true
				}
				c.narrow(s, mask)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*g.Len()), "ns/point")
		})
	}
}

// atWork returns a group and a condition on it.
func atWork(t testing.TB, text string) (*telemetry.Group, *scan, condition) {
	t.Helper()
	var in telemetry.Batch
	if err := in.DecodeMsgPack(busy(t)); err != nil {
		t.Fatal(err)
	}
	s := &scan{now: time.Unix(1000, 0)}
	c, err := compile(text, s)
	if err != nil {
		t.Fatal(err)
	}
	for g := range in.Groups() {
		s.group = g
	}
	return s.group, s, c
}

// BenchmarkProcess measures a batch from message to message.
func BenchmarkProcess(b *testing.B) {
	for _, text := range []string{`tags.mode == "idle"`, `fields.usage > 90`} {
		b.Run(text, func(b *testing.B) {
			f := newFilter(b, Config{Keep: text})
			wire := busy(b)
			var in, out telemetry.Batch
			var to []byte
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				to = pass(b, f, wire, &in, &out, to)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*2000), "ns/point")
		})
	}
}
