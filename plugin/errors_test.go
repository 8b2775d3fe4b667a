package plugin

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestOneLine(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := oneLine(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("", "")
	f("no", "no")
	f(errors.Join(ErrTooLarge, errors.New("sink answered 413")).Error(), "batch is too large for the sink; sink answered 413")
	f("{\n  \"error\": \"no\"\r\n\n}\n", "{; \"error\": \"no\"; }")
}

// What a call was waiting for is kept, and so is what else the error says of itself.
func TestLateError(t *testing.T) {
	post := fmt.Errorf("post http://127.0.0.1:8086: %w", context.DeadlineExceeded)
	err := error(&lateError{After(post, time.Minute), 30 * time.Second})
	if got, want := err.Error(), "post http://127.0.0.1:8086: no answer in 30s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if !errors.Is(err, context.DeadlineExceeded) || RetryAfter(err) != time.Minute || classOf(err) != "timeout" {
		t.Errorf("%v: %v, %s", err, RetryAfter(err), classOf(err))
	}
}

func TestSeriesLimitError(t *testing.T) {
	f := func(n int, want string) {
		t.Helper()
		if got := (&SeriesLimitError{n}).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(1, "1 point is of more series than max_series allows, and is dropped")
	f(2, "2 points are of more series than max_series allows, and are dropped")
}
