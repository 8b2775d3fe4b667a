package recent

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func BenchmarkAdd(b *testing.B) {
	batch := new(telemetry.Batch)
	for i := range 200 {
		batch.Add("disk", telemetry.Fields{"used": float64(i), "free": 1.0}, telemetry.Tags{"path": fmt.Sprintf("/srv/%d", i)})
	}
	s := New(Limits{})
	b.ReportAllocs()
	at := noon
	for b.Loop() {
		at = at.Add(time.Second)
		s.Add(batch, "h1", "host", at)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/400, "ns/value")
}

func BenchmarkLatest(b *testing.B) {
	s := New(Limits{})
	for host := range 100 {
		batch := new(telemetry.Batch)
		for i := range 500 {
			batch.Add("disk", telemetry.Fields{"used": 1.0}, telemetry.Tags{"path": fmt.Sprintf("/srv/%d", i)})
		}
		s.Add(batch, fmt.Sprint("h", host), "host", noon)
	}
	for b.Loop() {
		s.Latest(Query{Host: "h7"}, noon, "", 100)
	}
}
