package plugin_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// gushing is a collector that gives so many points of so many bytes at each tick, of another series each. made counts them.
func gushing(points, bytes int, made *atomic.Int64) plugin.Definition {
	text := strings.Repeat("x", bytes)
	return collector.Define(collector.Spec[struct{}]{
		Program: "gushing", Summary: "Gives much.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Collector, error) {
			return collectFunc(func(out *telemetry.Batch) {
				for range points {
					n := made.Add(1)
					out.Add("gush", telemetry.Fields{"n": n, "text": fmt.Sprint(n, text)}, telemetry.Tags{"id": fmt.Sprint(n)})
				}
			}), nil
		},
	})
}

// events returns the types of the events that a bus has, in their order.
func events(t *testing.T, b *bustest.Bus) (types []string) {
	t.Helper()
	c := b.Conn(t, "reader")
	in := bus.Input{Stream: bus.StreamEvents, Durable: fmt.Sprint("reader", time.Now().UnixNano()), Filters: []string{"pw.events.>"}, Start: "all"}
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	r, err := c.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Stop()
	info, err := c.StreamInfo(t.Context(), bus.StreamEvents)
	if err != nil {
		t.Fatal(err)
	}
	for range info.Messages {
		d, err := r.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, d.Subject[strings.LastIndexByte(d.Subject, '.')+1:])
		_ = d.Ack()
	}
	return types
}

// flagged reports whether a fresh heartbeat of a plugin has a flag.
func flagged(t *testing.T, a *plugintest.Agent, name, flag string) bool {
	t.Helper()
	return slices.Contains(a.Beat(t, name).Flags, flag)
}

// TestOverflowIsTold checks that a collector goes on while the bus is away, that what its queue cannot hold is counted, and that a
// heartbeat and an event say so when the bus is back.
func TestOverflowIsTold(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var made atomic.Int64
	a.Give("gush", telemetry.Work{EveryMS: 5, QueueBytes: 1 << 20, Overflow: telemetry.OverflowDropOldest})
	p := a.Start(t, gushing(10, 10<<10, &made), "gush")
	plugintest.Until(t, "points", func() bool { return made.Load() > 100 })
	b.Stop(t)
	before := made.Load() // 4 MiB under way and 1 MiB in the queue are 500 points
	plugintest.Until(t, "it collects without a bus", func() bool { return made.Load() > before+1000 })
	b.Start(t)
	plugintest.Until(t, "a heartbeat says so", func() bool { return flagged(t, a, "gush", telemetry.FlagOverflow) })
	plugintest.Until(t, "an event says so", func() bool { return slices.Contains(events(t, b), telemetry.FlagOverflow) })
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	s := a.Bye(t, "gush").Stats
	if got := int64(s.PointsOut + s.Dropped["overflow"]); got != made.Load() || s.Dropped["overflow"] < 100 {
		t.Errorf("%d points made, %d stored, dropped %v", made.Load(), s.PointsOut, s.Dropped)
	}
}

// TestStorageFullIsTold checks that a bus without room shows in the heartbeat, and that all is stored when there is room.
func TestStorageFullIsTold(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{MaxStore: 24 << 20})
	streams := bus.DefaultStreams()
	streams.MetricsMaxBytes, streams.EventsMaxBytes, streams.DeadMaxBytes = 12<<20, 2<<20, 2<<20
	if err := b.Conn(t, "hub").EnsureStreams(t.Context(), streams); err != nil {
		t.Fatal(err)
	}
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var made atomic.Int64
	a.Give("gush", telemetry.Work{EveryMS: 20})
	p := a.Start(t, gushing(10, 1<<10, &made), "gush")
	plugintest.Until(t, "points", func() bool { return made.Load() > 100 })
	b.Resize(64 << 10) // less than there is
	b.Restart(t)
	full := time.Now()
	plugintest.Until(t, "a heartbeat says so", func() bool { return flagged(t, a, "gush", telemetry.FlagStorageFull) })
	t.Logf("it took %v to say that the bus is full", time.Since(full))
	plugintest.Until(t, "something waits", func() bool {
		h := a.Beat(t, "gush")
		return h.Stats.Queue > 0 && h.Stats.QueueBytes > 0
	})
	b.Resize(64 << 20)
	b.Restart(t)
	plugintest.Until(t, "the bus has room", func() bool { return !flagged(t, a, "gush", telemetry.FlagStorageFull) })
	plugintest.Until(t, "an event says so", func() bool { return slices.Contains(events(t, b), telemetry.FlagStorageFull) })
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	if s := a.Bye(t, "gush").Stats; int64(s.PointsOut) != made.Load() {
		t.Errorf("%d points made, %d stored, dropped %v", made.Load(), s.PointsOut, s.Dropped)
	}
}

