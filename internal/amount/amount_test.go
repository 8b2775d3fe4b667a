package amount

import (
	"math"
	"testing"
)

func TestOf(t *testing.T) {
	f := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f(Of(0, "point", "points"), "0 points")
	f(Of(1, "point", "points"), "1 point")
	f(Of(2, "batch was read", "batches were read"), "2 batches were read")
	f(Of(-1, "point", "points"), "-1 points")
	f(Of(uint64(math.MaxUint64), "byte", "bytes"), "18446744073709551615 bytes")
}
