package plugin_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// stored returns how many batches METRICS holds for the durable consumer of a plugin.
func stored(t *testing.T, c *bus.Conn, durable string) uint64 {
	t.Helper()
	state, err := c.ConsumerInfo(t.Context(), bus.StreamMetrics, durable)
	if err != nil {
		t.Fatal(err)
	}
	return state.Pending
}

// A collector that is held makes itself ready, says that two of it would collect twice, and sends nothing before it is let go.
func TestHeldCollector(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Input(t, "out", "count")
	conn := b.Conn(t, "operator")
	a.Hold("count")
	a.Give("count", telemetry.Work{EveryMS: 20})
	p := a.Start(t, counting(), "count")
	plugintest.Until(t, "it is ready", func() bool { return a.Last("count").State == "ready" })
	h := a.Beat(t, "count")
	if !slices.Contains(h.Flags, telemetry.FlagExclusive) || h.ConfigRev != 1 || h.Stats.Ticks != 0 || stored(t, conn, "out") != 0 {
		t.Errorf("flags %q, revision %d, %d ticks, %d batches", h.Flags, h.ConfigRev, h.Stats.Ticks, stored(t, conn, "out"))
	}
	a.Give("count", telemetry.Work{EveryMS: 10}) // another work does not let it go
	plugintest.Until(t, "it is ready again", func() bool {
		h := a.Beat(t, "count")
		return h.State == "ready" && h.ConfigRev == 2
	})
	if n := stored(t, conn, "out"); n != 0 {
		t.Errorf("%d batches while it was held", n)
	}
	a.Release("count")
	plugintest.Until(t, "batches come", func() bool { return stored(t, conn, "out") >= 3 })
	plugintest.Until(t, "it says that it works", func() bool { // Beat may find the one before still
		h = a.Beat(t, "count")
		return h.State == "running"
	})
	if slices.Contains(h.Flags, telemetry.FlagExclusive) {
		t.Errorf("flags %q", h.Flags)
	}
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
}

// One that is held and asked to drain ends, and has sent nothing.
func TestHeldAndEnds(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Input(t, "out", "count")
	a.Hold("count")
	a.Give("count", telemetry.Work{EveryMS: 20})
	p := a.Start(t, counting(), "count")
	plugintest.Until(t, "it is ready", func() bool { return a.Last("count").State == "ready" })
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	a.Bye(t, "count")
	if n := stored(t, b.Conn(t, "operator"), "out"); n != 0 {
		t.Errorf("%d batches", n)
	}
}

// Two publishers can work side by side: one that is held only waits.
func TestHeldPublisher(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var s sink
	a.Hold("out")
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "count")}})
	a.Give("count", telemetry.Work{EveryMS: 20})
	a.Start(t, s.define(), "out")
	a.Start(t, counting(), "count")
	plugintest.Until(t, "it is ready", func() bool { return a.Last("out").State == "ready" })
	conn := b.Conn(t, "operator")
	plugintest.Until(t, "there is something to read", func() bool { return stored(t, conn, "out") >= 3 })
	if h := a.Beat(t, "out"); slices.Contains(h.Flags, telemetry.FlagExclusive) || len(s.points()) != 0 {
		t.Errorf("flags %q, %d points", h.Flags, len(s.points()))
	}
	a.Release("out")
	plugintest.Until(t, "it reads", func() bool { return len(s.points()) >= 3 })
}

// While one process takes over from another there are two of a name: each heeds only what is meant for it, or for both.
func TestMeantForAnother(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Give("count", telemetry.Work{EveryMS: 20})
	p := a.Start(t, counting(), "count")
	plugintest.Until(t, "it works", func() bool { return a.Last("count").State == "running" })
	to := func(inst any) telemetry.CtlRequest { return telemetry.CtlRequest{Args: map[string]any{"inst": inst}} }
	for _, verb := range []string{"drain", "ping", "refresh", "beat"} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if r, err := a.Ask(ctx, "count", verb, to("another")); err == nil {
			t.Errorf("%s of another process: %+v", verb, r)
		}
		cancel()
	}
	ticks := a.Beat(t, "count").Stats.Ticks
	plugintest.Until(t, "it works on", func() bool { return a.Beat(t, "count").Stats.Ticks >= ticks+3 })
	mine := a.Last("count").Inst
	if r, err := a.Ask(t.Context(), "count", "ping", to(mine)); err != nil || !r.OK {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := a.Ask(t.Context(), "count", "drain", to(mine)); err != nil || !r.OK {
		t.Errorf("%+v, %v", r, err)
	}
	if err := p.Wait(t); err != nil {
		t.Error(err)
	}
}
