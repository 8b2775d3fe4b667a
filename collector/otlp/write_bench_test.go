package otlp

import (
	"fmt"
	"testing"
	"time"

	metrics "go.opentelemetry.io/proto/slim/otlp/metrics/v1"
	"google.golang.org/protobuf/proto"

	"github.com/pacewire/pacewire/telemetry"
)

// thousand returns a request of 1,000 points with 4 tags each.
func thousand() []*metrics.Metric {
	var all []*metrics.Metric
	for m := range 10 {
		var points []*metrics.NumberDataPoint
		for i := range 100 {
			p := decimal(90-float64(i%70)/10, text("http.method", []string{"GET", "PUT"}[i%2]), text("http.route", fmt.Sprintf("/v1/%d", i%40)))
			p.StartTimeUnixNano, p.TimeUnixNano = noon-1e9, noon+uint64(100*m+i)*1000
			points = append(points, p)
		}
		all = append(all, gaugeOf(fmt.Sprintf("http.server.%d", m), points...))
	}
	return all
}

// reader returns what reads requests as a listener does, and stores nothing.
func reader() *intake {
	l := &listener{cfg: defaults()}
	return &intake{chosen: l.chooses, store: func(*telemetry.Batch) error { return nil }}
}

func BenchmarkProtobuf(b *testing.B) { benchmark(b, protobufForm) }

func BenchmarkJSON(b *testing.B) { benchmark(b, jsonForm) }

func benchmark(b *testing.B, f form) {
	body := []byte(encode(b, f, request(thousand()...)))
	in := reader()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		in.begin(time.Unix(0, noon))
		if err := in.read(f, body); err != nil || in.taken != 1000 {
			b.Fatal(in.taken, err)
		}
		if err := in.flush(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/point")
}

// BenchmarkProtobufLibrary is what reading alone costs with generated code.
func BenchmarkProtobufLibrary(b *testing.B) {
	req := request(thousand()...)
	body := []byte(encode(b, protobufForm, req))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		proto.Reset(req)
		if err := proto.Unmarshal(body, req); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/point")
}

// In steady state a request of points that are known takes no memory.
func TestAllocs(t *testing.T) {
	body := []byte(encode(t, protobufForm, request(thousand()...)))
	in := reader()
	allocs := testing.AllocsPerRun(20, func() {
		in.begin(time.Unix(0, noon))
		if err := in.read(protobufForm, body); err != nil {
			t.Fatal(err)
		}
		if err := in.flush(); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 100 { // for 1,000 points
		t.Errorf("%v allocations", allocs)
	}
}
