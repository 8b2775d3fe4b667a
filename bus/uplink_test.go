package bus_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
)

// storedBatches puts n messages of a plugin of host into METRICS, with ids of their own.
func storedBatches(t *testing.T, c *bus.Conn, host, plugin string, n int) {
	t.Helper()
	p, err := bus.NewPublisher(c, bus.PublisherOptions{Host: host, Plugin: plugin})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range n {
		m := bus.Message{Subject: bus.MetricsSubject(host, plugin), ID: fmt.Sprintf("%s/%s/%d", host, plugin, i+1), ContentType: "text/plain",
			Body: []byte{byte(i)}, Header: map[string]string{"Pw-More": "than usual"}}
		if err := p.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if s := p.Stats(); n > 0 && s.LastSeq < uint64(n) {
		t.Errorf("last place %d of %d messages", s.LastSeq, n)
	}
}

func TestIDs(t *testing.T) {
	b := bustest.Guarded(t)
	operator := b.Conn(t, "operator")
	storedBatches(t, operator, "h1", "cpu", 1200)
	storedBatches(t, operator, "h2", "cpu", 3)
	storedBatches(t, operator, "h1", "mem", 2)
	all := embedded.Rights(bus.SpoolRights("h1"))
	_, creds := b.Grant(t, bus.User("h1", bus.Agent), &all)
	c := b.Dial(t, bus.Options{User: bus.User("h1", bus.Agent), CredsFile: creds})
	f := func(host string, from uint64, want ...string) {
		t.Helper()
		r := bus.Range{Stream: bus.StreamMetrics, Filter: bus.Pattern(bus.AreaMetrics, bus.Name(host), ">"), From: from, Name: bus.UplinkOf(host)}
		for range 2 { // what the first call leaves does not disturb the second
			var got []string
			if err := c.IDs(t.Context(), r, func(_ uint64, _, id string) { got = append(got, id) }); err != nil || !slices.Equal(got, want) {
				t.Errorf("from %d: %d ids, %v; want %d", from, len(got), err, len(want))
			}
		}
	}
	var cpu []string
	for i := range 1200 {
		cpu = append(cpu, fmt.Sprintf("h1/cpu/%d", i+1))
	}
	mem := []string{"h1/mem/1", "h1/mem/2"}
	f("h1", 0, append(slices.Clone(cpu), mem...)...)
	f("h1", 1199, append(slices.Clone(cpu[1198:]), mem...)...)
	f("h1", 1201, mem...)
	f("h1", 1206)
	f("h1", 1_000_000) // of a stream that was there before this one
	r := bus.Range{Stream: bus.StreamMetrics, Filter: bus.Pattern(bus.AreaMetrics, bus.Name("h1"), ">"), From: 1100, To: 1204, Name: bus.UplinkOf("h1")}
	last := ""
	n := 0
	if err := c.IDs(t.Context(), r, func(seq uint64, subject, id string) { n++; last = fmt.Sprint(seq, subject, id) }); err != nil || n != 102 || last != "1204pw.metrics.h1.memh1/mem/1" {
		t.Errorf("up to a place: %d, the last %s, %v", n, last, err)
	}
	if n := c.Denied(); n > 0 {
		t.Errorf("%d refusals", n)
	}

	no := func(want error, stream, filter, name string) {
		t.Helper()
		err := c.IDs(t.Context(), bus.Range{Stream: stream, Filter: filter, Name: name}, func(uint64, string, string) { t.Error("an id") })
		if !errors.Is(err, want) {
			t.Errorf("%s of %s: %v; want %v", filter, stream, err, want)
		}
	}
	no(bus.ErrDenied, bus.StreamMetrics, "pw.metrics.h2.>", bus.UplinkOf("h1"))
	no(bus.ErrDenied, bus.StreamMetrics, "pw.metrics.h1.>", bus.UplinkOf("h2"))
	no(bus.ErrDenied, bus.StreamDead, "pw.dead.*", bus.UplinkOf("h1"))
	bare := bustest.Bare(t, embedded.Options{})
	c = bare.Conn(t, "operator")
	no(bus.ErrNoStream, bus.StreamMetrics, "pw.metrics.h1.>", bus.UplinkOf("h1"))
}

// Who asks since a moment is told what was stored from then on, and with the places it can go on where it was.
func TestIDsSince(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "operator")
	storedBatches(t, c, "h1", "old", 3)
	time.Sleep(time.Millisecond) // two moments that differ
	since := time.Now()
	storedBatches(t, c, "h1", "cpu", 600)
	r := bus.Range{Stream: bus.StreamMetrics, Filter: bus.Pattern(bus.AreaMetrics, bus.Name("h1"), ">"), Since: since, Name: bus.UplinkOf("h1")}
	var places []uint64
	if err := c.IDs(t.Context(), r, func(seq uint64, subject, id string) {
		if want := fmt.Sprintf("h1/cpu/%d", seq-3); id != want || subject != bus.MetricsSubject("h1", "cpu") {
			t.Errorf("%s at %d of %s, want %s", id, seq, subject, want)
		}
		places = append(places, seq)
	}); err != nil || len(places) != 600 || places[0] != 4 || places[599] != 603 {
		t.Errorf("%d ids, %v", len(places), err)
	}
}

