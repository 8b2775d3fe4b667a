package telemetry

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAppendJSON(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, err := appendJSON(nil, []byte(text))
		if err != nil || string(got) != string(unhexed(t, want)) {
			t.Errorf("%s = %x, %v; want %s", text, got, err, want)
		}
	}
	f(`null`, "c0")
	f(` true `, "c3")
	f(`-0`, "00")
	f(`-33`, "d0 df")
	f(`18446744073709551615`, "cf ff*8")
	f(`18446744073709551616`, "cb 43f0000000000000")
	f(`-9223372036854775809`, "cb c3e0000000000000")
	f(`1.5`, "cb 3ff8000000000000")
	f(`"\u00e9"`, "a2 c3a9")
	f(`{}`, "80")
	f(`[[],{"a":{}}]`, "92 90 81 a161 80")
	f("["+strings.Repeat("0,", 14)+"0]", "9f 00*15")
	f("["+strings.Repeat("0,", 15)+"0]", "dc 0010 00*16")
	f("["+strings.Repeat("0,", 65535)+"0]", "dd 00010000 00*65536")
	f("{"+strings.Repeat(`"a":0,`, 15)+`"a":0}`, "de 0010"+strings.Repeat(" a161 00", 16))
}

func TestAppendJSONRefuses(t *testing.T) {
	f := func(text string, want ControlCode) {
		t.Helper()
		if got, err := appendJSON(nil, []byte(text)); !errors.Is(err, want) {
			t.Errorf("%.60s = %x, %v; want %s", text, got, err, want)
		}
	}
	f("", ControlTruncated)
	f("{", ControlTruncated)
	f(`{"a"`, ControlTruncated)
	f(`[1,`, ControlTruncated)
	f(`"a`, ControlTruncated)
	f("[1 2]", ControlSyntax)
	f("[1,]", ControlSyntax)
	f(`{"a":1,}`, ControlSyntax)
	f(`{"a" 1}`, ControlSyntax)
	f(`{1:1}`, ControlSyntax)
	f("NaN", ControlSyntax)
	f("[Infinity]", ControlSyntax)
	f("01", ControlTrailing)
	f("1 2", ControlTrailing)
	f("{}}", ControlTrailing)
	f("\xef\xbb\xbf{}", ControlSyntax)
	f("\"\xff\"", ControlUTF8)
	f("-1e999", ControlRange)
	f(strings.Repeat("[", 17), ControlDepth)
	f(strings.Repeat("[", 250_000), ControlDepth)
}

// FuzzAppendJSON compares the way through msgpack and back with encoding/json alone.
func FuzzAppendJSON(f *testing.F) {
	for _, text := range []string{`{"a":[1,-2.5e3,"é\ud800",null,true,{}]}`, `[1 2]`, `{"a":1,"a":2}`, `[`, `1 2`, `"<&>\u2028"`, `1e999`, `-0.0`, `18446744073709551616`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		packed, err := appendJSON(nil, text)
		if err != nil {
			ours := errors.Is(err, ControlDepth) || errors.Is(err, ControlRange)
			if json.Valid(text) && utf8.Valid(text) && !ours {
				t.Errorf("%q is refused: %v", text, err)
			}
			return
		}
		if err := guard(packed, bounds{1 << 30, maxDepth, 1 << 30}); err != nil {
			t.Fatalf("%q becomes %x: %v", text, packed, err)
		}
		back, err := (&controlReader{packed}).asJSON(nil)
		if err != nil {
			t.Fatalf("%q becomes %x: %v", text, packed, err)
		}
		var want, got any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatalf("%q is taken, but is not JSON: %v", text, err)
		}
		if err := json.Unmarshal(back, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q comes back as %q, %v", text, back, err)
		}
	})
}
