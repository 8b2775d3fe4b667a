package plugin

import (
	"context"
	"iter"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A Session is what the loop of a kind works with.
type Session struct{ Env Env }

// Batching is how many points a publisher is given in one call. The zero value is 10,000 points, 1 MiB, no waiting.
type Batching struct {
	Points int
	Bytes  int           // of the messages
	Wait   time.Duration // for more, when nothing else waits
}

// An Outlet takes the batches of a stream.
type Outlet struct{}

func (s *Session) live(ctx context.Context, make func(context.Context) (any, error), loop func(context.Context, any) error) error {
	return nil
}
func (s *Session) Ticks(ctx context.Context) iter.Seq[time.Time]                 { return nil }
func (s *Session) Call(ctx context.Context, f func(context.Context) error) error { return nil }
func (s *Session) Emit(ctx context.Context, b *telemetry.Batch)                  {}
func (s *Session) Note(err error) error                                          { return err }
func (s *Session) Keep(ctx context.Context, survey func(context.Context, telemetry.Facts) error) error {
	return nil
}
func (s *Session) Stream(ctx context.Context, f func(context.Context, *Outlet) error) error {
	return nil
}
func (s *Session) Transform(ctx context.Context, f func(ctx context.Context, in, out *telemetry.Batch) error) error {
	return nil
}
func (s *Session) Window(ctx context.Context, every time.Duration, f func(ctx context.Context, in, out *telemetry.Batch) error, flush func(ctx context.Context, out func(string) *telemetry.Batch) error) error {
	return nil
}
func (s *Session) Deliver(ctx context.Context, how Batching, f func(ctx context.Context, in *telemetry.Batch) error) error {
	return nil
}
func (o *Outlet) Emit(b *telemetry.Batch) error                     { return nil }
func (o *Outlet) Post(b *telemetry.Batch, wait time.Duration) error { return nil }
func (o *Outlet) Batch() *telemetry.Batch                           { return nil }
func (o *Outlet) Drop(reason string, n int)                         {}
