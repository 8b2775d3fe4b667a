package shim

import (
	"context"
	"fmt"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// A carrier is a publisher whose program confirms each batch by an empty line.
type carrier struct {
	*worker
	text []byte
}

// A carrierEach is a publisher whose program is started for each batch, and confirms it by its end.
type carrierEach struct {
	runner
	faults
	text []byte
}

func newPublisher(r runner) (publisher.Publisher, error) {
	if r.Each {
		return &carrierEach{runner: r, faults: newFaults()}, nil
	}
	w, err := newWorker(r)
	if err != nil {
		return nil, err
	}
	return &carrier{worker: w}, nil
}

// Publish returns nil when the program has confirmed in.
func (c *carrier) Publish(ctx context.Context, in *telemetry.Batch) error {
	if c.text = c.codec.encode(c.text[:0], in); len(c.text) == 0 {
		return nil
	}
	c.text = append(c.text, '\n')
	lines, err := c.ask(ctx, c.text)
	if err != nil {
		return err
	}
	if err := refusal(lines); err != nil {
		return err
	}
	if len(lines) > 0 { // the output of something it has started, with empty lines in it perhaps: it proves nothing
		return fmt.Errorf("the program prints more than the empty line, so the batch does not count as confirmed (what it has to say goes to standard error): %q",
			cut(string(lines), toldBytes))
	}
	return nil
}

// Publish runs the program, and returns nil when it has ended well.
func (c *carrierEach) Publish(ctx context.Context, in *telemetry.Batch) error {
	if c.text = c.codec.encode(c.text[:0], in); len(c.text) == 0 {
		return nil
	}
	r, err := child.Run(ctx, c.spec, c.text, 0, maxSaid)
	if err != nil {
		c.fail(err) // it is no fault of the batch
		return err
	}
	if len(r.Stdout) > 0 {
		c.env.Log.Info("program printed", "line", cut(string(r.Stdout), maxSaid))
	}
	r.Cut = false // nobody needs what it prints
	return outcome(r, ctx.Err())
}

// maxSaid is what is logged of the standard output of a program that has nothing to say there.
const maxSaid = 1 << 10
