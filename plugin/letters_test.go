package plugin_test

import (
	"bytes"
	"context"
	"testing"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// storeRaw stores body, whatever it is, as a batch of a plugin.
func storeRaw(t *testing.T, c *bus.Conn, plugin string, body []byte) {
	t.Helper()
	if _, err := c.Request(t.Context(), bus.MetricsSubject("web-1", plugin), body); err != nil {
		t.Fatal(err)
	}
}

// letters returns how many dead letters there are.
func letters(t *testing.T, c *bus.Conn) uint64 {
	t.Helper()
	s, err := c.StreamInfo(t.Context(), bus.StreamDead)
	if err != nil {
		t.Fatal(err)
	}
	return s.Messages
}

// TestLetterTooLargeIsCut checks that garbage as large as a message may be is set aside, cut, and holds nobody up.
func TestLetterTooLargeIsCut(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	c := b.Conn(t, "test")
	a.Give("tagged", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "tagged", "evil", "good")}})
	a.Start(t, tagging(), "tagged")
	garbage := bytes.Repeat([]byte{0xc1}, 1<<20-50)
	garbage[0] = 0x95
	storeRaw(t, c, "evil", garbage)
	var good telemetry.Batch
	good.Add("s", telemetry.Fields{"n": 1}, nil)
	storeRaw(t, c, "good", good.AppendMsgPack(nil))
	plugintest.Until(t, "the good batch gets through, and the bad one is set aside", func() bool {
		return a.Beat(t, "tagged").Stats.PointsOut == 1 && letters(t, c) == 1
	})
}

// TestContentEncodingIsRefused checks that what nobody may read encoded is set aside, not misread.
func TestContentEncodingIsRefused(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	c := b.Conn(t, "test")
	a.Give("tagged", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "tagged", "evil")}})
	a.Start(t, tagging(), "tagged")
	p, err := bus.NewPublisher(c, bus.PublisherOptions{Host: "web-1", Plugin: "evil"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	m := bus.Message{Subject: bus.MetricsSubject("web-1", "evil"), ContentType: string(telemetry.ContentLines),
		Header: map[string]string{"Content-Encoding": "gzip"}, Body: []byte("cpu v=1 1763559525000000000\n")}
	if err := p.Publish(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	plugintest.Until(t, "it is set aside", func() bool { return letters(t, c) == 1 })
	if n := a.Beat(t, "tagged").Stats.PointsOut; n != 0 {
		t.Errorf("%d points of it went on", n)
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
