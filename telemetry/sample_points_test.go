package telemetry

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// describe writes p in one line that tells everything: the type of each field and every bit of its value.
func describe(p Point) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%q %d", p.Series, p.Time.UnixNano())
	for _, key := range slices.Sorted(maps.Keys(p.Tags)) {
		if p.Tags[key] != "" {
			fmt.Fprintf(&s, " %q=%q", key, p.Tags[key])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Fields)) {
		switch v := p.Fields[name].(type) {
		case float64:
			fmt.Fprintf(&s, " %q:f%x", name, math.Float64bits(v))
		default:
			fmt.Fprintf(&s, " %q:%T(%q)", name, v, fmt.Sprint(v))
		}
	}
	return s.String()
}

// described returns the points of b, each as describe writes it, sorted: the order of points says nothing.
func described(b *Batch) []string {
	var lines []string
	for p := range b.Points() {
		lines = append(lines, describe(p))
	}
	slices.Sort(lines)
	return lines
}

// wantPoints compares the points of b with those that are wanted, given as maps.
func wantPoints(tb interface {
	Helper()
	Errorf(string, ...any)
}, b *Batch, what string, want ...Point) {
	tb.Helper()
	lines := make([]string, 0, len(want))
	for _, p := range want {
		lines = append(lines, describe(p))
	}
	slices.Sort(lines)
	if got := described(b); !slices.Equal(got, lines) {
		tb.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(lines, "\n     "))
	}
}

// at is a time of the tests, n microseconds after the start of their clock.
func at(n int) time.Time {
	return time.Unix(1763559525, 997744000).Add(time.Duration(n) * time.Microsecond).UTC()
}

// batchOf returns a batch of points.
func batchOf(points ...Point) *Batch {
	var b Batch
	for _, p := range points {
		b.Append(p)
	}
	return &b
}

// decoded returns b as a reader gets it: its columns look into a message.
func decoded(tb testing.TB, b *Batch) *Batch {
	tb.Helper()
	var c Batch
	if err := c.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
		tb.Fatal(err)
	}
	return &c
}

var (
	someNames = rapid.SampledFrom([]string{"a", "b", "cpu", "user time", "größe", `"quoted\`, "x=1,y", "日本", "z"})
	someTexts = rapid.OneOf(rapid.SampledFrom([]string{"eu", "us", "a b", `q"\`, "ü", "-1", "true", "0.5"}), rapid.Map(rapid.IntRange(0, 400), func(i int) string {
		return fmt.Sprintf("web-%d", i)
	}))
	someFloats = rapid.OneOf(
		rapid.Map(rapid.IntRange(-1000, 1000), func(i int) float64 { return float64(i) / 8 }),
		rapid.Map(rapid.Int64(), func(i int64) float64 { return float64(i) }),
		rapid.Float64().Filter(func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.MaxFloat64, math.SmallestNonzeroFloat64, 1e21, 1e20, 1e-7, 1 << 53, 1<<64 - 1}))
	someInts = rapid.OneOf(rapid.Int64Range(-200, 200), rapid.Int64Range(-1<<17, 1<<17), rapid.Int64(),
		rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, exactInt, exactInt + 1, -exactInt, -exactInt - 1}))
	someUints = rapid.OneOf(rapid.Uint64Range(0, 300), rapid.Uint64(), rapid.SampledFrom([]uint64{math.MaxUint64, exactInt, exactInt + 1}))
	someTimes = rapid.OneOf(
		rapid.Map(rapid.Int64Range(-1000, 1000), func(i int64) int64 { return 1763559525e9 + i*1e9 }),
		rapid.Map(rapid.Int64Range(-1e6, 1e6), func(i int64) int64 { return 1763559525e9 + i*1e3 }),
		rapid.Map(rapid.Int64Range(-1e3, 1e3), func(i int64) int64 { return 1763559525e9 + i }),
		rapid.Int64())
)

// someField draws the value of a field whose type goes with its name now and then.
func someField(t *rapid.T, label string) any {
	switch rapid.IntRange(0, 4).Draw(t, label+" type") {
	case 0:
		return someFloats.Draw(t, label)
	case 1:
		return someInts.Draw(t, label)
	case 2:
		return someUints.Draw(t, label)
	case 3:
		return rapid.Bool().Draw(t, label)
	}
	return rapid.OneOf(someTexts, rapid.String()).Draw(t, label)
}

// somePoints draws points as any collector may send them.
func somePoints(t *rapid.T) []Point {
	n := rapid.IntRange(0, 60).Draw(t, "points")
	points := make([]Point, n)
	for i := range points {
		points[i] = Point{
			Series: someNames.Draw(t, "series"),
			Time:   time.Unix(0, someTimes.Draw(t, "time")).UTC(),
			Tags:   rapid.MapOfN(someNames, someTexts, 0, 3).Draw(t, "tags"),
			Fields: Fields{},
		}
		for _, name := range rapid.SliceOfNDistinct(someNames, 1, 3, rapid.ID[string]).Draw(t, "fields") {
			points[i].Fields[name] = someField(t, name)
		}
	}
	return points
}

// somePointsOfOneKind draws points that share one group.
func somePointsOfOneKind(t *rapid.T) []Point {
	n := rapid.IntRange(1, 300).Draw(t, "points")
	step := rapid.SampledFrom([]int64{0, 1, 1e3, 1e6, 1e9}).Draw(t, "step")
	spread := rapid.SampledFrom([]int64{1, 100, 30_000, 1 << 30, math.MaxInt64}).Draw(t, "spread")
	texts := rapid.SampledFrom([]int{1, 2, 40, 1000}).Draw(t, "texts")
	seed := rapid.Int64Range(1, math.MaxInt64).Draw(t, "seed")
	points := make([]Point, n)
	for i := range points {
		k := seed % spread // a draw for each would take most of the time
		seed = (seed*6364136223846793005 + 1442695040888963407) & math.MaxInt64
		points[i] = Point{Series: "s", Time: time.Unix(0, 1763559525e9+int64(i)*step).UTC(),
			Tags:   Tags{"tag": fmt.Sprint("t", k%int64(texts)), "all": "same"},
			Fields: Fields{"f": float64(k) / 4, "i": -k, "u": uint64(k), "b": k%2 == 0, "s": fmt.Sprint("s", k%int64(texts))}}
	}
	return points
}
