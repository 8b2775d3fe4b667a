package prometheus

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/internal/protobuf"
	"github.com/pacewire/pacewire/telemetry"
)

// delimited is the format of messages, with names as they are.
var delimited = expfmt.NewFormat(expfmt.TypeProtoDelim).WithEscapingScheme(model.NoEscaping)

// newFamily returns an empty MetricFamily of Prometheus' own code.
var newFamily = of(expfmt.MetricFamilyToText)

func of[T any](func(io.Writer, *T) (int, error)) func() *T {
	return func() *T { return new(T) }
}

// encoded returns MetricFamily messages, given in protobuf's text format, as a target sends them.
func encoded(t testing.TB, families ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	e := expfmt.NewEncoder(&b, delimited)
	for _, text := range families {
		f := newFamily()
		if err := prototext.Unmarshal([]byte(text), f); err != nil {
			t.Fatal(err)
		}
		if err := e.Encode(f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// decodeProtobuf is decode for messages.
func decodeProtobuf(o Options, msg []byte) (lines []string, r report.Report) {
	var b telemetry.Batch
	d := Decoder{Options: o}
	r = d.DecodeProtobuf(&b, msg, noon)
	return linesOf(&b), r
}

// The same families give the same points, in messages as in a text.
func TestProtobufAsText(t *testing.T) {
	f := func(text string) {
		t.Helper()
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		var msg bytes.Buffer
		e := expfmt.NewEncoder(&msg, delimited)
		for _, f := range families {
			if err := e.Encode(f); err != nil {
				t.Fatal(err)
			}
		}
		got, r := decodeProtobuf(Options{Family: func(Family) {}}, msg.Bytes())
		want, asText := decode(Options{}, text)
		if len(want) == 0 || !slices.Equal(got, want) || r.Total() != asText.Total() {
			t.Errorf("%s\n%s\n%v, want\n%s\n%v", text, strings.Join(got, "\n"), r.First, strings.Join(want, "\n"), asText.First)
		}
	}
	text, err := os.ReadFile("testdata/page.prom")
	if err != nil {
		t.Fatal(err)
	}
	f(string(text))
	f("# TYPE a counter\na{l=\"v\",m=\"\"} 1 1000\na 2\n# TYPE b gauge\nb -1.5e-7\nb{x=\"y\"} NaN\nc 3 -1\n{\"my.name\",\"a b\"=\"c\"} 1\n")
	f("# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.99\"} 1e21\ns_sum 3\ns_count 4\n")
	f("# TYPE h histogram\nh_bucket{le=\"0.005\"} 1\nh_bucket{le=\"2.5e+06\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 3\nh_count 3\n")
}

// What a message says of a family is what the comments of a text say.
func TestProtobufFamilies(t *testing.T) {
	var got []Family
	msg := encoded(t, `name: "a" help: "What." type: SUMMARY unit: "s" metric { summary { quantile { quantile: 1 value: 2 } } }`, `name: "b" type: GAUGE_HISTOGRAM metric { histogram {} }`)
	decodeProtobuf(Options{Family: func(f Family) { got = append(got, f) }}, msg)
	want := []Family{{"a", "summary", "What.", "s", 3}, {"b", "gaugehistogram", "", "", 3}}
	if !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// nativeOf returns the only metric of a family h, whose histogram is given in protobuf's text format.
func nativeOf(t testing.TB, histogram string) []byte {
	t.Helper()
	return encoded(t, `name: "h" type: HISTOGRAM metric { label { name: "l" value: "v" } histogram { `+histogram+` } }`)
}

// Native buckets have their bounds, and are cumulated.
func TestNative(t *testing.T) {
	f := func(histogram, want string) {
		t.Helper()
		var got []string
		o := Options{Sample: func(s *Sample) bool {
			what := strings.TrimPrefix(s.Name, "h_")
			if s.Labels[0] != (telemetry.Tag{Key: "l", Value: "v"}) {
				t.Errorf("labels %v", s.Labels)
			}
			if len(s.Labels) > 1 {
				what = s.Labels[1].Value
			}
			got = append(got, fmt.Sprintf("%s:%v", what, s.Value))
			return true
		}}
		_, r := decodeProtobuf(o, nativeOf(t, histogram))
		if text := strings.Join(got, " "); text != want || r.Total() > 0 || r.Points != len(got) {
			t.Errorf("%s:\n%s, %v, want\n%s", histogram, text, r.First, want)
		}
	}
	f(`sample_count: 9 sample_sum: 2.5 schema: 0 zero_threshold: 0.001 zero_count: 1 positive_span { offset: 1 length: 2 } positive_delta: [2, 1]
		negative_span { offset: 0 length: 1 } negative_delta: 3`, "-1:0 -0.5:3 0.001:4 1:4 2:6 4:9 +Inf:9 sum:2.5 count:9")
	// Two spans, and a bucket that is lower than the one before.
	f(`sample_count: 6 schema: 1 positive_span { offset: 0 length: 1 } positive_span { offset: 3 length: 2 } positive_delta: [3, -1, -1]`,
		"0:0 0.707106781186548:0 1:3 2.82842712474619:3 4:5 5.65685424949238:6 +Inf:6 sum:0 count:6")
	f(`sample_count: 1 schema: -4 positive_span { offset: 1 length: 1 } positive_delta: 1`, "0:0 1:0 65536:1 +Inf:1 sum:0 count:1")
	f(`sample_count: 1 schema: 8 positive_span { offset: -256 length: 1 } positive_delta: 1`, "0:0 0.498648028042735:0 0.5:1 +Inf:1 sum:0 count:1")
	// One that counts parts.
	f(`sample_count_float: 2.5 zero_count_float: 0.5 positive_span { offset: 1 length: 2 } positive_count: [1.5, 0.25]`,
		"0:0.5 1:0.5 2:2 4:2.25 +Inf:2.5 sum:0 count:2.5")
	// Nothing has been seen yet, which a span of no length says.
	f(`schema: 3 zero_threshold: 1e-128 positive_span { offset: 0 length: 0 }`, "1e-128:0 +Inf:0 sum:0 count:0")
	f(`sample_count: 0 schema: 3 positive_span { offset: 0 length: 0 }`, "0:0 +Inf:0 sum:0 count:0")
	// Values that are NaN are in no bucket. Classic buckets beside native ones are left out.
	f(`sample_count: 3 zero_count: 1 bucket { upper_bound: 7 cumulative_count: 1 }`, "0:1 +Inf:3 sum:0 count:3")
	f(`sample_count: 3 bucket { upper_bound: 7 cumulative_count: 1 }`, "7:1 +Inf:3 sum:0 count:3")
	f(`sample_count_float: 1.5 bucket { upper_bound: 7 cumulative_count_float: 0.5 } bucket { upper_bound: inf cumulative_count_float: 1.5 }`, "7:0.5 +Inf:1.5 sum:0 count:1.5")
	f(``, "+Inf:0 sum:0 count:0")
}

// What a message may have wrong costs the metric it is in.
func TestProtobufAtFault(t *testing.T) {
	f := func(family []byte, reason, says string) {
		t.Helper()
		good := encoded(t, `name: "good" type: GAUGE metric { gauge { value: 1 } }`)
		got, r := decodeProtobuf(Options{}, slices.Concat(good, family, good))
		if len(got) != 2 || r.Bad[reason] != 1 || r.Total() != 1 || !strings.Contains(fmt.Sprint(r.First), says) {
			t.Errorf("%q, %v, %v; want %s: %s", got, r.Bad, r.First, reason, says)
		}
	}
	native := func(histogram string) []byte { return nativeOf(t, histogram) }
	gauge := func(metric string) []byte { return encoded(t, `name: "g" type: GAUGE metric { `+metric+` }`) }
	f(gauge(``), report.Syntax, "g: the metric has no value of its type")
	f(gauge(`counter { value: 1 }`), report.Syntax, "g: the metric has no value of its type")
	f(gauge(`label { value: "v" } gauge { value: 1 }`), report.Syntax, "g: no name of a label")
	f(gauge(strings.Repeat(`label { name: "l" value: "v" } `, 2)+`gauge { value: 1 }`), report.Syntax, "g: a label twice")
	f(gauge(`gauge { value: inf }`), report.NotFinite, "g: the value is +Inf")
	f(gauge(`gauge { value: 1 } timestamp_ms: 253402300799000`), report.TimeRange, "g: the time is not between the years 1678 and 2261")
	f(gauge(`gauge { value: 1 } timestamp_ms: -62135596800000`), report.TimeRange, "g: the time is not")
	f(encoded(t, `type: GAUGE metric { gauge { value: 1 } }`), report.Syntax, "no name of a metric")
	f([]byte("\x00"), report.Syntax, "no name of a metric")
	f([]byte("\x05\x0a\x01a\x18\x06"), report.Syntax, "a: a type of family that is not known")
	f([]byte("\x05\x0a\x01a\x22\x05"), report.Syntax, "unexpected EOF")
	f([]byte("\x06\x0a\x01a\x22\x01\xff"), report.Syntax, "a: unexpected EOF")
	f(native(`schema: 9 zero_count: 1`), report.Syntax, "h: schema 9 of native buckets: want -4 to 8")
	f(native(`schema: -53 zero_count: 1`), report.Syntax, "h: schema -53 of native buckets: want -4 to 8, as this format has no bounds of other ones")
	f(native(`zero_count: 1 zero_threshold: -1`), report.Syntax, "h: a zero bucket without a width")
	f(native(`zero_count: 1 zero_threshold: nan`), report.Syntax, "h: a zero bucket without a width")
	f(native(`positive_span { length: 2 } positive_delta: 1`), report.Syntax, "h: native buckets that do not fit their spans")
	f(native(`positive_span { length: 4294967295 } positive_delta: 1`), report.Syntax, "h: native buckets that do not fit their spans")
	f(native(`positive_span { length: 1 } positive_span { offset: -1 length: 1 } positive_delta: [1, 1]`), report.Syntax, "h: native buckets that do not fit their spans")
	f(native(`zero_count: 1 negative_delta: 1`), report.Syntax, "h: native buckets that do not fit their spans")
	f(native(`positive_span { length: 2 } positive_delta: [1, -2]`), report.Syntax, "h: a native bucket with less than nothing in it")
	f(native(`negative_span { length: 1 } negative_delta: -1`), report.Syntax, "h: a native bucket with less than nothing in it")
	f(native(`sample_count_float: 1 positive_span { length: 1 } positive_count: nan`), report.Syntax, "h: a native bucket with less than nothing in it")
	f(encoded(t, `name: "h" type: HISTOGRAM metric { label { name: "le" value: "1" } histogram { } }`), report.Syntax, "h: a label twice")
	f(encoded(t, `name: "s" type: SUMMARY metric { label { name: "quantile" value: "1" } summary { } }`), report.Syntax, "s: a label twice")
	f(native(`zero_count: 1 `+strings.Repeat("positive_span { } ", mostBuckets+1)), report.Syntax, "h: more than 4096 native buckets")
	f(native(`positive_span { length: 5000 } positive_delta: [1`+strings.Repeat(", 0", 4999)+`]`), report.Syntax, "h: more than 4096 native buckets")
	f(native(`sample_count_float: 1 positive_span { length: 5000 } positive_count: [1`+strings.Repeat(", 0", 4999)+`]`), report.Syntax, "h: more than 4096 native buckets")
	var many strings.Builder
	for i := range mostLabels + 1 {
		fmt.Fprintf(&many, `label { name: "l%d" value: "v" } `, i)
	}
	f(gauge(many.String()+"gauge { value: 1 }"), report.Limit, "g: more than 256 labels")
}

// A page that ends within a message is cut off.
func TestProtobufCutOff(t *testing.T) {
	msg := nativeOf(t, `zero_count: 1`)
	for n := range len(msg) {
		if _, r := decodeProtobuf(Options{}, slices.Concat(msg, msg[:n])); r.Bad[CutOff] != min(n, 1) || r.Points != 4 {
			t.Errorf("%d bytes of %d: %v, %d points", n, len(msg), r.Bad, r.Points)
		}
	}
}

// Samples have the time of the page, or that of their metric.
func TestProtobufTimes(t *testing.T) {
	msg := encoded(t, `name: "a" type: COUNTER metric { counter { value: 1 } timestamp_ms: 1000 } metric { counter { value: 2 } label { name: "l" value: "v" } }`)
	for _, no := range []bool{false, true} {
		got, _ := decodeProtobuf(Options{NoTimes: no}, msg)
		want := []string{"a value=1 1000000000", "a,l=v value=2"}
		if no {
			want[0] = "a value=1"
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// No more points are made than wanted, within a histogram too.
func TestProtobufLimit(t *testing.T) {
	msg := slices.Concat(nativeOf(t, `zero_count: 1`), nativeOf(t, `zero_count: 1`))
	for limit := 1; limit < 8; limit++ {
		if got, r := decodeProtobuf(Options{Limit: limit}, msg); len(got) != limit || r.Bad[TooMany] == 0 {
			t.Errorf("%d points, %v; want %d", len(got), r.Bad, limit)
		}
	}
	if _, r := decodeProtobuf(Options{Limit: 8}, msg); r.Total() > 0 {
		t.Error(r.First)
	}
}

// FuzzProtobuf reads any bytes: of messages that Prometheus' own code takes, each sample is the same as in the text it makes of them.
func FuzzProtobuf(f *testing.F) {
	f.Add(encoded(f, `name: "a" type: SUMMARY help: "h" metric { label { name: "l" value: "v" } summary { sample_count: 2 sample_sum: 1.5 quantile { quantile: 0.5 value: 1 } } timestamp_ms: 5 }`))
	f.Add(encoded(f, `name: "h" type: HISTOGRAM metric { histogram { sample_count: 2 bucket { upper_bound: 1 cumulative_count: 1 } } }`))
	f.Add(nativeOf(f, `sample_count: 9 schema: 3 zero_threshold: 0.1 zero_count: 1 positive_span { offset: 1 length: 2 } positive_delta: [2, 1] negative_span { length: 1 } negative_delta: 3`))
	f.Add(nativeOf(f, `sample_count_float: 9 schema: -1 positive_span { length: 1 } positive_count: 2`))
	f.Fuzz(func(t *testing.T, msg []byte) {
		var b telemetry.Batch
		d := Decoder{Options: Options{Family: func(Family) {}}}
		r := d.DecodeProtobuf(&b, msg, noon)
		if r.Points != b.Len() || b.Drops().Total() > 0 || (r.Total() > 0) != (r.First != nil) {
			t.Fatalf("%d points told, %d there; %v left out, first %v; the batch dropped %v", r.Points, b.Len(), r.Bad, r.First, b.Drops())
		}
		if r.Points > 4*len(msg) { // a bucket is a byte, and may have a bound before it; a histogram has two points and two bounds
			t.Fatalf("%d points of %d bytes", r.Points, len(msg))
		}
		if len(b.AppendMsgPack(nil)) == 0 {
			t.Fatal("not encoded")
		}
		asText(t, msg)
	})
}

// asText fails when a text that Prometheus' own code makes of msg has other samples than msg. Native histograms are in no text.
func asText(t *testing.T, msg []byte) {
	t.Helper()
	var text bytes.Buffer
	for one, err := range protobuf.Delimited(msg) { // that of Prometheus takes any length at its word
		f := newFamily()
		if err != nil || proto.Unmarshal(one, f) != nil {
			return
		}
		for _, m := range f.Metric {
			if h := m.GetHistogram(); h != nil && len(h.PositiveSpan)+len(h.NegativeSpan) > 0 || h.GetZeroThreshold() > 0 || h.GetZeroCount() > 0 || h.GetZeroCountFloat() > 0 {
				return
			}
		}
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			return
		}
	}
	want, asText := decode(Options{}, text.String())
	got, r := decodeProtobuf(Options{}, msg)
	if asText.Bad[report.NotFinite] != asText.Total() || r.Bad[report.NotFinite] != r.Total() {
		return
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s\n%v\nas text\n%s\n%s\n%v", strings.Join(got, "\n"), r.First, text.String(), strings.Join(want, "\n"), asText.First)
	}
}
