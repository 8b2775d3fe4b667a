package jsontext

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
)

// The ways a time may be written. Any other is a layout of Go, such as 2006-01-02 15:04:05, in UTC unless it says its zone.
const (
	Unix    = "unix" // seconds since 1970, with a fraction or without
	UnixMS  = "unix_ms"
	UnixUS  = "unix_us"
	UnixNS  = "unix_ns"
	RFC3339 = "rfc3339"
)

// units are the numbers since 1970.
var units = map[string]time.Duration{Unix: time.Second, UnixMS: time.Millisecond, UnixUS: time.Microsecond, UnixNS: time.Nanosecond}

// timeReader returns what reads times of a form.
func timeReader(form string) func(v any) (time.Time, error) {
	switch unit, ok := units[form]; {
	case ok:
		return func(v any) (time.Time, error) { return since1970(v, unit) }
	case form == "":
		return anyTime
	case form == RFC3339:
		form = time.RFC3339Nano
	}
	return func(v any) (time.Time, error) { return laidOut(v, form) }
}

// ownTime reads a time of our own form: RFC 3339, or nanoseconds.
func ownTime(v any) (time.Time, error) {
	if _, ok := v.(string); ok {
		return laidOut(v, time.RFC3339Nano)
	}
	return since1970(v, time.Nanosecond)
}

// anyTime tells the form from the value: a text is RFC 3339 or a number, and a number has the unit by which it is of our days.
func anyTime(v any) (time.Time, error) {
	if text, ok := v.(string); ok {
		if _, err := strconv.ParseFloat(text, 64); err != nil {
			return laidOut(v, time.RFC3339Nano)
		}
	}
	const year5138 = 1e11 // in seconds; in milliseconds it is 1973
	n, _ := strconv.ParseFloat(scalar(v), 64)
	unit := time.Nanosecond
	switch n = math.Abs(n); {
	case n < year5138:
		unit = time.Second
	case n < year5138*1e3:
		unit = time.Millisecond
	case n < year5138*1e6:
		unit = time.Microsecond
	}
	return since1970(v, unit)
}

// laidOut reads a text in a layout of Go.
func laidOut(v any, layout string) (time.Time, error) {
	text, ok := v.(string)
	if !ok {
		return time.Time{}, fault{report.Syntax, fmt.Errorf("time: want a text, and there is %s", kindOf(v))}
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return t, fault{report.Syntax, fmt.Errorf("time: %w", err)}
	}
	if !report.Holds(t) || t.IsZero() { // the zero time would stand for now
		return t, outside(text)
	}
	return t, nil
}

// since1970 reads a number of units; it may be a text.
func since1970(v any, unit time.Duration) (time.Time, error) {
	text := scalar(v)
	if _, ok := v.(bool); ok || text == "" {
		return time.Time{}, fault{report.Syntax, fmt.Errorf("time: want a number, and there is %s", kindOf(v))}
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > math.MaxInt64/int64(unit) || n < math.MinInt64/int64(unit) {
			return time.Time{}, outside(text)
		}
		return time.Unix(0, n*int64(unit)), nil
	}
	f, err := json.Number(text).Float64()
	switch {
	case math.IsInf(f, 0) || math.Abs(f) >= math.MaxInt64/float64(unit):
		return time.Time{}, outside(text)
	case err != nil || math.IsNaN(f):
		return time.Time{}, fault{report.Syntax, fmt.Errorf("time %.40q: want a number", text)}
	}
	whole, part := math.Modf(f)
	ns := time.Duration(math.Round(part * float64(unit))).Round(time.Microsecond) // a float of our days has no more
	return time.Unix(0, int64(whole)*int64(unit)+int64(ns)), nil
}

func outside(text string) error {
	return fault{report.TimeRange, fmt.Errorf("time %.40s: not between the years 1678 and 2261", text)}
}
