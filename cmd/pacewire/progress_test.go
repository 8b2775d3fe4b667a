package main

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pacewire/pacewire/internal/texttest"
)

func TestWaiting(t *testing.T) {
	f := func(span time.Duration, want string) {
		t.Helper()
		synctest.Test(t, func(t *testing.T) {
			var out texttest.Buffer
			done := waiting(&out, "swap tidy: it makes itself ready")
			time.Sleep(span)
			synctest.Wait()
			done()
			if got := out.String(); got != want {
				t.Errorf("%v: %q, want %q", span, got, want)
			}
		})
	}
	line := "\r" + clearLine
	f(900*time.Millisecond, "")
	f(1500*time.Millisecond, line+"swap tidy: it makes itself ready ... 1 s"+line)
	f(2500*time.Millisecond, line+"swap tidy: it makes itself ready ... 1 s"+line+"swap tidy: it makes itself ready ... 2 s"+line)
}
