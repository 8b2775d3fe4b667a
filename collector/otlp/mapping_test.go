package otlp

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// arrival is when requests come.
var arrival = time.Unix(1763559530, 0)

// Both forms make the points that the plainest reading makes.
func TestSample(t *testing.T) {
	req := sample()
	want := expected(req, arrival)
	for _, f := range []form{protobufForm, jsonForm} {
		got, err := read(f, []byte(encode(t, f, req)), arrival)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", f, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for _, one := range []string{
		`"queue.size" map["bool":"true" "bytes":"AP8=" "double":"1e+21" "host.name":"web-1" "int":"-5" "list":"[\"a<b\",-7,null,0.5]" "nested":"{\"a\":\"x\",\"b\":\"AQL/\",\"z\":[\"a<b\",-7,null,0.5]}" "service.name":"shop" "text":"a \"b\"  ü"] int64 42 1763559525000000000`,
		`"queue.size" map["host.name":"web-1" "service.name":"other"] float64 0.25 1763559525000000000`,
		`"requests" map["host.name":"web-1" "service.name":"shop"] int64 9007199254740993 1763559525000000000`,
		`"latency_bucket" map["host.name":"web-1" "le":"0.005" "service.name":"shop"] int64 1 1763559525000000000`,
		`"latency_bucket" map["host.name":"web-1" "le":"2.5e+09" "service.name":"shop"] int64 3 1763559525000000000`,
		`"latency_bucket" map["host.name":"web-1" "le":"+Inf" "service.name":"shop"] int64 6 1763559525000000000`,
		`"sizes_bucket" map["host.name":"web-1" "le":"-4" "service.name":"shop"] int64 12 1763559525000000000`,
		`"sizes_bucket" map["host.name":"web-1" "le":"1e-09" "service.name":"shop"] int64 15 1763559525000000000`,
		`"sizes_bucket" map["host.name":"web-1" "le":"2" "service.name":"shop"] int64 21 1763559525000000000`,
		`"old" map["host.name":"web-1" "quantile":"0.99" "service.name":"shop"] float64 2 1763559525000000000`,
	} {
		if !slices.Contains(want, one) {
			t.Errorf("not among them: %s", one)
		}
	}
	if n := len(want); n != 31 {
		t.Errorf("%d points\n%s", n, strings.Join(want, "\n"))
	}
}
