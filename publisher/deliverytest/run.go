package deliverytest

import (
	"fmt"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	host   = "web-1"
	name   = "out"    // of the publisher under test
	source = "source" // of the collector whose points it is given
)

// A run is one part of the test: a bus, an agent and a sink.
type run struct {
	*testing.T
	def   plugin.Definition
	sink  Sink
	bus   *bustest.Bus
	agent *plugintest.Agent
	conn  *bus.Conn
	out   *bus.Publisher
	dead  *bus.Consumer
	work  telemetry.Work

	numbers []int64 // of the points that were sent
}

func newRun(t *testing.T, d plugin.Definition, s Sink) *run {
	t.Helper()
	b := bustest.New(t)
	r := &run{T: t, def: d, sink: s, bus: b, agent: plugintest.NewAgent(t, b.URL, host), conn: b.Conn(t, "test")}
	r.waits(ackWait)
	var err error
	if r.out, err = bus.NewPublisher(r.conn, bus.PublisherOptions{Host: host, Plugin: source}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.out.Close)
	return r
}

// waits has the bus give a message again that was not settled for so long.
func (r *run) waits(ackWait time.Duration) {
	r.Helper()
	in := bus.Input{Stream: bus.StreamMetrics, Durable: name, Filters: []string{bus.MetricsFilter(source)}, Start: "all", AckWait: ackWait}
	if err := r.conn.EnsureConsumer(r.Context(), in); err != nil {
		r.Fatal(err)
	}
	r.work.Inputs = []telemetry.Input{{Stream: in.Stream, Durable: in.Durable, Filters: in.Filters}}
}

// send has the bus store so many messages of new points, and returns their numbers.
func (r *run) send(messages int, series string) []int64 {
	r.Helper()
	first := len(r.numbers)
	for range messages {
		var b telemetry.Batch
		for range perMessage {
			n := int64(len(r.numbers))
			r.numbers = append(r.numbers, n)
			b.Append(made(n, series))
		}
		m := bus.Message{Subject: bus.MetricsSubject(host, source), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
		if err := r.out.Publish(r.Context(), m); err != nil {
			r.Fatal(err)
		}
	}
	return append([]int64{}, r.numbers[first:]...)
}

// made returns point number n as it is sent.
func made(n int64, series string) telemetry.Point {
	return telemetry.Point{
		Series: series, Time: time.Unix(1763559525+n, 0),
		Tags: telemetry.Tags{"k": fmt.Sprint("k", n%3)}, Fields: telemetry.Fields{"n": n, "v": float64(n) + 0.5},
	}
}

// start runs the publisher, tampered with by edit.
func (r *run) start(edit func(*tampered)) *plugintest.Process {
	r.Helper()
	r.give()
	return r.agent.Start(r, tamper(r.def, edit), name)
}

// settled waits until the publisher has settled everything.
func (r *run) settled() {
	r.Helper()
	sent := uint64(len(r.numbers) / perMessage)
	plugintest.Until(r, "all to be settled", func() bool {
		c, err := r.conn.ConsumerInfo(r.Context(), bus.StreamMetrics, name)
		return err == nil && c.AckFloor >= sent && c.AckPending == 0
	})
}

// errors returns how many errors the publisher has counted.
func (r *run) errors() (n uint64) {
	r.Helper()
	for _, k := range r.agent.Beat(r, name).Stats.Errors {
		n += k
	}
	return n
}

func (r *run) deadLetters() uint64 {
	r.Helper()
	state, err := r.conn.StreamInfo(r.Context(), bus.StreamDead)
	if err != nil {
		r.Fatal(err)
	}
	return state.Messages
}

// nextDead returns the next dead letter.
func (r *run) nextDead() *bus.Delivery {
	r.Helper()
	if r.dead == nil {
		in := bus.Input{Stream: bus.StreamDead, Durable: "reader", Filters: []string{bus.DeadSubject(name)}, Start: "all"}
		if err := r.conn.EnsureConsumer(r.Context(), in); err != nil {
			r.Fatal(err)
		}
		var err error
		if r.dead, err = r.conn.Consume(r.Context(), in.Stream, in.Durable, bus.ConsumeOptions{}); err != nil {
			r.Fatal(err)
		}
		r.Cleanup(r.dead.Stop)
	}
	d, err := r.dead.Next(r.Context())
	if err != nil {
		r.Fatal(err)
	}
	return d
}
