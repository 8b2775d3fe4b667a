package statsd

import (
	"bytes"
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestNumber(t *testing.T) {
	f := func(text string, want float64) {
		t.Helper()
		if got, r := number([]byte(text)); r != fine || got != want {
			t.Errorf("%s: %v, %v; want %v", text, got, r, want)
		}
	}
	f("0", 0)
	f("-0", math.Copysign(0, -1))
	f("7", 7)
	f("+7", 7)
	f("-7.25", -7.25)
	f(".5", 0.5)
	f("5.", 5)
	f("0.1", 0.1)
	f("123456789012345", 123456789012345)
	f("1234567890123456789", 1234567890123456789)
	f("0.00000000000001", 1e-14)
	f("1e-400", 0)
	f("-1.7976931348623157e308", -math.MaxFloat64)
	f("1E+3", 1000)
	bad := func(text string, want reason) {
		t.Helper()
		if got, r := number([]byte(text)); r != want {
			t.Errorf("%q: %v, %v; want %v", text, got, r, want)
		}
	}
	for _, text := range []string{"", "-", "+", ".", "-.", "--1", "1-", "1.2.3", "..1", "0x10", "1_0", "1 ", " 1", "1,5", "e5", "1e", "nano", "٣"} {
		bad(text, badValue)
	}
	for _, text := range []string{"NaN", "-nan", "inf", "+Inf", "-INFINITY", "1e309", "-1e309"} {
		bad(text, notFinite)
	}
}

// The short way to read numbers finds what the long one does.
func TestNumberAsStrconv(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[+-]?[0-9]{0,9}\.?[0-9]{0,9}`).Draw(t, "text")
		want, err := strconv.ParseFloat(text, 64)
		if got, r := number([]byte(text)); (r == fine) != (err == nil) || got != want {
			t.Fatalf("%q: %v, %v; want %v, %v", text, got, r, want, err)
		}
	})
}

// What comes costs no memory once it is known.
func TestTakeAllocatesNothing(t *testing.T) {
	table := testTable()
	text := []byte("c:1|c|@0.5|#a:b,c:d\ng:-1.5|g\nt:1:2:3|ms|#a:b\ns:alice|s\nx:1|c|c:4f2a\nn:1|c:2|g\nbad\nc:x|c")
	take := func() { table.take(text) }
	for range maxSamples {
		take()
	}
	if n := testing.AllocsPerRun(100, take); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Whatever comes, the points are such as can be sent, and each line is counted once at least or is in a point.
func FuzzTake(f *testing.F) {
	for _, text := range []string{
		"c:1|c|@0.1|#a:b,c:d|c:4f2a|T1600000000", "g:-5|g\ng:+5|g", "t:1:2:3|ms|@0.5", "n:1|c:2|g|@0.1:alice|s", "n,a=b:1|c", "n;a=b;c=d:1|c", "n#a=b:1|c", "n[a=b]c:1|c",
		"_e{5,4}:title|text|d:1|h:x|k:y|p:low|s:z|t:error|#a:b", "_sc|name|2|d:1|h:x|#a:b|m:text|more", "c:NaN|c\nc:1e999|c", "c:|||||", "\xff\x00:1|c",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		table := testTable()
		table.take(text)
		table.take(text) // the second way: what is known
		var e emitter
		if b := table.takeDirect(); b != nil {
			_ = e.Post(b, 0)
		}
		table.flush(at, time.Hour, &e)
		if len(e.drops) > 0 {
			t.Errorf("points that cannot be sent: %v", e.drops)
		}
		for _, p := range e.points {
			if p.Series == "" || len(p.Fields) == 0 {
				t.Errorf("a point without a name or a field: %+v", p)
			}
		}
		lost := 0
		for _, n := range table.losses.counts {
			lost += n
		}
		if len(bytes.Trim(text, "\r\n")) > 0 && lost == 0 && len(e.points) == 0 && len(table.metrics) == 0 {
			t.Errorf("%q came to nothing", text)
		}
		if table.samples != 0 || table.values != 0 {
			t.Errorf("%d samples, %d values after the flush", table.samples, table.values)
		}
	})
}
