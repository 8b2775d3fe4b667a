package main

import (
	"strings"
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	f := func(text string, want time.Duration) {
		t.Helper()
		var s spanValue
		if err := s.Set(text); err != nil || time.Duration(s) != want {
			t.Errorf("%s: %v, %v", text, time.Duration(s), err)
		}
	}
	f("2d", 48*time.Hour)
	f("1d12h", 36*time.Hour)
	f("90s", 90*time.Second)
	f("0", 0)
	f("0s", 0)
	var s spanValue
	if err := s.Set("2 days"); err == nil || !strings.Contains(err.Error(), "did you mean 2d?") {
		t.Error(err)
	}
	if s.Type() != "duration" || s.String() != "" {
		t.Errorf("%s %s", s.Type(), s.String())
	}
}

func TestShortest(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := shortest(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	f(24*time.Hour, "24h")
	f(10*time.Minute, "10m")
	f(90*time.Minute, "1h30m")
	f(90*time.Second, "1m30s")
	f(10*time.Second, "10s")
	f(50*time.Millisecond, "50ms")
}

// Every flag that is a duration takes days.
func TestSpansInFlags(t *testing.T) {
	run := place(t)
	for _, verb := range []string{"host silence x --for", "events --since", "host wait x --timeout", "plugin stop x --timeout", "tap --duration"} {
		expect(t, run(append(strings.Fields(verb), "2d")...), exitNoBus, "no agent runs here")
		expect(t, run(append(strings.Fields(verb), "2 days")...), exitUsage, "did you mean 2d?", "--help")
	}
}
