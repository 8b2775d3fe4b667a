package telemetry

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
)

// unhexed reads hex with blanks; "xx*n" repeats the byte xx n times.
func unhexed(t testing.TB, text string) []byte {
	t.Helper()
	b := []byte{}
	for word := range strings.FieldsSeq(text) {
		digits, times, repeated := strings.Cut(word, "*")
		part, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatalf("%q: %v", word, err)
		}
		n := 1
		if repeated {
			n = atoi(t, times)
		}
		b = append(b, bytes.Repeat(part, n)...)
	}
	return b
}

func atoi(t testing.TB, text string) int {
	t.Helper()
	n := 0
	for _, c := range text {
		n = 10*n + int(c-'0')
	}
	return n
}

func TestGuardRefuses(t *testing.T) {
	f := func(text string, want ControlCode) {
		t.Helper()
		if err := guard(unhexed(t, text), plgBounds); !errors.Is(err, want) {
			t.Errorf("guard(%.40s) = %v; want %s", text, err, want)
		}
	}
	f("", ControlEmpty)

	// What kills the library without a guard.
	f("dd ffffffff", ControlTruncated)
	f("df ffffffff", ControlTruncated)
	f("df 7fffffff a1 61", ControlTruncated)
	f("dd 05f5e100", ControlTruncated)
	f("df 05f5e100", ControlTruncated)
	f("c6 ffffffff", ControlTruncated)
	f("db ffffffff", ControlTruncated)
	f("c9 ffffffff ff", ControlTruncated)
	f("91*200000", ControlDepth)
	f("81 90 c0", ControlKey)
	f("81 c0 c0", ControlKey)
	f("81 c4 01 61 c0", ControlKey)

	// Each head may claim what is there, but not all of them the same bytes.
	f("dc 0004 dc 0003 dc 0002 dc 0001", ControlTruncated)
	f("94 dc 0004 c0 c0 c0 c0", ControlTruncated)
	f("82 a1 61 82 a1 62 c0", ControlTruncated)

	// Every form cut short.
	for _, head := range []string{"81", "91", "a1", "c4", "c5 00", "c6 000000", "c7", "c7 04", "c7 04 ff", "c8 00", "c9 00", "ca 000000", "cb 00000000000000",
		"cc", "cd 00", "ce 000000", "cf 00000000000000", "d0", "d1 00", "d2 000000", "d3 00000000000000", "d4", "d4 ff", "d5 ff 00", "d6 ff 000000", "d7 ff 00000000000000", "d8 ff 00*15",
		"d9", "d9 01", "da 00", "da 0001", "db 000000", "dc", "dc 00", "dd 000000", "de 00", "df 000000"} {
		f(head, ControlTruncated)
	}

	f("c1", ControlSyntax)
	f("91 c1", ControlSyntax)
	f("c0 c0", ControlTrailing)
	f("80 00", ControlTrailing)
	f("a1 ff", ControlUTF8)
	f("81 a1 ff c0", ControlUTF8)
	f("a3 eda080", ControlUTF8) // a surrogate
	f("d4 80 01", ControlExt)   // what vmihailenco interns strings with
	f("d4 ff 00", ControlExt)   // a timestamp of 1 byte
	f("c7 00 ff", ControlExt)
	f("c7 0c 01 00*12", ControlExt)
	f("ca 7fc00000", ControlNaN)
	f("ca ff800000", ControlNaN)
	f("cb 7ff0000000000000", ControlNaN)
	f("91 cb 7ff8000000000001", ControlNaN)

	f("dd 000186a0 c0*100000", ControlLimit)
	f("91*17 c0", ControlDepth)
	f("c6 00040000 00*262144", ControlLimit)
}

func TestGuardPasses(t *testing.T) {
	f := func(text string, limit bounds) {
		t.Helper()
		if err := guard(unhexed(t, text), limit); err != nil {
			t.Errorf("guard(%.40s): %v", text, err)
		}
	}
	f("c0", logBounds)
	f("80", logBounds)
	f("dd 00000000", logBounds)
	f("de 0001 a0 c0", logBounds)
	f("91*15 90", plgBounds)
	f("91*3 90", logBounds)
	f("dd 0001869f c0*99999", plgBounds)
	f("dd 0001869f 80*99999", plgBounds)
	f("d6 ff 00000000", logBounds)
	f("d7 ff 00*8", logBounds)
	f("c7 0c ff 00*12", logBounds)
	f("df 00000002 a1 61 a1 62 a1 61 93 c2 c3 cb 3ff0000000000000", logBounds) // a key twice
	f("c5 3ffc 00*16380", logBounds)
}

func TestGuardNarrowBounds(t *testing.T) {
	f := func(text string, want ControlCode) {
		t.Helper()
		if err := guard(unhexed(t, text), logBounds); !errors.Is(err, want) {
			t.Errorf("guard(%.40s) = %v; want %s", text, err, want)
		}
	}
	f("91*4 90", ControlDepth)
	f("dc 0100 c0*256", ControlLimit)
	f("c5 3fff 00*16383", ControlLimit)
}

// Keys do not count as values, and a map's pairs are two items each.
func TestGuardCounts(t *testing.T) {
	b := append([]byte{0xde, 0, 255}, bytes.Repeat([]byte{0xa1, 'k', 0xc0}, 255)...)
	if err := guard(b, logBounds); err != nil {
		t.Errorf("255 pairs in a map: %v", err)
	}
	b = append([]byte{0xde, 1, 0}, bytes.Repeat([]byte{0xa1, 'k', 0xc0}, 256)...)
	if err := guard(b, logBounds); !errors.Is(err, ControlLimit) {
		t.Errorf("256 pairs in a map: %v; want limit", err)
	}
}

func TestGuardCutAnywhere(t *testing.T) {
	b, err := EncodeControl(fullHello(), MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(b) {
		want := ControlTruncated
		if n == 0 {
			want = ControlEmpty
		}
		if err := guard(b[:n], beatBounds); !errors.Is(err, want) {
			t.Fatalf("cut at %d of %d: %v; want %s", n, len(b), err, want)
		}
	}
}

func TestGuardAllocatesNothing(t *testing.T) {
	f := func(b []byte, limit bounds) {
		t.Helper()
		n := testing.AllocsPerRun(100, func() {
			if err := guard(b, limit); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("guard of %d bytes allocates %v times", len(b), n)
		}
	}
	hello, err := EncodeControl(fullHello(), MsgPack)
	if err != nil {
		t.Fatal(err)
	}
	f(hello, beatBounds)
	f(unhexed(t, "dd 0001869f 80*99999"), plgBounds)
}

// FuzzGuard holds that nothing the guard passes harms or puzzles another decoder.
func FuzzGuard(f *testing.F) {
	for _, m := range goldenMessages() {
		if b, err := EncodeControl(m.value, MsgPack); err == nil {
			f.Add(b)
		}
	}
	for _, text := range []string{"dd ffffffff", "df ffffffff", "d6 ff 00000000", "d7 ff 00*8", "c7 0c ff 00*12", "91*15 90", "c1", "81 90 c0", "cf ff*8", "ca 3f800000"} {
		f.Add(unhexed(f, text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if guard(b, plgBounds) != nil {
			return
		}
		var v any
		if err := msgpack.Unmarshal(b, &v); err != nil {
			t.Errorf("guard passed %x, msgpack refuses it: %v", b, err)
		}
		r := controlReader{b}
		r.skip()
		if len(r.buf) != 0 {
			t.Errorf("guard passed %x, skip leaves %d bytes", b, len(r.buf))
		}
	})
}
