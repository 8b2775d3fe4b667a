package report

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Seconds reads a time in seconds since 1970, which may have a fraction; of that microseconds are kept, as programs that print
// seconds have them from floats. reason is "" if it is one that a batch can hold, else Syntax or TimeRange.
func Seconds(text string) (t time.Time, reason string) {
	f, err := strconv.ParseFloat(text, 64)
	switch {
	case math.IsInf(f, 0) || math.Abs(f) > math.MaxInt64/1e9:
		return time.Time{}, TimeRange
	case err != nil || math.IsNaN(f) || strings.ContainsAny(text, "xXpP_"):
		return time.Time{}, Syntax
	}
	whole, part := math.Modf(f)
	return time.Unix(int64(whole), int64(math.Round(part*1e6))*1000), ""
}
