package recent

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func BenchmarkAdd(b *testing.B) {
	batch := new(telemetry.Batch)
	for i := range 200 {
		batch.Add("disk", telemetry.Fields{"used": float64(i), "free": 1.0}, telemetry.Tags{"path": fmt.Sprintf("/srv/%d", i)})
	}
	s := newStore(Limits{})
	b.ReportAllocs()
	at := noon
	for b.Loop() {
		at = at.Add(time.Second)
		s.Add(batch, "h1", "host", at)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/400, "ns/value")
}

// full is a Store of 50,000 series of 100 hosts.
func full() *Store { return many(100, 500) }

func BenchmarkRead(b *testing.B) {
	s := full()
	run := func(name string, do func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				do()
			}
		})
	}
	all, _, _ := s.Latest(Query{}, noon, "", 25_000)
	cursor := all[len(all)-1].ID
	run("first 500", func() { s.Latest(Query{}, noon, "", 500) })
	run("500 behind a cursor", func() { s.Latest(Query{}, noon, cursor, 500) })
	run("a host", func() { s.Latest(Query{Host: "h7"}, noon, "", 100) })
	run("a series nobody tells", func() { s.Latest(Query{Series: "none"}, noon, "", 100) })
	run("history of 20", func() { s.History(Query{}, noon, noon, 20) })
	run("history of a host", func() { s.History(Query{Host: "h7"}, noon, noon, 20) })
	run("catalog", func() { s.Catalog(Query{}, noon) })
}

func BenchmarkAddNew(b *testing.B) {
	for b.Loop() {
		full()
	}
}

// BenchmarkAddBesideReader is an Add while somebody reads all the time, and how many of a million take more than a millisecond.
func BenchmarkAddBesideReader(b *testing.B) {
	s := many(100, 500)
	batch := cpu(noon, 1, 2, 3)
	ctx, cancel := context.WithCancel(b.Context())
	var reader sync.WaitGroup
	reader.Go(func() {
		for ctx.Err() == nil {
			s.Latest(Query{Series: "none"}, noon, "", 500)
			s.Latest(Query{}, noon, "", 500)
		}
	})
	late := 0
	for b.Loop() {
		begun := time.Now()
		s.Add(batch, "h1", "host", noon)
		if time.Since(begun) > time.Millisecond {
			late++
		}
	}
	cancel()
	reader.Wait()
	b.ReportMetric(1e6*float64(late)/float64(b.N), "late/M")
}
