// Package collector is the kind of plugin that brings points in.
package collector

import (
	"context"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// A Collector is asked for points at each interval.
type Collector interface {
	// Collect adds what it finds to out, whose points get the time of the tick. Points added before an error are sent:
	// half an answer is worth having. ctx ends with the collector's timeout. What a telemetry.Event of this plugin adds is sent
	// as an event.
	Collect(ctx context.Context, out *telemetry.Batch) error
}

// An Inventory is asked for facts that hardly change: at start, each hour, and when somebody asks for a refresh.
type Inventory interface {
	// Survey puts facts into out, JSON values under plain names. Volatile values are left out, so that equal facts give
	// equal bytes. Facts added before an error are kept.
	Survey(ctx context.Context, out telemetry.Facts) error
}

// A Stream speaks when it has something.
type Stream interface {
	// Stream runs until ctx ends, or until it cannot go on.
	Stream(ctx context.Context, out Emitter) error
}

// A Rounds is a Stream that goes round by itself, such as one whose checks or targets have times of their own.
type Rounds interface {
	Stream
	// Round goes round once and returns, for a person who wants to see what comes of it.
	Round(ctx context.Context, out Emitter) error
}

// An Emitter takes the batches of a Stream. It is safe for several goroutines. What a telemetry.Event of this plugin adds to a batch
// is sent as an event.
type Emitter interface {
	// Emit returns nil when b is stored: only then may a source be told that its points are taken. b is the caller's
	// again. Emits that wait together travel in one message. Where the operator has set bounds, b may be dropped
	// (plugin.ErrOverflow, plugin.ErrFlood) or a part of it (plugin.SeriesLimitError): these are counted already.
	Emit(b *telemetry.Batch) error

	// Post hands b over and does not wait for the store, for sources that get no answer anyway. It blocks while the bus
	// does, unless the operator wants what is too much dropped. b leaves within wait, together with what others post meanwhile; it must not be used afterwards.
	Post(b *telemetry.Batch, wait time.Duration) error

	// Batch returns an empty batch, one that Post was given before if there is one.
	Batch() *telemetry.Batch

	// Drop counts n points that were lost, by reason.
	Drop(reason string, n int)
}

// Spec describes a Collector whose configuration is a C.
type Spec[C any] = plugin.Spec[C, Collector]

// InventorySpec describes an Inventory whose configuration is a C.
type InventorySpec[C any] = plugin.Spec[C, Inventory]

// StreamSpec describes a Stream whose configuration is a C.
type StreamSpec[C any] = plugin.Spec[C, Stream]

// RoundsSpec describes a Rounds whose configuration is a C.
type RoundsSpec[C any] = plugin.Spec[C, Rounds]

// Define describes a collector that is asked at each interval.
func Define[C any](spec Spec[C]) plugin.Definition {
	return plugin.Define(plugin.Collector, spec, collect)
}

// DefineInventory describes a collector of facts.
func DefineInventory[C any](spec InventorySpec[C]) plugin.Definition {
	d := plugin.Define(plugin.Collector, spec, func(ctx context.Context, s *plugin.Session, i Inventory) error {
		return s.Keep(ctx, i.Survey)
	})
	d.Inventory = true
	return d
}

// DefineStream describes a collector that speaks when it has something.
func DefineStream[C any](spec StreamSpec[C]) plugin.Definition {
	d := plugin.Define(plugin.Collector, spec, func(ctx context.Context, s *plugin.Session, c Stream) error {
		return stream(ctx, s, c.Stream)
	})
	d.Endless = true
	return d
}

// DefineRounds describes a collector that goes round by itself.
func DefineRounds[C any](spec RoundsSpec[C]) plugin.Definition {
	return plugin.Define(plugin.Collector, spec, func(ctx context.Context, s *plugin.Session, c Rounds) error {
		if s.Once() {
			return stream(ctx, s, c.Round)
		}
		return stream(ctx, s, c.Stream)
	})
}

func stream(ctx context.Context, s *plugin.Session, work func(context.Context, Emitter) error) error {
	return s.Stream(ctx, func(ctx context.Context, out *plugin.Outlet) error { return work(ctx, out) })
}

func collect(ctx context.Context, s *plugin.Session, c Collector) error {
	var b telemetry.Batch
	for at := range s.Ticks(ctx) {
		b.Reset()
		b.At(at)
		err := s.Call(func(ctx context.Context) error { return c.Collect(ctx, &b) })
		s.Emit(&b)
		if err := s.Note(err); err != nil {
			return err
		}
		s.Pause(ctx, plugin.RetryAfter(err))
	}
	return nil
}
