package otlp

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/metrics/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// largest is the largest body that fuzz tests compare: none of our bounds but that of depth is within its reach.
const largest = 2000

// addSamples adds a request for each metric of the sample.
func addSamples(f *testing.F, form form) {
	for _, m := range sample().ResourceMetrics[0].ScopeMetrics[0].Metrics {
		f.Add([]byte(encode(f, form, request(m))))
	}
}

// FuzzProtobuf compares our reading with that of generated code. What that reads we read, and mean the same by it.
func FuzzProtobuf(f *testing.F) {
	addSamples(f, protobufForm)
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := read(protobufForm, slices.Clone(body), arrival)
		var req collector.ExportMetricsServiceRequest
		if proto.Unmarshal(body, &req) != nil || errors.Is(err, errDepth) || len(body) > largest {
			return // also for what we leave out, or mend
		}
		if err != nil {
			t.Fatalf("others read it: %v", err)
		}
		compare(t, got, &req)
	})
}

// FuzzJSON is FuzzProtobuf for JSON.
func FuzzJSON(f *testing.F) {
	addSamples(f, jsonForm)
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := read(jsonForm, slices.Clone(body), arrival)
		var req collector.ExportMetricsServiceRequest
		o := protojson.UnmarshalOptions{DiscardUnknown: true}
		if o.Unmarshal(body, &req) != nil || errors.Is(err, errDepth) || len(body) > largest {
			return
		}
		if bytes.ContainsAny(body, `_\`) { // they take names with _ too
			return
		}
		if err != nil {
			if !strings.Contains(err.Error(), "want a whole number") { // they take names of enums, and 1e2
				t.Fatalf("others read it: %v", err)
			}
			return
		}
		compare(t, got, &req)
	})
}

// compare compares points with those that req makes.
func compare(t *testing.T, got []string, req *collector.ExportMetricsServiceRequest) {
	t.Helper()
	if want := expected(req, arrival); !slices.Equal(got, want) {
		t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// FuzzDelta adds up whatever comes; two times the same adds nothing.
func FuzzDelta(f *testing.F) {
	f.Add([]byte(encode(f, protobufForm, request(sumOf("jobs", changes, changed(1, 5), changed(2, 3))))))
	addSamples(f, protobufForm)
	f.Fuzz(func(t *testing.T, body []byte) {
		e := &emitter{drops: map[string]int{}}
		in := intake{chosen: func(string) bool { return true }, store: e.Emit, deltas: &deltas{}}
		for range 2 {
			in.begin(arrival)
			if in.read(protobufForm, body) != nil || in.flush() != nil {
				in.undo()
			}
		}
		in.undo()
	})
}
