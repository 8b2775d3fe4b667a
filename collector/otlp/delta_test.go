package otlp

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"

	"github.com/pacewire/pacewire/telemetry"
)

// changed returns a data point of a change that took a second, n seconds after noon.
func changed(n int, v int64) *metrics.NumberDataPoint {
	p := whole(v)
	p.StartTimeUnixNano, p.TimeUnixNano = noon+uint64(n-1)*1e9, noon+uint64(n)*1e9
	return p
}

// values returns the values of a series in the order in which they have come, each with its time in seconds after noon.
func (r *rig) values(series string) string {
	var all []string
	for _, p := range r.take() {
		if p.Series == series {
			all = append(all, fmt.Sprintf("%d:%v", (p.Time.UnixNano()-noon)/1e9, p.Fields["value"]))
		}
	}
	return strings.Join(all, " ")
}

func TestDelta(t *testing.T) {
	f := func(setting, want string, requests ...[]*metrics.NumberDataPoint) {
		t.Helper()
		r := start(t, func(c *Config) { c.Delta = setting })
		for i, points := range requests {
			form := forms[i%2]
			if n, message := partial(t, form, r.push(form, encode(t, form, request(sumOf("jobs", changes, points...))))); n != 0 {
				t.Error(message)
			}
		}
		if got := r.values("jobs"); got != want {
			t.Errorf("%s: %s, want %s", setting, got, want)
		}
	}
	type batch = []*metrics.NumberDataPoint
	f(deltaAdd, "1:5 2:8 3:10", batch{changed(1, 5)}, batch{changed(2, 3), changed(3, 2)})
	f(deltaKeep, "1:5 2:3 3:2", batch{changed(1, 5)}, batch{changed(2, 3), changed(3, 2)})
	f(deltaAdd, "1:5 1:5 2:8 2:8 2:8", batch{changed(1, 5)}, batch{changed(1, 5), changed(2, 3)}, batch{changed(1, 5), changed(2, 3)}) // come again
	f(deltaAdd, "2:5 2:8 3:10", batch{changed(2, 5)}, batch{changed(1, 3)}, batch{changed(3, 2)})                                      // late
	f(deltaAdd, "1:5 2:3", batch{changed(1, 5)}, batch{changed(2, -2)})                                                                // down
	f(deltaAdd, fmt.Sprintf("1:%d 2:7", math.MaxInt64), batch{changed(1, math.MaxInt64)}, batch{changed(2, 7)})                        // begins anew
	f(deltaAdd, "1:5 2:5.5", batch{changed(1, 5)}, batch{{TimeUnixNano: noon + 2e9, Value: &metrics.NumberDataPoint_AsDouble{AsDouble: 0.5}}})
}

