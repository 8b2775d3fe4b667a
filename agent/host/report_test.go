package host

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestAddStatus(t *testing.T) {
	f := func(s telemetry.PluginStatus, want telemetry.Fields) {
		t.Helper()
		s.Name, s.Kind, s.Program = "hot", "processor", "filter"
		var b telemetry.Batch
		addStatus(&b, s)
		if b.Len() != 1 {
			t.Fatalf("%d points", b.Len())
		}
		for p := range b.Points() {
			if p.Series != "plugin" || !maps.Equal(p.Tags, telemetry.Tags{"plugin": "hot", "kind": "processor", "program": "filter"}) || !maps.Equal(p.Fields, want) {
				t.Errorf("%+v, want\n%v", p, want)
			}
		}
	}
	n := func(n uint64) any { return n }
	f(telemetry.PluginStatus{State: "failed", Restarts: 3}, telemetry.Fields{"up": false, "restarts": n(3), "rss": n(0), "cpu_ms": n(0), "denied": n(0), "backlog": n(0)})
	f(telemetry.PluginStatus{State: "running", RSS: 7, CPUMS: 8, Stats: &telemetry.Stats{
		PointsIn: 1, PointsOut: 2, BatchesIn: 3, BatchesOut: 4, BytesIn: 5, BytesOut: 6, Redelivered: 7, Dead: 8, Ticks: 9, Missed: 10, Queue: 16, QueueBytes: 17,
		Errors: map[string]uint64{"timeout": 1, "internal": 10}, Dropped: map[string]uint64{"line": 5, "too_long": 7},
		Refused: map[string]uint64{"refused_flood": 18}, Resent: 19, LateResent: 20,
		CallP50US: 13, CallP99US: 14, CallMaxUS: 15,
	}}, telemetry.Fields{"up": true, "restarts": n(0), "rss": n(7), "cpu_ms": n(8), "denied": n(0), "backlog": n(0),
		"points_in": n(1), "points_out": n(2), "batches_in": n(3), "batches_out": n(4), "bytes_in": n(5), "bytes_out": n(6), "redelivered": n(7), "dead": n(8),
		"ticks": n(9), "missed": n(10), "errors": n(11), "dropped": n(12), "refused": n(18), "resent": n(19), "resent_late": n(20), "queue": n(16), "queue_bytes": n(17), "call_p50_us": n(13), "call_p99_us": n(14), "call_max_us": n(15)})
}

// Each interval brings a point for each plugin, under the agent's name.
func TestReport(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, "every: 10ms\n"+pair)
	newPulse(t, b, "sink", "publisher", "a").accepted()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.report(ctx) }()
	var times []time.Time
	seen := map[string]int{}
	enough := errors.New("enough")
	limit, stop := context.WithTimeout(t.Context(), soon)
	defer stop()
	var batch telemetry.Batch
	err := b.Conn(t, "operator").Tap(limit, bus.TapOptions{Stream: bus.StreamMetrics, Last: true}, func(m bus.Tapped) error {
		if m.Subject.Host != "h1" || m.Subject.Plugin != bus.Agent {
			t.Errorf("subject %s", m.Subject.Raw)
		}
		if err := batch.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
			return err
		}
		for p := range batch.Points() {
			seen[p.Series+" "+p.Tags["kind"]+" "+p.Tags["plugin"]]++
		}
		for g := range batch.Groups() {
			times = append(times, g.Point(0).Time)
		}
		if len(times) >= 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("report: %v", err)
	}
	if len(seen) != 2 || seen["plugin collector numbers"] != seen["plugin publisher sink"] {
		t.Errorf("points %v", seen)
	}
	for i := 1; i < len(times); i++ {
		if !times[i].After(times[i-1]) {
			t.Errorf("times %v", times)
		}
	}
}
