package publisher_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

func TestFitsText(t *testing.T) {
	f := func(points int, tooLarge bool) {
		t.Helper()
		var b telemetry.Batch
		for i := range points {
			b.Add("s", telemetry.Fields{"n": i}, nil)
		}
		for g := range b.Groups() {
			for _, key := range []string{"a", "b", "c", "d"} {
				g.SetTag(key, strings.Repeat("x", 1000))
			}
		}
		if err := publisher.FitsText(&b); errors.Is(err, plugin.ErrTooLarge) != tooLarge || (err == nil) == tooLarge {
			t.Errorf("%d points of 4 kB: %v", points, err)
		}
	}
	f(0, false)
	f(1, false)
	f(7000, false)
	f(9000, true)
}
