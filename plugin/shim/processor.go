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
	*worker
	text []byte
}

// A filterEach is a processor whose program is started for each batch.
type filterEach struct {
	runner
	faults
	text []byte
}

func newProcessor(r runner) (processor.Processor, error) {
	if r.Each {
		return &filterEach{runner: r, faults: newFaults()}, nil
	}
	w, err := newWorker(r)
	if err != nil {
		return nil, err
	}
	return &filter{worker: w}, nil
}

// Process has the program make out of in.
func (f *filter) Process(ctx context.Context, in, out *telemetry.Batch) error {
	if f.text = f.codec.encode(f.text[:0], in); len(f.text) == 0 {
		return nil
	}
	f.text = append(f.text, '\n')
	lines, err := f.ask(ctx, f.text)
	if err != nil {
		return err
	}
	if err := refusal(lines); err != nil {
		return err
	}
	return f.codec.answer(out, lines, newest(in))
}

// Process runs the program, which makes out of in.
func (f *filterEach) Process(ctx context.Context, in, out *telemetry.Batch) error {
	if f.text = f.codec.encode(f.text[:0], in); len(f.text) == 0 {
		return nil
	}
	r, err := child.Run(ctx, f.spec, f.text, maxAnswer, 0)
	if err != nil {
		f.fail(err) // it is no fault of the batch
		return err
	}
	if err := outcome(r, ctx.Err()); err != nil {
		return err
	}
	return f.codec.answer(out, r.Stdout, newest(in))
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
