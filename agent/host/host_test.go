package host

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/texttest"
)

// A bus that is away when streams are to be made is waited for.
func TestProvideWaits(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	h := newHost(t, b.URL, pair)
	var log texttest.Buffer
	h.log = slog.New(slog.NewTextHandler(&log, nil))
	if err := h.dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	b.Stop(t)
	bustest.Wait(t, soon, "the bus is away", func() bool { return !h.conn.Connected() })

	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.provide(stopped); err != nil {
		t.Errorf("who is stopped meanwhile: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- h.provide(t.Context()) }()
	bustest.Wait(t, soon, "it says so", func() bool { return strings.Contains(log.String(), "bus is not ready") })
	b.Start(t)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	state, err := h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
	if err != nil || !slices.Equal(state.Filters, []string{"pw.metrics.*.numbers"}) {
		t.Errorf("%+v, %v", state, err)
	}
}

// A bus of others that has no room for the streams may be given more, while the agent waits and says what it lacks. One of its own is
// not: who has started it has to know.
func TestProvideWithoutRoom(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{MaxStore: 1 << 19})
	h := newHost(t, b.URL, pair)
	var log texttest.Buffer
	h.log = slog.New(slog.NewTextHandler(&log, nil))
	if err := h.dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	h.o.InProcess = b.Server()
	if err := h.provide(t.Context()); !errors.Is(err, bus.ErrFull) {
		t.Errorf("its own: %v", err)
	}
	h.o.InProcess = nil
	done := make(chan error, 1)
	go func() { done <- h.provide(t.Context()) }()
	bustest.Wait(t, soon, "it says so", func() bool { return strings.Contains(log.String(), "make stream METRICS of ") })
	b.Resize(64 << 20)
	b.Restart(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What no waiting helps against ends Run.
func TestProvideFails(t *testing.T) {
	b := bustest.New(t)
	h := newHost(t, b.URL, pair)
	h.find("sink").now.plan.inputs[0].Start = "yesterday"
	err := h.Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), `consumer of sink: `) || !strings.Contains(err.Error(), `start "yesterday"`) {
		t.Errorf("%v", err)
	}
}

// A bus that is nowhere ends Run, and so does a stop while it is looked for.
func TestRunWithoutBus(t *testing.T) {
	h := newHost(t, "nats://127.0.0.1:1", pair)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A host over a bus of its own process needs no socket.
func TestInProcess(t *testing.T) {
	b := bustest.Bare(t, embedded.Options{})
	h := newHost(t, "nats://127.0.0.1:1", pair)
	h.o.InProcess = b.Server()
	if err := h.dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	if err := h.provide(t.Context()); err != nil {
		t.Error(err)
	}
}

// A consumer whose config has other inputs keeps its place: what it has read does not come again, what it has not does.
func TestChangedFilters(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	first := h.find("sink").plan().rev
	publish(t, h, 2)
	k, err := b.Conn(t, bus.User("h1", "sink")).Consume(t.Context(), bus.StreamMetrics, "sink", bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := k.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Ack(); err != nil {
		t.Fatal(err)
	}
	if err := k.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.Stop()

	h = connected(t, b, "collect: { numbers: , more: { use: numbers } }\npublish: { sink: { from: [more, numbers], start: all } }\n")
	if h.find("sink").plan().rev == first {
		t.Error("other inputs, and the revision is the same")
	}
	state, err := h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
	if err != nil || state.Pending+uint64(state.AckPending) != 1 || !slices.Equal(state.Filters, []string{"pw.metrics.*.more", "pw.metrics.*.numbers"}) {
		t.Errorf("%+v, %v; want one of two batches left, and both filters", state, err)
	}
}

// A plugin that reads points and events has a consumer of each stream.
func TestTwoConsumers(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, "collect: { numbers: }\npublish: { sink: { from: numbers, on: monitoring } }\n")
	for stream, filter := range map[string]string{bus.StreamMetrics: "pw.metrics.*.numbers", bus.StreamEvents: "pw.events.*.*.monitoring"} {
		if state, err := h.conn.ConsumerInfo(t.Context(), stream, "sink"); err != nil || !slices.Equal(state.Filters, []string{filter}) {
			t.Errorf("%s: %+v, %v", stream, state, err)
		}
	}
}