// TestLimitsAreTold checks that a flood is cut to its limits, and says so, while a neighbour is left alone.
func TestLimitsAreTold(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var made, fast atomic.Int64
	a.Give("gush", telemetry.Work{EveryMS: 5, MaxSeries: 100})
	a.Give("fast", telemetry.Work{EveryMS: 5, MaxRate: 200})
	a.Give("count", telemetry.Work{EveryMS: 5, MaxSeries: 10_000})
	a.Start(t, gushing(10, 10, &made), "gush")
	a.Start(t, gushing(100, 10, &fast), "fast")
	a.Start(t, counting(), "count")
	begun := time.Now()
	plugintest.Until(t, "floods", func() bool { return made.Load() > 1000 && fast.Load() > 5000 })
	plugintest.Until(t, "heartbeats say so", func() bool {
		return flagged(t, a, "gush", telemetry.FlagSeries) && flagged(t, a, "fast", telemetry.FlagFlood)
	})
	plugintest.Until(t, "events say so", func() bool {
		types := events(t, b)
		return slices.Contains(types, telemetry.FlagSeries) && slices.Contains(types, telemetry.FlagFlood)
	})
	plugintest.Until(t, "all is stored that may be", func() bool { return a.Beat(t, "gush").Stats.PointsOut == 100 })
	h := a.Beat(t, "fast")
	if most := 200 * (time.Since(begun).Seconds() + 2); float64(h.Stats.PointsOut) > most || h.Stats.Dropped["dropped_flood"] == 0 {
		t.Errorf("%d points went through, want %.0f at most; dropped %v", h.Stats.PointsOut, most, h.Stats.Dropped)
	}
	if h := a.Beat(t, "count"); len(h.Stats.Dropped) > 0 || len(h.Flags) > 0 {
		t.Errorf("the neighbour: %v, %v", h.Stats.Dropped, h.Flags)
	}
	if n := len(events(t, b)); n > 2+2*int(time.Since(begun).Minutes()) {
		t.Errorf("%d events, want one for each plugin and minute", n)
	}
}

// TestLostUnreadIsTold checks that what the limits of the stream take from under a slow reader is told, once a minute at most.
func TestLostUnreadIsTold(t *testing.T) {
	b := bustest.New(t)
	b.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 32 << 10})
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var lost atomic.Bool // the stream has dropped more than a reader fetches ahead
	s := sink{fail: func(*telemetry.Batch) error {
		for end := time.Now().Add(time.Minute); !lost.Load() && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		return nil
	}}
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "count")}})
	a.Start(t, s.define(), "out")
	a.Give("count", telemetry.Work{EveryMS: 1})
	a.Start(t, counting(), "count")
	c := b.Conn(t, "operator")
	plugintest.Until(t, "the stream drops some", func() bool {
		is, err := c.StreamInfo(t.Context(), bus.StreamMetrics)
		if err != nil {
			t.Fatal(err)
		}
		return is.FirstSeq > 150
	})
	lost.Store(true)
	plugintest.Until(t, "a heartbeat says so", func() bool {
		h := a.Beat(t, "out")
		return slices.Contains(h.Flags, telemetry.FlagUnread) && h.Stats.Dropped["lost_unread_batches"] > 0
	})
	plugintest.Until(t, "an event says so", func() bool { return slices.Contains(events(t, b), telemetry.FlagUnread) })
}
