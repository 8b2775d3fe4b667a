// Package publisher is the kind of plugin that carries points out.
package publisher

import (
	"context"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// A Publisher is given every batch of its inputs, several messages in one batch where they wait together.
type Publisher interface {
	// Publish brings in to the sink. nil promises that the sink has confirmed every point; package plugin has the errors
	// that say something else than "try again". in is its own until it returns, and nothing of it may be kept. Whoever
	// returns plugin.Refuse leaves in it what the sink has refused.
	Publish(ctx context.Context, in *telemetry.Batch) error
}

// Batching is how many points come in one call. A call is made when one of the bounds is reached, or when nothing waits and
// Wait has passed.
type Batching = plugin.Batching

// A Batcher is a Publisher that has its own idea of batching.
type Batcher interface {
	Publisher
	Batching() Batching
}

// Spec describes a Publisher whose configuration is a C.
type Spec[C any] = plugin.Spec[C, Publisher]

// Define describes a publisher.
func Define[C any](spec Spec[C]) plugin.Definition {
	return plugin.Define(plugin.Publisher, spec, func(ctx context.Context, s *plugin.Session, p Publisher) error {
		var how Batching
		if b, ok := p.(Batcher); ok {
			how = b.Batching()
		}
		return s.Deliver(ctx, how, p.Publish)
	})
}
