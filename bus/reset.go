package bus

import (
	"context"
	"fmt"
)

// ResetConsumer has a durable consumer give out again, in order, everything that
// is not settled. What a reader that is gone had in hand would come otherwise when
// its time has passed, behind what is newer. Whoever reads it must have stopped.
// ErrTimeout: perhaps there is no such consumer.
func (c *Conn) ResetConsumer(ctx context.Context, stream, durable string) error {
	js, err := c.jetStream()
	if err != nil {
		return err
	}
	if _, err := js.ResetConsumer(ctx, stream, Token(durable)); err != nil {
		return fmt.Errorf("reset consumer %s of %s: %w", durable, stream, missing(err))
	}
	return nil
}
