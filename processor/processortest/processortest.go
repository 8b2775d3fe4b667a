// Package processortest runs processors in tests, without a bus.
package processortest

import (
	"testing"

	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/telemetry"
)

// Process returns what p makes of points, given as one batch, with a flush if it has one. The batch goes through the wire
// first, so p meets the columns that it meets in a pipeline.
func Process(t testing.TB, p processor.Processor, points ...telemetry.Point) []telemetry.Point {
	t.Helper()
	var made, in, out telemetry.Batch
	for _, point := range points {
		made.Append(point)
	}
	if err := in.DecodeMsgPack(made.AppendMsgPack(nil)); err != nil {
		t.Fatalf("decode: %v", err)
	}
	f, window := p.(processor.Flusher)
	to := &out
	if window {
		to = nil
	}
	if err := p.Process(t.Context(), &in, to); err != nil {
		t.Errorf("process: %v", err)
	}
	if window {
		if err := f.Flush(t.Context(), func(string) *telemetry.Batch { return &out }); err != nil {
			t.Errorf("flush: %v", err)
		}
	}
	var got []telemetry.Point
	for p := range out.Points() {
		got = append(got, p)
	}
	return got
}
