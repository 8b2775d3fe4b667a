package plugin

import (
	"context"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Persist does f, and does it again when it fails: after as long as its error asks for, or else later each time. It ends with ctx, or
// with an f that ends well or fails for good. Each failure is told as that of a call is.
func (s *Session) Persist(ctx context.Context, f func(ctx context.Context) error) error {
	for try := 1; ; try++ {
		begun := time.Now()
		err := guard(func() error { return f(ctx) })
		if err == nil || ctx.Err() != nil || s.once || s.Note(err) != nil || !s.wait(ctx, err, try) {
			return err
		}
		if time.Since(begun) > time.Minute {
			try = 0
		}
	}
}

// EmitAbout is Emit for points that are about another host than our own: what a processor makes of points, where nothing tells of which.
func (s *Session) EmitAbout(host string, b *telemetry.Batch) { s.emit(b, host, nil, func(error) {}) }
