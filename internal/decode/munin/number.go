package munin

import (
	"math"
	"strconv"
	"strings"
)

// unknown is what stands where there is no value.
const unknown = "U"

// number reads a finite number. Those of Go that no plugin means, such as 0x10 and 1_000, are none.
func number(text string) (float64, bool) {
	v, ok := float(text)
	return v, ok && finite(v)
}

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }

// float reads a number, which may be none of those that are kept: NaN, an infinity, or too large.
func float(text string) (float64, bool) {
	if strings.ContainsAny(text, "xXpP_") {
		return 0, false
	}
	v, err := strconv.ParseFloat(text, 64)
	return v, err == nil || math.IsInf(v, 0)
}

// integer reads a whole number, as int64, or uint64 where that is too small. Programs that count in floats print 1.5e+10.
func integer(text string) (v any, ok bool) {
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		return v, true
	}
	if v, err := strconv.ParseUint(text, 10, 64); err == nil {
		return v, true
	}
	f, ok := number(text)
	if !ok || f != math.Trunc(f) || math.Abs(f) >= 1<<63 {
		return nil, false
	}
	return int64(f), true
}

// A Range is what a value is to be within, both ends included. An end that is nil is open.
type Range struct{ Low, High *float64 }

// ParseRange reads max, min:, :max or min:max. No limit at all is no range.
func ParseRange(text string) (*Range, bool) {
	if text == "" {
		return nil, true
	}
	low, high, both := strings.Cut(text, ":")
	if !both {
		low, high = "", text
	}
	var r Range
	for _, end := range []struct {
		text string
		into **float64
	}{{low, &r.Low}, {high, &r.High}} {
		if end.text = strings.TrimSpace(end.text); end.text == "" {
			continue
		}
		v, ok := number(end.text)
		if !ok {
			return nil, false
		}
		*end.into = &v
	}
	if r.Low == nil && r.High == nil {
		return nil, text == ":"
	}
	return &r, true
}

// Holds reports whether v is within r.
func (r *Range) Holds(v float64) bool {
	return (r.Low == nil || v >= *r.Low) && (r.High == nil || v <= *r.High)
}

// String returns r as ParseRange reads it.
func (r *Range) String() string {
	end := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'g', -1, 64)
	}
	return end(r.Low) + ":" + end(r.High)
}
