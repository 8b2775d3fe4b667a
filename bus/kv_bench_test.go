package bus_test

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// A hub loads all it knows when it starts: 100,000 keys of 1 KB.
func BenchmarkWatchLoads(b *testing.B) {
	const keys = 100_000
	srv := bustest.Bare(b, embedded.Options{MaxStore: 1 << 30})
	k := bucket(b, srv.Conn(b, bus.Hub), bus.BucketSettings{MaxBytes: 512 << 20})
	value := bytes.Repeat([]byte("x"), 1000)
	var writers sync.WaitGroup
	for w := range 8 {
		writers.Go(func() {
			for i := w; i < keys; i += 8 {
				if _, err := k.Put(b.Context(), bus.Key(fmt.Sprint("host-", i/10), "plugin", fmt.Sprint(i%10)), value); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	b.SetBytes(keys * int64(len(value)))
	for b.Loop() {
		loaded := fmt.Errorf("loaded")
		count := 0
		f := func(v bus.KV) error {
			if count++; count == keys {
				return loaded
			}
			return nil
		}
		if err := k.Watch(b.Context(), ">", f, func() {}); !errors.Is(err, loaded) {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/load")
}
