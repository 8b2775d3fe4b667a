package shim

import (
	"context"
	"errors"
)

// faults end the work of a program that cannot go on. What it had in hand is given back, and the work begins anew when package plugin
// lets it: later each time, and the heartbeat tells why.
type faults struct{ c chan error }

func newFaults() faults { return faults{make(chan error, 1)} } // 1: the first is enough

// A fallible is work that can end so.
type fallible interface {
	until(ctx context.Context, work func(ctx context.Context) error) error
}

func (f faults) fail(err error) {
	select {
	case f.c <- err:
	default:
	}
}

// until does the work until it ends, or fails.
func (f faults) until(ctx context.Context, work func(ctx context.Context) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case err := <-f.c:
			stop(err)
		case <-ctx.Done():
		}
	}()
	err := work(ctx)
	stop(nil)
	<-done
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}
