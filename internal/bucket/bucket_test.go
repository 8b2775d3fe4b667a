package bucket

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
)

// rungs returns those of e as text.
func rungs[N Count](e Exponential[N], count N) string {
	var all []string
	var texts Texts
	e.Rungs(count, func(bound float64, total N) { all = append(all, fmt.Sprintf("%s:%v", texts.Of(bound), total)) })
	return strings.Join(all, " ")
}

func TestRungs(t *testing.T) {
	f := func(e Exponential[uint64], count uint64, want string) {
		t.Helper()
		if got := rungs(e, count); got != want {
			t.Errorf("%+v of %d:\n%s, want\n%s", e, count, got, want)
		}
	}
	run := func(first int64, counts ...uint64) Run[uint64] { return Run[uint64]{first, counts} }
	f(Exponential[uint64]{}, 0, "0:0 +Inf:0")
	f(Exponential[uint64]{Threshold: 0.5, Zeros: 2}, 3, "0.5:2 +Inf:3")
	f(Exponential[uint64]{Positive: []Run[uint64]{run(1)}}, 0, "0:0 +Inf:0") // no bucket
	f(Exponential[uint64]{Zeros: 1, Positive: []Run[uint64]{run(0, 2, 0, 3)}}, 6, "0:1 1:1 2:3 4:3 8:6 +Inf:6")
	f(Exponential[uint64]{Scale: 1, Positive: []Run[uint64]{run(-1, 1, 1)}}, 0, "0:0 0.707106781186548:0 1:1 1.4142135623731:2 +Inf:2")
	f(Exponential[uint64]{Scale: -2, Positive: []Run[uint64]{run(0, 1)}}, 1, "0:0 1:0 16:1 +Inf:1")
	// Between two runs nothing is: the second begins where it begins.
	f(Exponential[uint64]{Positive: []Run[uint64]{run(0, 1), run(3, 2)}}, 3, "0:0 1:0 2:1 8:1 16:3 +Inf:3")
	f(Exponential[uint64]{Positive: []Run[uint64]{run(0, 1), run(1, 2)}}, 3, "0:0 1:0 2:1 4:3 +Inf:3")
	f(Exponential[uint64]{Zeros: 1, Negative: []Run[uint64]{run(0, 2, 3), run(4, 5)}}, 11, "-32:0 -16:5 -4:5 -2:8 -1:10 0:11 +Inf:11")
	// Bounds beyond all numbers, and below all.
	f(Exponential[uint64]{Positive: []Run[uint64]{run(1022, 1, 1, 1)}, Negative: []Run[uint64]{run(1023, 1, 1)}}, 0,
		"-8.98846567431158e+307:2 0:2 4.49423283715579e+307:2 8.98846567431158e+307:3 +Inf:5")
	f(Exponential[uint64]{Threshold: 1, Positive: []Run[uint64]{run(-5000, 1)}, Negative: []Run[uint64]{run(-5000, 2)}}, 0, "0:2 1:3 +Inf:3")
	f(Exponential[uint64]{Positive: []Run[uint64]{run(math.MaxInt32, 1)}}, 1, "0:0 +Inf:1")
	// A zero that is wide takes in what stands below its end.
	f(Exponential[uint64]{Threshold: 3, Zeros: 1, Positive: []Run[uint64]{run(0, 1, 1)}}, 3, "3:2 4:3 +Inf:3")

	if got, want := rungs(Exponential[float64]{Zeros: 0.5, Positive: []Run[float64]{{0, []float64{1.25}}}}, 2), "0:0.5 1:0.5 2:1.75 +Inf:2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Bounds are what roots of two with two hundred bits are.
func TestBound(t *testing.T) {
	for scale := int32(-3); scale <= 20; scale++ {
		for _, i := range []int64{0, 1, -1, 2, 3, -5, 7, 100, -100} {
			want := math.Inf(1)
			if power := float64(i) / math.Exp2(float64(scale)); power < 1024 {
				want, _ = exact(scale, i).Float64()
			}
			if got := Bound(scale, i); got != want && !(math.Abs(got-want) <= 1e-14*want) {
				t.Errorf("scale %d, index %d: %v, want %v", scale, i, got, want)
			}
		}
	}
	for scale, i := range map[int32]int64{64: math.MaxInt64, -64: math.MinInt64} {
		if got := Bound(scale, i); !(got >= 0) {
			t.Errorf("scale %d, index %d: %v", scale, i, got)
		}
	}
	if a, b := Bound(1, 1), Bound(20, 1<<19); a != 1.4142135623731 || a != b {
		t.Errorf("the root of two: %v and %v", a, b)
	}
}

// exact returns 2^(i/2^scale).
func exact(scale int32, i int64) *big.Float {
	v := big.NewFloat(2).SetPrec(200)
	for ; scale > 0; scale-- {
		v.Sqrt(v)
	}
	for ; scale < 0; scale++ {
		v.Mul(v, v)
	}
	all := big.NewFloat(1).SetPrec(200)
	for range max(i, -i) {
		all.Mul(all, v)
	}
	if i < 0 {
		return all.Quo(big.NewFloat(1).SetPrec(200), all)
	}
	return all
}

// Texts are kept, and not without end.
func TestTexts(t *testing.T) {
	var texts Texts
	for i := range 2*maxTexts + 1 {
		if got, want := texts.Of(float64(i)), Text(float64(i)); got != want || len(texts.made) > maxTexts {
			t.Fatalf("%s, want %s; %d are kept", got, want, len(texts.made))
		}
	}
	if got := texts.Of(math.Inf(-1)); got != "-Inf" {
		t.Error(got)
	}
}
