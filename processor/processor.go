// Package processor is the kind of plugin that changes points on their way.
package processor

import (
	"context"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// A Processor is given every batch of its inputs.
type Processor interface {
	// Process takes from in what goes on into out; what it leaves out is dropped. in is its own until it returns, and
	// nothing of it may be kept. nil means that in is done with as soon as out is stored.
	Process(ctx context.Context, in, out *telemetry.Batch) error
}

// A Flusher is a processor that keeps points between batches. Its Process is given a nil out and only remembers; in counts
// as done with when the flush after it is stored. On an error the instance is thrown away and what it held is given to a
// new one, so a window is never half.
type Flusher interface {
	Processor

	// Window is how often Flush is called.
	Window() time.Duration

	// Flush puts what was gathered into out, a batch for each host, and forgets it.
	Flush(ctx context.Context, out func(host string) *telemetry.Batch) error
}

// Func is a Processor that is only a function.
type Func func(ctx context.Context, in, out *telemetry.Batch) error

// Process calls f.
func (f Func) Process(ctx context.Context, in, out *telemetry.Batch) error { return f(ctx, in, out) }

// Spec describes a Processor whose configuration is a C.
type Spec[C any] = plugin.Spec[C, Processor]

// Define describes a processor. One that is a Flusher works by windows.
func Define[C any](spec Spec[C]) plugin.Definition {
	return plugin.Define(plugin.Processor, spec, func(ctx context.Context, s *plugin.Session, p Processor) error {
		if f, ok := p.(Flusher); ok {
			return s.Window(ctx, f.Window(), f.Process, f.Flush)
		}
		return s.Transform(ctx, p.Process)
	})
}