// Each series has a total of its own, and totals that are sent pass as they are.
func TestDeltaSeries(t *testing.T) {
	r := start(t, nil)
	a, b := changed(1, 1), changed(1, 10)
	a.Attributes, b.Attributes = append(a.Attributes, text("q", "a")), append(b.Attributes, text("q", "b"))
	for range 2 {
		req := request(sumOf("jobs", changes, a, b), sumOf("total", cumulative, a), gaugeOf("gauge", a))
		partial(t, protobufForm, r.push(protobufForm, encode(t, protobufForm, req)))
		a.StartTimeUnixNano, a.TimeUnixNano = a.TimeUnixNano, a.TimeUnixNano+1e9
		b.StartTimeUnixNano, b.TimeUnixNano = b.TimeUnixNano, b.TimeUnixNano+1e9
	}
	want := []string{"jobs a 1", "jobs b 10", "total a 1", "gauge a 1", "jobs a 2", "jobs b 20", "total a 1", "gauge a 1"}
	var got []string
	for _, p := range r.take() {
		got = append(got, fmt.Sprint(p.Series, " ", p.Tags["q"], " ", p.Fields["value"]))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// What a request has added is taken back when the bus does not take it, or when its rest cannot be read.
func TestDeltaUndone(t *testing.T) {
	r := start(t, nil)
	one := encode(t, protobufForm, request(sumOf("jobs", changes, changed(1, 5))))
	two := encode(t, protobufForm, request(sumOf("jobs", changes, changed(2, 3), changed(3, 2))))
	r.push(protobufForm, one)
	r.refuse(errors.New("no stream"))
	for range 2 {
		if got := r.push(protobufForm, two); got.status != 503 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	r.refuse(nil)
	if got := r.push(protobufForm, two+"\xff"); got.status != 400 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if n := len(r.l.deltas.totals); n != 1 {
		t.Errorf("%d totals", n)
	}
	r.push(protobufForm, two)
	if got := r.values("jobs"); got != "1:5 2:8 3:10" {
		t.Error(got)
	}
}

// Others go on with a total: it is not taken back.
func TestDeltaUndoneLate(t *testing.T) {
	var d deltas
	now := time.Unix(0, noon)
	var a, b journal
	add := func(j *journal, time uint64, v int64) int64 {
		p := point{time: time, amounts: amounts{value: telemetry.Int(v)}}
		if !j.add(&d, []byte("k"), &p, now) {
			t.Fatal("no room")
		}
		return p.value.Int()
	}
	add(&a, 1, 5)
	add(&b, 2, 3)
	a.undo(&d)
	if got := add(&b, 3, 1); got != 9 {
		t.Errorf("total %d, want 9", got)
	}
	b.undo(&d)
	if got := add(&a, 4, 1); got != 6 {
		t.Errorf("total %d, want 6", got)
	}
	a.undo(&d)
	if got := add(&a, 1, 5); got != 5 {
		t.Errorf("known though it was taken back: %d", got)
	}
}

func TestDeltaBounds(t *testing.T) {
	var d deltas
	now := time.Unix(0, noon)
	add := func(key string, now time.Time) (int64, bool) {
		var j journal
		p := point{time: uint64(now.UnixNano()), amounts: amounts{value: telemetry.Int(1)}}
		ok := j.add(&d, []byte(key), &p, now)
		return p.value.Int(), ok
	}
	for i := range maxTotals {
		if _, ok := add(fmt.Sprint(i), now); !ok {
			t.Fatalf("no room for series %d", i)
		}
	}
	if _, ok := add("one more", now.Add(30*time.Minute)); ok {
		t.Error("room for one more")
	}
	if v, ok := add("7", now.Add(31*time.Minute)); v != 2 || !ok {
		t.Errorf("one that is there: %d, %v", v, ok)
	}
	if _, ok := add("one more", now.Add(61*time.Minute)); !ok {
		t.Error("no room when the others are old")
	}
	if n := len(d.totals); n != 2 {
		t.Errorf("%d totals are left", n)
	}
	if v, _ := add("7", now.Add(62*time.Minute)); v != 3 {
		t.Errorf("total %d of one that was kept", v)
	}
	if v, _ := add("8", now.Add(62*time.Minute)); v != 1 {
		t.Errorf("total %d of one that was forgotten", v)
	}
}

// Totals of many buckets are fewer.
func TestDeltaWeight(t *testing.T) {
	var d deltas
	var j journal
	now := time.Unix(0, noon)
	add := func(series int, at uint64) bool {
		p := point{time: at, amounts: amounts{positive: buckets{counts: make([]uint64, 4000)}}}
		return j.add(&d, fmt.Append(nil, series), &p, now)
	}
	n := 0
	for add(n, 1) {
		n++
	}
	if most := maxTotals / 251; n != most {
		t.Errorf("room for %d, want %d", n, most)
	}
	if !add(0, 2) {
		t.Error("no room for one that is there")
	}
	j.undo(&d)
	if d.weight != 0 || len(d.totals) != 0 {
		t.Errorf("weight %d, %d totals when all is taken back", d.weight, len(d.totals))
	}
}

// Only what can tell changes does.
func TestNoDelta(t *testing.T) {
	r := start(t, nil)
	for _, kind := range []string{"gauge", "summary"} {
		for n := range 2 {
			partial(t, jsonForm, r.push(jsonForm, fmt.Sprintf(`{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"jobs",%q:{"aggregationTemporality":1,"dataPoints":[
				{"asInt":1,"count":1,"timeUnixNano":%d,"quantileValues":[{"quantile":0.5,"value":1}]}]}}]}]}]}`, kind, noon+n*1e9)))
		}
		if got := r.values("jobs"); got != "0:1 1:1" {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

// Requests at the same time lose no change.
func TestDeltaTogether(t *testing.T) {
	r := start(t, nil)
	const clients, each = 4, 50
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range each {
				p := whole(1)
				p.TimeUnixNano = noon + uint64(i*clients+c) // no two the same
				if got := r.push(protobufForm, encode(t, protobufForm, request(sumOf("jobs", changes, p)))); got.status != 200 {
					t.Errorf("%d %s", got.status, got.body)
				}
			}
		})
	}
	wg.Wait()
	most := int64(0)
	for _, p := range r.take() {
		most = max(most, p.Fields["value"].(int64))
	}
	if most != clients*each {
		t.Errorf("total %d, want %d", most, clients*each)
	}
}

func TestDeltaHistogram(t *testing.T) {
	r := start(t, nil)
	push := func(n int, bounds []float64, counts []uint64, sum float64) {
		p := &metrics.HistogramDataPoint{StartTimeUnixNano: noon + uint64(n-1)*1e9, TimeUnixNano: noon + uint64(n)*1e9,
			Count: counts[0] + counts[1], Sum: new(sum), Min: new(sum), ExplicitBounds: bounds, BucketCounts: counts}
		partial(t, protobufForm, r.push(protobufForm, encode(t, protobufForm, request(histogramOf("h", changes, p)))))
	}
	push(1, []float64{1}, []uint64{1, 2}, 0.5)
	push(2, []float64{1}, []uint64{3, 4}, 0.25)
	push(3, []float64{2}, []uint64{1, 1}, 8) // other bounds: it begins anew
	var got []string
	for _, p := range r.take() {
		got = append(got, fmt.Sprint(p.Series, p.Tags["le"], "=", p.Fields["value"]))
	}
	want := "h_count=3 h_sum=0.5 h_min=0.5 h_bucket1=1 h_bucket+Inf=3 " +
		"h_count=10 h_sum=0.75 h_min=0.25 h_bucket1=4 h_bucket+Inf=10 " +
		"h_count=2 h_sum=8 h_min=8 h_bucket2=1 h_bucket+Inf=2"
	if g, w := sortedWords(got), sortedWords(strings.Fields(want)); g != w {
		t.Errorf("%s\nwant %s", g, w)
	}
}

func sortedWords(words []string) string {
	slices.Sort(words)
	return strings.Join(words, " ")
}

// Buckets added up at any two scales count every value below the bounds that it is below.
func TestJoinBuckets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	side := func() buckets {
		b := buckets{offset: int32(random.IntN(200) - 100)}
		for range random.IntN(40) {
			b.counts = append(b.counts, random.Uint64N(5))
		}
		return b
	}
	for range 100 {
		a := amounts{scale: int32(random.IntN(8) - 3), positive: side(), negative: side()}
		b := amounts{scale: int32(random.IntN(8) - 3), positive: side(), negative: side()}
		sum := a.clone(amounts{})
		sum.joinBuckets(&b)
		if sum.scale > min(a.scale, b.scale) || sum.bucketTotal() != a.bucketTotal()+b.bucketTotal() {
			t.Fatalf("%+v and %+v: %+v", a, b, sum)
		}
		for i := range sum.positive.counts {
			bound := math.Ldexp(float64(sum.positive.offset)+float64(i)+1, -int(sum.scale)) // as a power of 2
			got, want := countBelow(sum.scale, sum.positive, bound), countBelow(a.scale, a.positive, bound)+countBelow(b.scale, b.positive, bound)
			if got != want {
				t.Fatalf("below 2^%v: %d, want %d", bound, got, want)
			}
		}
	}
}

// countBelow returns how many values are in the buckets up to a bound, a power of 2.
func countBelow(scale int32, b buckets, bound float64) (n uint64) {
	for i, c := range b.counts {
		if math.Ldexp(float64(b.offset)+float64(i)+1, -int(scale)) <= bound {
			n += c
		}
	}
	return n
}

// However far apart they are, buckets do not become too many.
func TestJoinBucketsFarApart(t *testing.T) {
	a := amounts{scale: 20, positive: buckets{math.MaxInt32, []uint64{1}}, negative: buckets{0, []uint64{1}}}
	b := amounts{scale: 20, positive: buckets{math.MinInt32, []uint64{2}}}
	a.joinBuckets(&b)
	if n := len(a.positive.counts); n > maxBuckets || a.bucketTotal() != 4 {
		t.Errorf("%d buckets, %d values", n, a.bucketTotal())
	}
}

func TestDeltaExponential(t *testing.T) {
	r := start(t, nil)
	for n, scale := range []int32{1, 0} {
		p := &metrics.ExponentialHistogramDataPoint{TimeUnixNano: noon + uint64(n)*1e9, Count: 4, Sum: new(2.0), Scale: scale, ZeroCount: 1,
			Positive: &metrics.ExponentialHistogramDataPoint_Buckets{Offset: 0, BucketCounts: []uint64{1, 2}}}
		partial(t, protobufForm, r.push(protobufForm, encode(t, protobufForm, request(exponentialOf("e", changes, p)))))
	}
	var got []string
	for _, p := range r.take() {
		if p.Time.UnixNano() == noon+1e9 {
			got = append(got, fmt.Sprint(p.Series, p.Tags["le"], "=", p.Fields["value"]))
		}
	}
	// At scale 0 the first has 3 up to 2, the second 1 up to 2 and 2 up to 4.
	if g, w := sortedWords(got), "e_bucket+Inf=8 e_bucket0=2 e_bucket1=2 e_bucket2=6 e_bucket4=8 e_count=8 e_sum=4"; g != w {
		t.Errorf("%s\nwant %s", g, w)
	}
}
