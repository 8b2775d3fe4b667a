package bus

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
)

// What the client says is not repeated in other words, and what has been added to it is kept.
func TestTranslate(t *testing.T) {
	f := func(err, ours error, text string) {
		t.Helper()
		got := translate(err)
		if got.Error() != text || !errors.Is(got, ours) || !errors.Is(got, err) {
			t.Errorf("%v: %v, want %s", err, got, text)
		}
	}
	f(nats.ErrReconnectBufExceeded, ErrDisconnected, "bus is not connected")
	f(context.DeadlineExceeded, ErrTimeout, "no answer in time")
	f(fmt.Errorf("flush: %w", nats.ErrTimeout), ErrTimeout, "no answer in time: flush: nats: timeout")
	other := errors.New("other")
	f(other, other, "other")
}
