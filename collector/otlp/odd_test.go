package otlp

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Times that telemetry cannot hold are refused, those that it can are kept as they are.
func TestTimes(t *testing.T) {
	r := start(t, nil)
	f := func(time string, rejected int64, want string) {
		t.Helper()
		body := `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"g","gauge":{"dataPoints":[{"asInt":1,"timeUnixNano":` + time + `}]}}]}]}]}`
		got := r.push(jsonForm, body)
		if rejected < 0 {
			if got.status != 400 || !strings.Contains(got.body, "timeUnixNano: want a whole number") {
				t.Errorf("%s: %d %s", time, got.status, got.body)
			}
			return
		}
		n, message := partial(t, jsonForm, got)
		points := r.take()
		if n != rejected || len(points) != 1-int(rejected) || n > 0 && !strings.Contains(message, "has a time after the year 2262") {
			t.Fatalf("%s: %d points, %d rejected: %s", time, len(points), n, message)
		}
		if n == 0 && fmt.Sprint(points[0].Time.UnixNano()) != want {
			t.Errorf("%s: %d, want %s", time, points[0].Time.UnixNano(), want)
		}
	}
	f(`"1763559525000000001"`, 0, "1763559525000000001")
	f(`1763559525000000001`, 0, "1763559525000000001")
	f(`"1"`, 0, "1")
	f(`"9223372036854775807"`, 0, "9223372036854775807") // 2262
	f(`"9223372036854775808"`, 1, "")
	f(`"18446744073709551615"`, 1, "")   // 2554
	f(`"253402300799000000000"`, -1, "") // 9999
	f(`"-62135596800000000000"`, -1, "") // year 1
	f(`"2025-11-19T13:38:45Z"`, -1, "")  // a text
	f(`1.5`, -1, "")                     // a fraction
	f(`{"seconds":1763559525}`, -1, "")  // something else
	f(`[]`, -1, "")
}

// A point without a time has that of its arrival.
func TestNoTime(t *testing.T) {
	p := whole(1)
	p.TimeUnixNano = 0
	for _, f := range forms {
		got, err := read(f, []byte(encode(t, f, request(gaugeOf("g", p)))), arrival)
		if err != nil || len(got) != 1 || !strings.HasSuffix(got[0], fmt.Sprint(" ", arrival.UnixNano())) {
			t.Errorf("%s: %v, %v", f, got, err)
		}
	}
}

