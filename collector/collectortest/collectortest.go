// Package collectortest runs collectors in tests, without a bus.
package collectortest

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/telemetry"
)

// Collect returns the points of one collection by c; err is what making c returned. Every point has the time
// 1763559525 s.
func Collect(t testing.TB, c collector.Collector, err error) []telemetry.Point {
	t.Helper()
	if err != nil {
		t.Fatalf("new: %v", err)
	}
	var b telemetry.Batch
	b.At(time.Unix(1763559525, 0))
	if err := c.Collect(t.Context(), &b); err != nil {
		t.Errorf("collect: %v", err)
	}
	var points []telemetry.Point
	for p := range b.Points() {
		points = append(points, p)
	}
	return points
}
