package shim

import (
	"context"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/telemetry"
)

// An asked is a program that is given batches: one that goes on running, or one for each.
type asked interface {
	fallible
	// ask gives a batch to the program, and returns what it prints. The error is its refusal, too.
	ask(ctx context.Context, in *telemetry.Batch) (answer []byte, err error)
	Close() error
}

// newAsked starts the program that goes on running. Of what one for each batch prints the first head bytes are its answer, or the last
// tail ones tell something to people.
func newAsked(r runner, head, tail int) (asked, error) {
	if r.Each {
		return &each{runner: r, faults: newFaults(), head: head, tail: tail}, nil
	}
	return newWorker(r)
}

// An each is a program that is started for each batch, and answers it by its end.
type each struct {
	runner
	faults
	head, tail int
	text       []byte
}

func (e *each) ask(ctx context.Context, in *telemetry.Batch) ([]byte, error) {
	if e.text = e.codec.encode(e.text[:0], in); len(e.text) == 0 {
		return nil, nil
	}
	r, err := child.Run(ctx, e.spec, e.text, e.head, e.tail)
	if err != nil {
		e.fail(err) // it is no fault of the batch
		return nil, err
	}
	r.Cut = r.Cut && e.head > 0 // nobody misses the begin of what is no answer
	return r.Stdout, outcome(r, ctx.Err())
}

// Close has nothing to do: there is a program in a call only.
func (e *each) Close() error { return nil }