// What no point can be made of is rejected alone, for a reason; its neighbours are stored.
func TestRejected(t *testing.T) {
	r := start(t, nil)
	f := func(reason, message string, m *metrics.Metric) {
		t.Helper()
		for _, form := range forms {
			n, said := partial(t, form, r.push(form, encode(t, form, request(gaugeOf("before", whole(1)), m, gaugeOf("after", whole(1))))))
			if n != 1 || !strings.Contains(said, message) {
				t.Errorf("%s: %d rejected: %s; want %s", form, n, said, message)
			}
			if got := fmt.Sprint(r.dropped()); got != "map["+reason+":1]" {
				t.Errorf("dropped %s, want %s", got, reason)
			}
			if points := r.take(); len(points) != 2 {
				t.Errorf("%d points", len(points))
			}
		}
	}
	f("no_value", `a data point of "`+strings.Repeat("x", 40)+`"... has no value`, gaugeOf(strings.Repeat("x", 1000), &metrics.NumberDataPoint{TimeUnixNano: noon}))

	buckets := func(p *metrics.HistogramDataPoint) *metrics.Metric {
		p.TimeUnixNano = noon
		return histogramOf("h", cumulative, p)
	}
	f("buckets", `"h" has buckets that do not fit its bounds`, buckets(&metrics.HistogramDataPoint{ExplicitBounds: []float64{1}, BucketCounts: []uint64{1}}))
	f("buckets", "buckets", buckets(&metrics.HistogramDataPoint{ExplicitBounds: []float64{2, 1}, BucketCounts: []uint64{1, 1, 1}}))
	f("buckets", "buckets", buckets(&metrics.HistogramDataPoint{ExplicitBounds: []float64{1, 1}, BucketCounts: []uint64{1, 1, 1}}))
	f("buckets", "buckets", buckets(&metrics.HistogramDataPoint{ExplicitBounds: []float64{math.NaN()}, BucketCounts: []uint64{1, 1}}))
	f("buckets", "buckets", buckets(&metrics.HistogramDataPoint{ExplicitBounds: []float64{math.Inf(1)}, BucketCounts: []uint64{1, 1}}))
	f("int_range", "counts above 2^63-1", buckets(&metrics.HistogramDataPoint{Count: 1 << 63}))
	f("int_range", "counts above 2^63-1", buckets(&metrics.HistogramDataPoint{ExplicitBounds: []float64{1}, BucketCounts: []uint64{1 << 62, 1 << 62}}))
	f("limit", "4096 buckets", buckets(&metrics.HistogramDataPoint{BucketCounts: make([]uint64, maxBuckets+2)}))

	side := func(n ...uint64) *metrics.ExponentialHistogramDataPoint_Buckets {
		return &metrics.ExponentialHistogramDataPoint_Buckets{BucketCounts: n}
	}
	exp := func(p *metrics.ExponentialHistogramDataPoint) *metrics.Metric {
		p.TimeUnixNano = noon
		return exponentialOf("e", cumulative, p)
	}
	f("int_range", "counts", exp(&metrics.ExponentialHistogramDataPoint{Positive: side(1 << 63)}))
	f("int_range", "counts", exp(&metrics.ExponentialHistogramDataPoint{Positive: side(1 << 62), Negative: side(1 << 62)}))
	f("int_range", "counts", exp(&metrics.ExponentialHistogramDataPoint{ZeroCount: 1 << 63}))
	f("buckets", "buckets", exp(&metrics.ExponentialHistogramDataPoint{Scale: 65}))
	f("buckets", "buckets", exp(&metrics.ExponentialHistogramDataPoint{Scale: math.MinInt32}))
	f("buckets", "buckets", exp(&metrics.ExponentialHistogramDataPoint{ZeroThreshold: math.NaN()}))
	f("buckets", "buckets", exp(&metrics.ExponentialHistogramDataPoint{ZeroThreshold: -1}))
	f("limit", "4096 buckets", exp(&metrics.ExponentialHistogramDataPoint{Negative: side(make([]uint64, maxBuckets+2)...)}))

	f("int_range", "counts", summaryOf("s", &metrics.SummaryDataPoint{Count: 1 << 63}))
	f("limit", "1024 quantiles", summaryOf("s", &metrics.SummaryDataPoint{QuantileValues: slices.Repeat([]*metrics.SummaryDataPoint_ValueAtQuantile{{}}, maxQuantiles+1)}))
}

// Values that are no numbers are left out of a point that has others.
func TestPartOfAPoint(t *testing.T) {
	r := start(t, nil)
	req := request(histogramOf("h", cumulative, &metrics.HistogramDataPoint{TimeUnixNano: noon, Count: 1, Sum: new(math.NaN()), Max: new(math.Inf(1))}),
		summaryOf("s", &metrics.SummaryDataPoint{TimeUnixNano: noon, Count: 1, Sum: 2, QuantileValues: []*metrics.SummaryDataPoint_ValueAtQuantile{{Quantile: 0.5, Value: math.NaN()}}}))
	for _, f := range forms {
		if n, message := partial(t, f, r.push(f, encode(t, f, req))); n != 0 {
			t.Error(message)
		}
		if got := fmt.Sprint(r.dropped()); got != "map[nan:3]" || r.count() != 3 {
			t.Errorf("%s: dropped %s, %d points", f, got, r.count())
		}
		r.take()
	}
}

func TestTags(t *testing.T) {
	f := func(setting plugin.Strings, want string, attributes ...*common.KeyValue) {
		t.Helper()
		r := start(t, func(c *Config) { c.Resource = setting })
		req := request(gaugeOf("g", whole(1, attributes...)))
		for _, form := range forms {
			partial(t, form, r.push(form, encode(t, form, req)))
			if got := fmt.Sprintf("%q", r.take()[0].Tags); got != "map["+want+"]" {
				t.Errorf("%v: %s, want %s", setting, got, want)
			}
		}
	}
	f(plugin.Strings{"all"}, `"host.name":"web-1" "process.command":"/bin/shop" "service.name":"shop"`)
	f(plugin.Strings{"process.command"}, `"a":"b" "process.command":"/bin/shop"`, text("a", "b"))
	f(nil, `"a":"c"`, text("a", "b"), text("a", "c"))
	f(plugin.Strings{"service.name"}, `"a":"x y"`, text("service.name", ""), text("a", "x\ny")) // a point says it has none
	f(nil, `"_":"b"`, text("", "b"))
}

