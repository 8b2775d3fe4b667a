package plugin_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

func raw(t *testing.T, url string) *nats.Conn {
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func storeRaw(t *testing.T, nc *nats.Conn, m *nats.Msg) {
	t.Helper()
	r, err := nc.RequestMsg(m, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("stored: %s", r.Data)
}

// TestLetterTooLargeIsCut checks that garbage as large as a message may be is set aside, cut, and holds nobody up.
func TestLetterTooLargeIsCut(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Give("tagged", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "tagged", "evil", "good")}})
	a.Start(t, tagging(), "tagged")
	nc := raw(t, b.URL)
	garbage := bytes.Repeat([]byte{0xc1}, 1<<20-50)
	garbage[0] = 0x95
	storeRaw(t, nc, &nats.Msg{Subject: "pw.metrics.web-1.evil", Data: garbage})
	time.Sleep(200 * time.Millisecond)
	var pb telemetry.Batch
	pb.Add("s", telemetry.Fields{"n": 1}, nil)
	storeRaw(t, nc, &nats.Msg{Subject: "pw.metrics.web-1.good", Data: pb.AppendMsgPack(nil)})
	c := b.Conn(t, "test")
	for end := time.Now().Add(12 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		s, _ := c.ConsumerInfo(t.Context(), bus.StreamMetrics, "tagged")
		d, _ := c.StreamInfo(t.Context(), bus.StreamDead)
		h := a.Beat(t, "tagged")
		t.Logf("ackpending %d pending %d dead %d; errors %v, out %d, state %s", s.AckPending, s.Pending, d.Messages, h.Stats.Errors, h.Stats.PointsOut, h.State)
	}
	if h := a.Last("tagged"); h.Stats.PointsOut == 0 {
		t.Error("the good batch never got through")
	}
}

// TestContentEncodingIsRefused checks that what nobody may read encoded is set aside, not misread.
func TestContentEncodingIsRefused(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Give("tagged", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "tagged", "evil")}})
	a.Start(t, tagging(), "tagged")
	nc := raw(t, b.URL)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	w.Write([]byte("cpu v=1 1763559525000000000\n"))
	w.Close()
	storeRaw(t, nc, &nats.Msg{Subject: "pw.metrics.web-1.evil", Data: z.Bytes(), Header: nats.Header{"Content-Type": {"text/x-influx"}, "Content-Encoding": {"gzip"}}})
	c := b.Conn(t, "test")
	plugintest.Until(t, "settled", func() bool {
		h := a.Beat(t, "tagged")
		s, err := c.ConsumerInfo(t.Context(), bus.StreamMetrics, "tagged")
		return err == nil && h.Stats.BatchesIn > 0 && s.AckPending == 0
	})
	d, _ := c.StreamInfo(t.Context(), bus.StreamDead)
	h := a.Beat(t, "tagged")
	t.Logf("dead letters %d, out %d, dropped %v errors %v", d.Messages, h.Stats.PointsOut, h.Stats.Dropped, h.Stats.Errors)
	if d.Messages == 0 && h.Stats.PointsOut == 0 {
		t.Error("acknowledged, and in no stream")
	}
}

// TestEventsAreNoGaps checks that events do not look like lost batches.
func TestEventsAreNoGaps(t *testing.T) {
	b := bustest.New(t)
	c := b.Conn(t, "web-1_cpu")
	hub := b.Conn(t, "hub")
	if err := hub.EnsureConsumer(t.Context(), bus.Input{Stream: bus.StreamMetrics, Durable: "r", Filters: []string{bus.MetricsFilter("cpu")}}); err != nil {
		t.Fatal(err)
	}
	p, err := bus.NewPublisher(c, bus.PublisherOptions{Host: "web-1", Plugin: "cpu"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	send := func(subject string) {
		if err := p.Publish(context.Background(), bus.Message{Subject: subject, Body: []byte("cpu v=1")}); err != nil {
			t.Fatal(err)
		}
	}
	send(bus.MetricsSubject("web-1", "cpu"))
	send(bus.EventSubject("web-1", "cpu", "denied"))
	send(bus.MetricsSubject("web-1", "cpu"))
	k, err := hub.Consume(t.Context(), bus.StreamMetrics, "r", bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d, err := k.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = d.Ack()
	}
	if n := k.Stats().LostUnread; n != 0 {
		t.Errorf("%d batches counted as lost, none was", n)
	}
	k.Stop()
}
