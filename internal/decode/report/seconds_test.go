package report

import (
	"testing"
	"time"
)

func TestSeconds(t *testing.T) {
	f := func(text string, want time.Time, reason string) {
		t.Helper()
		if got, why := Seconds(text); !got.Equal(want) || why != reason {
			t.Errorf("%s: %v, %q; want %v, %q", text, got, why, want, reason)
		}
		if !Holds(want) {
			t.Errorf("%s: a batch cannot hold %v", text, want)
		}
	}
	f("1700000000", time.Unix(1700000000, 0), "")
	f("1700000000.123456", time.Unix(1700000000, 123456000), "")
	f("1.7e9", time.Unix(1700000000, 0), "")
	f("-1.5", time.Unix(-2, 500000000), "")
	f("0", time.Unix(0, 0), "")
	f("9223372036", time.Unix(9223372036, 0), "")
	f("-9223372036", time.Unix(-9223372036, 0), "")

	none := time.Time{}
	f("-62135596800", none, TimeRange) // the year 1
	f("253402300799", none, TimeRange) // the year 9999
	f("9223372037", none, TimeRange)
	f("1e400", none, TimeRange)
	f("-Inf", none, TimeRange)
	f("NaN", none, Syntax)
	f("", none, Syntax)
	f("now", none, Syntax)
	f("0x10", none, Syntax)
	f("1_000", none, Syntax)
}