func TestTooManyTags(t *testing.T) {
	r := start(t, nil)
	var many []*common.KeyValue
	for i := range telemetry.MaxTags {
		many = append(many, text(fmt.Sprint("k", i), "v"))
	}
	f := func(n int, rejected int64) {
		t.Helper()
		if got, message := partial(t, protobufForm, r.push(protobufForm, encode(t, protobufForm, request(gaugeOf("g", whole(1, many[:n]...)))))); got != rejected {
			t.Errorf("%d attributes: %d rejected: %s", n, got, message)
		}
	}
	f(telemetry.MaxTags-3, 0) // two are of the resource, and one more has a place
	f(telemetry.MaxTags-2, 1)
	f(telemetry.MaxTags, 1)
}

// The bounds of buckets and quantiles win over attributes of these names.
func TestTakenNames(t *testing.T) {
	want := `"h_bucket" map["host.name":"web-1" "le":"+Inf" "service.name":"shop" "x":"y"] int64 7 1763559525000000000`
	for _, f := range forms {
		got, err := read(f, []byte(encode(t, f, request(histogramOf("h", cumulative, &metrics.HistogramDataPoint{
			TimeUnixNano: noon, Count: 7, BucketCounts: []uint64{7}, Attributes: []*common.KeyValue{text("x", "y"), text("le", "mine")}})))), arrival)
		if err != nil || !slices.Contains(got, want) {
			t.Errorf("%s: %s, %v", f, strings.Join(got, "\n"), err)
		}
	}
}

// Fields in another order, in parts, packed or not, unknown or of a wrong type: what others read of them we read.
func TestWire(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	body := []byte(encode(t, protobufForm, sample()))
	both := 0
	for range 200 {
		shuffled := shuffle(random, body, 8)
		got, err := read(protobufForm, slices.Clone(shuffled), arrival)
		var req collector.ExportMetricsServiceRequest
		if theirs := proto.Unmarshal(shuffled, &req); theirs == nil && err != nil {
			t.Fatalf("%x: %v", shuffled, err)
		} else if theirs == nil {
			both++
			compare(t, got, &req)
		}
	}
	if both < 20 {
		t.Errorf("only %d were messages still", both)
	}
}

// shuffle returns a message with its fields in another order, now and then with one twice, cut in two or unknown, and so the
// messages in it. Texts that look like messages are treated likewise.
func shuffle(random *rand.Rand, msg []byte, depth int) []byte {
	var parts [][]byte
	for rest := msg; len(rest) > 0; {
		_, _, n := protowire.ConsumeField(rest)
		if n < 0 || depth == 0 {
			return msg
		}
		parts = append(parts, odd(random, rest[:n], depth))
		rest = rest[n:]
	}
	random.Shuffle(len(parts), func(i, k int) { parts[i], parts[k] = parts[k], parts[i] })
	return bytes.Join(parts, nil)
}

// odd returns a field, perhaps another one than it was.
func odd(random *rand.Rand, field []byte, depth int) []byte {
	number, kind, n := protowire.ConsumeTag(field)
	if kind == protowire.BytesType {
		inner, _ := protowire.ConsumeBytes(field[n:])
		field = wrap(shuffle(random, inner, depth-1), number)
	}
	switch random.IntN(40) {
	case 0:
		return append(slices.Clone(field), field...)
	case 1:
		return append(wrap(nil, number), field...) // the first part of it is empty, or it is of a wrong type
	case 2:
		return append(protowire.AppendVarint(protowire.AppendTag(nil, number, protowire.VarintType), random.Uint64()), field...)
	case 3:
		return append(protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), random.Uint64()), field...)
	case 4:
		group := protowire.AppendTag(slices.Concat(protowire.AppendTag(nil, number, protowire.StartGroupType), field), number, protowire.EndGroupType)
		return append(group, field...)
	case 5:
		return append(protowire.AppendFixed32(protowire.AppendTag(nil, 1000, protowire.Fixed32Type), 7), field...)
	}
	return field
}
