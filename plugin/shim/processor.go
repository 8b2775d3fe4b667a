package shim

import (
	"context"
	"time"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/telemetry"
)

// A filter is a processor whose program answers each batch with what it makes of it.
type filter struct {
	asked
	codec *codec
}

func newProcessor(r runner) (processor.Processor, error) {
	a, err := newAsked(r, child.MaxAnswer, 0)
	if err != nil {
		return nil, err
	}
	return filter{a, r.codec}, nil
}

// Process has the program make out of in.
func (f filter) Process(ctx context.Context, in, out *telemetry.Batch) error {
	lines, err := f.ask(ctx, in)
	if err != nil {
		return err
	}
	return f.codec.answer(out, lines, newest(in))
}

// newest is the time of points that have none: one that is the same when the batch is given again, so that its messages are.
func newest(b *telemetry.Batch) time.Time {
	var last int64
	for g := range b.Groups() {
		for _, t := range g.Times() {
			last = max(last, t)
		}
	}
	return time.Unix(0, last)
}
