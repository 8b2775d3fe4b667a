package shim

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// A carrier is a publisher whose program confirms each batch, by an empty line or by its end.
type carrier struct {
	asked
	each bool
	log  *slog.Logger
}

// maxSaid is what is kept of the standard output of a program that has nothing to say there.
const maxSaid = 1 << 10

func newPublisher(r runner) (publisher.Publisher, error) {
	a, err := newAsked(r, 0, maxSaid)
	if err != nil {
		return nil, err
	}
	return carrier{a, r.Each, r.env.Log}, nil
}

// Publish returns nil when the program has confirmed in.
func (c carrier) Publish(ctx context.Context, in *telemetry.Batch) error {
	said, err := c.ask(ctx, in)
	switch {
	case err != nil:
		return err
	case len(said) == 0:
		return nil
	case c.each:
		c.log.Info("program printed", "line", cut(string(said), maxSaid))
		return nil
	}
	// The output of something it has started, with empty lines in it perhaps: it proves nothing.
	return fmt.Errorf("the program prints more than the empty line, so the batch does not count as confirmed (what it has to say goes to standard error): %q",
		cut(string(said), toldBytes))
}
