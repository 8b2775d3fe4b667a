package otlp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// While the bus is away requests are answered with 503, and what clients send again is stored, once, when it is back.
func TestBusAway(t *testing.T) {
	b := bustest.New(t)
	agent := plugintest.NewAgent(t, b.URL, "h")
	agent.Give("otlp", telemetry.Work{Config: json.RawMessage(`{"delta":"add"}`)})
	made := make(chan *listener, 1)
	d := collector.DefineStream(collector.StreamSpec[Config]{
		Program: "otlp", Summary: "Test.", Config: defaults(), Proxy: true,
		New: func(ctx context.Context, cfg Config, env plugin.Env) (collector.Stream, error) {
			s, err := New(ctx, cfg, env)
			if err == nil {
				l := s.(*listener)
				l.stall, l.giveUp = 10*time.Millisecond, 200*time.Millisecond
				made <- l
			}
			return s, err
		},
	})
	agent.Start(t, d, "otlp")
	l := <-made
	r := &rig{t: t, l: l, client: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(r.client.CloseIdleConnections)

	// A counter that tells changes of 1: the total of change n is n.
	const first, away, after = 5, 5, 5
	send := func(n int) int {
		p := whole(1)
		p.StartTimeUnixNano, p.TimeUnixNano = noon+uint64(n-1), noon+uint64(n)
		return r.push(protobufForm, encode(t, protobufForm, request(sumOf("jobs", changes, p)))).status
	}
	until200 := func(n int) {
		plugintest.Until(t, fmt.Sprintf("change %d is taken", n), func() bool { return send(n) == http.StatusOK })
	}
	for n := 1; n <= first; n++ {
		until200(n)
	}
	b.Stop(t)
	for n := first + 1; n <= first+away; n++ {
		got := r.push(jsonForm, encode(t, jsonForm, request(sumOf("lost", cumulative, whole(int64(n))))))
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Fatalf("with no bus: %d %s", got.status, got.body)
		}
		if status := send(n); status != http.StatusServiceUnavailable {
			t.Fatalf("with no bus: %d", status)
		}
	}
	b.Start(t)
	for n := first + 1; n <= first+away+after; n++ {
		until200(n)
	}

	totals := map[int64]int64{} // by time
	for _, p := range stored(t, b, "jobs") {
		totals[p.Time.UnixNano()-noon] = p.Fields["value"].(int64)
	}
	for n := int64(1); n <= first+away+after; n++ {
		if totals[n] != n {
			t.Errorf("total %d at %d: %v", totals[n], n, totals)
		}
	}
}

// stored returns the points of a series that the stream has.
func stored(t *testing.T, b *bustest.Bus, series string) (points []telemetry.Point) {
	t.Helper()
	conn := b.Conn(t, "hub")
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "oracle", Filters: []string{bus.MetricsFilter("otlp")}, Start: "all"}
	if err := conn.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	c, err := conn.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	for pending := uint64(1); pending > 0; {
		d, err := c.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pending = d.Pending
		var got telemetry.Batch
		if err := got.Decode(d.ContentType, "", d.Body, d.Stored); err != nil {
			t.Fatal(err)
		}
		for p := range got.Points() {
			if p.Series == series {
				points = append(points, p)
			}
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	return points
}
