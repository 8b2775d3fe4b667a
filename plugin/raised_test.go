package plugin_test

import (
	"context"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// A streamer is a stream that is a function.
type streamer func(ctx context.Context, out collector.Emitter) error

func (f streamer) Stream(ctx context.Context, out collector.Emitter) error { return f(ctx, out) }

// TestEventIsStoredOnce raises an event by two processes of a plugin one after the other, as when the first was killed before it had
// heard that the event is stored.
func TestEventIsStoredOnce(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	heard := make(chan error, 1)
	alarm := collector.DefineStream(collector.StreamSpec[struct{}]{
		Program: "alarm", Summary: "Raises an event.",
		New: func(_ context.Context, _ struct{}, env plugin.Env) (collector.Stream, error) {
			return streamer(func(ctx context.Context, out collector.Emitter) error {
				var b telemetry.Batch
				telemetry.Event{ID: "4f1d7c0a", Time: 1, Plugin: env.Name, Type: "hot", Message: "it is hot"}.AppendTo(&b)
				heard <- out.Emit(&b)
				<-ctx.Done()
				return nil
			}), nil
		},
	})
	a.Give("alarm", telemetry.Work{})
	for range 2 {
		p := a.Start(t, alarm, "alarm")
		if err := <-heard; err != nil {
			t.Errorf("not stored: %v", err)
		}
		if err := p.Stop(t); err != nil {
			t.Error(err)
		}
	}
	for stream, want := range map[string]uint64{bus.StreamEvents: 1, bus.StreamMetrics: 0} {
		s, err := b.Conn(t, "test").StreamInfo(t.Context(), stream)
		if err != nil || s.Messages != want {
			t.Errorf("%s has %d messages, %v; want %d", stream, s.Messages, err, want)
		}
	}
}
