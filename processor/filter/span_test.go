package filter

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/pacewire/pacewire/telemetry"
)

// TestSpan compares spans with the comparison they stand for, at and around the edges of each type.
func TestSpan(t *testing.T) {
	var values []telemetry.Value
	for _, v := range []float64{0, math.Copysign(0, -1), 0.5, -0.5, 2, 1 << 53, 1<<53 + 2, 1 << 63, -1 << 63, 1 << 64, 1e300, -1e300,
		math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.Nextafter(1<<63, 0), math.Nextafter(1<<64, 0)} {
		values = append(values, telemetry.Float(v))
	}
	for _, v := range []int64{0, 1, -1, 2, 1 << 53, 1<<53 + 1, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1} {
		values = append(values, telemetry.Int(v))
	}
	for _, v := range []uint64{0, 1, 2, 1<<53 + 1, 1 << 63, 1<<63 - 1, math.MaxUint64, math.MaxUint64 - 1} {
		values = append(values, telemetry.Uint(v))
	}
	for _, op := range []string{"==", "!=", "<", "<=", ">", ">="} {
		for _, c := range values {
			for _, v := range values {
				checkSpan(t, op, v, c)
			}
		}
	}
}

func checkSpan(t rapid.TB, op string, v, c telemetry.Value) {
	t.Helper()
	s := spanOf(v.Type(), op, c)
	got := s.outside
	if !s.empty {
		got = s.holds(keyOf(v.Type(), bitsOf(v)))
	}
	if want := plainTest(op, v.Any(), c.Any()); got != want {
		t.Errorf("%v (%v) %s %v (%v) = %v by span %+v, want %v", v.Any(), v.Type(), op, c.Any(), c.Type(), got, s, want)
	}
	if got, want := test(op, v, c), plainTest(op, v.Any(), c.Any()); got != want {
		t.Errorf("%v (%v) %s %v (%v) = %v, want %v", v.Any(), v.Type(), op, c.Any(), c.Type(), got, want)
	}
}

func bitsOf(v telemetry.Value) uint64 {
	if v.Type() == telemetry.TypeFloat {
		return math.Float64bits(v.Float())
	}
	return v.Uint()
}

// TestSpanDrawn does the same with drawn numbers.
func TestSpanDrawn(t *testing.T) {
	number := func(t *rapid.T, name string) telemetry.Value {
		switch rapid.IntRange(0, 2).Draw(t, name+" type") {
		case 0:
			return telemetry.Int(rapid.Int64().Draw(t, name))
		case 1:
			return telemetry.Uint(rapid.Uint64().Draw(t, name))
		}
		return telemetry.Float(rapid.Float64().Draw(t, name))
	}
	rapid.Check(t, func(t *rapid.T) { checkSpan(t, drawOp(t), number(t, "value"), number(t, "constant")) })
}

// TestKeys looks that keys sort as their numbers, and lead back to them.
func TestKeys(t *testing.T) {
	f := func(values ...telemetry.Value) {
		t.Helper()
		var last uint64
		for i, v := range values {
			key := keyOf(v.Type(), bitsOf(v))
			if i > 0 && key <= last {
				t.Errorf("key of %v is not above that of the one before", v.Any())
			}
			if ofKey(v.Type(), key) != v {
				t.Errorf("key of %v leads to %v", v.Any(), ofKey(v.Type(), key).Any())
			}
			last = key
		}
	}
	f(telemetry.Int(math.MinInt64), telemetry.Int(-1), telemetry.Int(0), telemetry.Int(math.MaxInt64))
	f(telemetry.Uint(0), telemetry.Uint(1), telemetry.Uint(math.MaxUint64))
	f(telemetry.Float(-math.MaxFloat64), telemetry.Float(-1), telemetry.Float(-0.5), telemetry.Float(0), telemetry.Float(0.5), telemetry.Float(math.MaxFloat64))
}

func TestOneEdit(t *testing.T) {
	f := func(a, b string, want bool) {
		t.Helper()
		if got := oneEdit(a, b); got != want || oneEdit(b, a) != want {
			t.Errorf("oneEdit(%q, %q) = %v and %v, want %v", a, b, got, oneEdit(b, a), want)
		}
	}
	f("field", "fields", true)
	f("feilds", "fields", true)
	f("fiedls", "fields", true)
	f("fjelds", "fields", true)
	f("fields", "fields", true)
	f("fields", "tags", false)
	f("ab", "ba", true)
	f("abc", "cba", false)
	f("", "a", true)
	f("", "ab", false)
}
