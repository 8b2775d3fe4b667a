package bus_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
)

func publisher(t testing.TB, c *bus.Conn, o bus.PublisherOptions) *bus.Publisher {
	t.Helper()
	if o.Host == "" {
		o.Host, o.Plugin = "h1", "cpu"
	}
	p, err := bus.NewPublisher(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func consumer(t testing.TB, c *bus.Conn, in bus.Input, o bus.ConsumeOptions) *bus.Consumer {
	t.Helper()
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	k, err := c.Consume(t.Context(), in.Stream, in.Durable, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Stop)
	return k
}

// input is all of METRICS from the start.
func input(durable string) bus.Input {
	return bus.Input{Stream: bus.StreamMetrics, Durable: durable, Filters: []string{bus.MetricsFilter("cpu")}, Start: "all"}
}

func metric(body string) bus.Message {
	return bus.Message{Subject: bus.MetricsSubject("h1", "cpu"), Body: []byte(body)}
}

func next(t testing.TB, k *bus.Consumer) *bus.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	d, err := k.Next(ctx)
	if err != nil {
		t.Fatalf("next: %v", err)
	}
	return d
}

func TestPublishConsume(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "h1_cpu")
	p := publisher(t, c, bus.PublisherOptions{})
	const count = 500
	for i := range count {
		m := metric(fmt.Sprint(i))
		m.ContentType = "text/plain"
		if err := p.Send(t.Context(), m, func(err error) {
			if err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); s.Stored != count || s.InFlight != 0 || s.InFlightBytes != 0 {
		t.Errorf("stats %+v", s)
	}
	k := consumer(t, c, input("out"), bus.ConsumeOptions{})
	for i := range count {
		d := next(t, k)
		if string(d.Body) != fmt.Sprint(i) || d.Pending != uint64(count-i-1) || d.ContentType != "text/plain" || d.Deliveries != 1 {
			t.Fatalf("%d: %+v", i, d)
		}
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := c.ConsumerInfo(t.Context(), bus.StreamMetrics, "out")
	if err != nil || info.AckPending != 0 || info.Pending != 0 {
		t.Errorf("consumer %+v, %v", info, err)
	}
}