// What the limits of the stream take while somebody asks is not waited for.
func TestIDsOfLess(t *testing.T) {
	t.Parallel()
	b := bustest.New(t)
	c := b.Conn(t, "operator")
	storedBatches(t, c, "h1", "cpu", 1200)
	r := bus.Range{Stream: bus.StreamMetrics, Filter: bus.Pattern(bus.AreaMetrics, bus.Name("h1"), ">"), Name: bus.UplinkOf("h1")}
	n := 0
	if err := c.IDs(t.Context(), r, func(uint64, string, string) {
		if n++; n == 1 {
			b.Limit(t, bus.StreamMetrics, bustest.Limits{MaxBytes: 1})
		}
	}); err != nil || n == 0 || n == 1200 {
		t.Errorf("%d ids, %v", n, err)
	}
}

// What a reader had in hand that is gone comes first after a reset, in its order and at once.
func TestResetConsumer(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "operator")
	in := bus.Input{Stream: bus.StreamMetrics, Durable: bus.Uplink, Start: "all"}
	if err := c.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	storedBatches(t, c, "h1", "cpu", 20)
	first := b.Conn(t, "first")
	k, err := first.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{Messages: 10})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		d, err := k.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if i < 3 {
			if err := d.Ack(); err != nil {
				t.Fatal(err)
			}
		}
	}
	bustest.Wait(t, limit, "three are settled", func() bool {
		s, err := c.ConsumerInfo(t.Context(), in.Stream, in.Durable)
		return err == nil && s.AckFloor == 3
	})
	first.Close()
	if err := c.ResetConsumer(t.Context(), in.Stream, in.Durable); err != nil {
		t.Fatal(err)
	}
	if k, err = c.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{}); err != nil {
		t.Fatal(err)
	}
	defer k.Stop()
	for want := uint64(4); want <= 20; want++ {
		d, err := k.Next(t.Context())
		if err != nil || d.StreamSeq != want {
			t.Fatalf("%+v, %v; want message %d", d, err, want)
		}
		if m := d.Relay(); m.Subject != d.Subject || m.ID != d.ID || m.ContentType != "text/plain" || string(m.Body) != string(d.Body) ||
			len(m.Header) != 1 || m.Header["Pw-More"] != "than usual" {
			t.Errorf("relayed: %+v", m)
		}
		if err := d.Ack(); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := c.ResetConsumer(ctx, in.Stream, "nobody"); !errors.Is(err, bus.ErrTimeout) {
		t.Errorf("of nobody: %v", err)
	}
}

func TestRedact(t *testing.T) {
	f := func(urls, want string) {
		t.Helper()
		if got := bus.Redact(urls); got != want {
			t.Errorf("Redact(%q) = %q, want %q", urls, got, want)
		}
	}
	f("nats://bus.example:4222", "nats://bus.example:4222")
	f("tls://me:secret@one.example,tls://token@two.example", "tls://one.example,tls://two.example")
	f("", "")
}
