package api

import (
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// TestOverloadLeavesNoConsumers floods METRICS until the reader has jumped twice: the server has not one consumer for each.
func TestOverloadLeavesNoConsumers(t *testing.T) {
	b := bustest.New(t)
	r := start(t, b, func(o *Options) { o.Budget = 64 << 10 })
	s := newSource(t, b)
	c := b.Conn(t, "hub")
	bustest.Wait(t, soon, "the reader", func() bool {
		s.values("web1", "p", func(b *telemetry.Batch) { b.Add("s", telemetry.Fields{"v": 1}, nil) })
		return r.read.read.Load() > 0
	})
	pad := strings.Repeat("x", 10_000)
	begun := time.Now()
	for time.Since(begun) < mostLag+3*time.Second || r.read.skipped.Load() == 0 && time.Since(begun) < soon {
		for i := range 40 {
			s.values("web1", "p", func(b *telemetry.Batch) { b.Add("flood", telemetry.Fields{"text": pad, "n": i}, nil) })
		}
		is, err := c.StreamInfo(t.Context(), bus.StreamMetrics)
		if err != nil {
			t.Fatal(err)
		}
		if is.Consumers > 2 {
			t.Fatalf("%d consumers of METRICS after %d batches, %d of them skipped", is.Consumers, r.read.read.Load(), r.read.skipped.Load())
		}
	}
	if r.read.skipped.Load() == 0 {
		t.Error("nothing was skipped: this was no overload")
	}
}
