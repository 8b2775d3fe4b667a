package telemetry

import (
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

// padded returns s with what a number can be followed by, and room to load words.
func padded(s string) []byte { return []byte(s + ",next=1 1\n        ") }

func TestPutFloatIsShortest(t *testing.T) {
	var buf [80]byte
	f := func(v float64) {
		t.Helper()
		got := string(buf[:theNumerals().putFloat(buf[:], 0, math.Float64bits(v))])
		format := byte('f')
		if a := math.Abs(v); a != 0 && (a < 1e-9 || a >= 1e21) {
			format = 'e'
		}
		want := strconv.FormatFloat(v, format, -1, 64)
		if got != want {
			t.Fatalf("float %x written as %s, want %s", v, got, want)
		}
		bits, next := parseFloat(padded(got), 0)
		if bits != math.Float64bits(v) || next != len(got) {
			t.Fatalf("float %s read as %x, %d", got, bits, next)
		}
	}
	for _, v := range []float64{0, 1, -1, 0.5, 0.25, 0.1, 0.3, 12.5, 99.9, 1e15, 1e16, 1 << 53, 1<<53 + 2, 9007199254740993, 1e22, 123456789.125,
		1e-5, 9.999e-6, 1e-9, math.MaxFloat64, math.SmallestNonzeroFloat64, 0.000123, 4503599627370495.5, 4503599627370497.5, 5e-324, math.Pi, -math.E} {
		f(v)
	}
	f(math.Copysign(0, -1))
	r := rand.New(rand.NewPCG(1, 2))
	for range 60000 {
		f(math.Float64frombits(r.Uint64()&^(0x7ff<<52) | uint64(1023-40+r.IntN(100))<<52))
		f(float64(r.IntN(2000000)-1000000) / float64(pow10[r.IntN(8)]))
		f(float64(r.IntN(100000)) / float64(1+r.IntN(1000)))
		f(math.Nextafter(float64(r.IntN(1000000))/1000, float64(r.IntN(2))*1e9))
		f(math.Ldexp(1, r.IntN(80)-40))
	}
}

func TestParseFloatIsExact(t *testing.T) {
	f := func(s string) {
		t.Helper()
		want, err := strconv.ParseFloat(s, 64)
		bits, next := parseFloat(padded(s), 0)
		if err != nil {
			if next == len(s) {
				t.Fatalf("float %q read as %x", s, bits)
			}
			return
		}
		if bits != math.Float64bits(want) || next != len(s) {
			t.Fatalf("float %q read as %v, %d; want %v", s, math.Float64frombits(bits), next, want)
		}
	}
	for _, s := range []string{"0", "-0", "1.", ".5", "-.5", ".", "-", "1e3", "1E-3", "1e", "1.5e+3", "-1.5e3", "00001", "0.00000000000000000001", "9007199254740993",
		"9007199254740993.0", "18446744073709551615", "18446744073709551616", "1234567890123456789", "12345678.12345678901", "1234567890123456789012345",
		"0.1234567890123456789", "999999999.9999999999", "9999999.999999999999", "922337203.6854775808", "0.12345678901234567890123", "99999999.99999999", "9999999999999999999", "1e400", "1-2", "--1", "1.2.3", "9007199254740992.5", "9007199254740993.5"} {
		f(s)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 60000 {
		m := strconv.FormatUint(r.Uint64()>>r.IntN(64), 10)
		cut := r.IntN(len(m) + 1)
		f(m[:cut] + "." + m[cut:])
		// halfway between two floats, and next to it
		half := strconv.FormatUint(2*(1<<53+r.Uint64N(1<<53))+uint64(r.IntN(3))+1, 10)
		f(half + "." + "0")
		f(strconv.FormatUint(1<<53+2*r.Uint64N(1<<52)+1, 10) + ".00")
	}
}

func TestPutInt(t *testing.T) {
	var buf [80]byte
	f := func(v int64) {
		t.Helper()
		got := string(buf[:theNumerals().putInt(buf[:], 0, v)])
		if want := strconv.FormatInt(v, 10); got != want {
			t.Fatalf("int written as %s, want %s", got, want)
		}
		bits, next := parseInt(padded(got+"i"), 0)
		if v != math.MinInt64 && (int64(bits) != v || next != len(got)+1) {
			t.Fatalf("int %s read as %d, %d", got, int64(bits), next)
		}
		got = string(buf[:theNumerals().putUint(buf[:], 0, uint64(v))])
		bits, next = parseUint(padded(got+"u"), 0)
		if len(got) < 20 && (bits != uint64(v) || next != len(got)+1) {
			t.Fatalf("uint %s read as %d, %d", got, bits, next)
		}
	}
	for shift := range 64 {
		f(1 << shift)
		f(1<<shift - 1)
		f(-1 << shift)
	}
	for _, p := range pow10 {
		f(int64(p))
		f(int64(p) - 1)
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range 50000 {
		f(int64(r.Uint64() >> r.IntN(64)))
	}
}
