package lab

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestFirst(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var l Log
	write := func(after time.Duration, text string) {
		t.Helper()
		if _, err := fmt.Fprintf(&l, text+"\n", begin.Add(after).Format(time.RFC3339Nano)); err != nil {
			t.Fatal(err)
		}
	}
	write(1*time.Second, `{"time":%q,"msg":"child started","plugin":"a","pid":1}`)
	write(2*time.Second, `{"time":%q,"msg":"child started","plugin":"b","pid":2}`)
	write(3*time.Second, `no record, at %s`)
	write(4*time.Second, `{"time":%q,"msg":"plugin works","plugin":"a"}`)
	write(5*time.Second+time.Nanosecond, `{"time":%q,"msg":"child started","plugin":"a","pid":3}`)
	write(6*time.Second, `{"time":%q,"msg":"pacewire runs"}`)
	f := func(plugin, msg string, after, want time.Duration) {
		t.Helper()
		r, ok := l.First(begin.Add(after), plugin, msg)
		if ok != (want > 0) || ok && r.Time.Sub(begin) != want {
			t.Errorf("%s of %s after %v: %v, %v; want %v", msg, plugin, after, r.Time, ok, want)
		}
	}
	const started = "child started"
	f("a", started, 0, time.Second)
	f("a", started, time.Second, 5*time.Second+time.Nanosecond) // a moment has no start after it
	f("a", started, 6*time.Second, 0)
	f("b", started, 0, 2*time.Second)
	f("c", started, 0, 0)
	f("", "pacewire runs", 0, 6*time.Second)
	f("", started, 0, 0)
}

// A program that floods does not take our memory, and its last words are kept.
func TestLogIsBounded(t *testing.T) {
	var l Log
	line := strings.Repeat("x", 1000) + "\n"
	for range 5000 {
		_, _ = l.Write([]byte(line))
	}
	_, _ = l.Write([]byte("the end\n"))
	if n := len(l.String()); n > 2*logKept+len(line) || n < logKept {
		t.Errorf("%d bytes are kept", n)
	}
	if tail := l.Tail(); !strings.HasSuffix(tail, "the end\n") || len(tail) > 4<<10 {
		t.Errorf("a tail of %d bytes: %q", len(tail), tail[max(0, len(tail)-20):])
	}
}
