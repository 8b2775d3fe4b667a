package e2e

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	ackPending = 256         // messages that a consumer gives out at most before they are settled
	patience   = time.Minute // without a further point at the sink, after which none is awaited; what a dead process had comes again after 5 s
)

// The processor and the publisher are killed in turn, under a steady load and at full speed: nothing is lost or invented, what
// comes twice was under way when the publisher died, and nobody else notices.
func TestKillSteady(t *testing.T) {
	killUnderLoad(t, loadtest.Load{Points: 20_000_000, Rate: 50_000}, span(1500*time.Millisecond, 10*time.Second))
}

func TestKillFullSpeed(t *testing.T) {
	killUnderLoad(t, loadtest.Load{Points: 40_000_000}, span(500*time.Millisecond, time.Second))
}

func killUnderLoad(t *testing.T, load loadtest.Load, apart time.Duration) {
	sink, err := loadtest.NewSink(load.Points, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sink.Close)
	s := up(t, fmt.Sprintf(`
collect: { in: { use: lines, listen: "tcp://127.0.0.1:0", flush: 10ms } }
process: { mid: { use: filter, from: in, drop: tags.keep == "no" } }
publish: { out: { use: influxdb, from: mid, url: %q, database: load } }
`, sink.URL))

	stop := s.load(load)
	s.await(readyWithin, "points arrive", func() bool { return sink.Got() > 0 })
	for _, name := range []string{"mid", "out", "mid", "out"} {
		hold(t, apart)
		s.kill(name)
	}
	hold(t, apart)
	sent := stop()
	if sent == load.Points {
		t.Errorf("INVALID: all %d points were sent before the last kill", sent)
	}
	if _, err := sink.Settle(t.Context(), sent, patience); err != nil {
		t.Fatal(err)
	}
	s.awaitSettled("mid", "out")
	count := sink.Count(sent)
	t.Logf("%d points sent: %v", sent, count)
	if count.Lost+count.Invented+count.Bad > 0 {
		t.Error(count)
	}
	s.wholeBatches(sink, sent, 2)
	s.drain()
}

// load sends points to the collector in until stop is called, which returns how many it was.
func (s *system) load(l loadtest.Load) (stop func() int) {
	s.t.Helper()
	type end struct {
		sent int
		err  error
	}
	ctx, enough := context.WithCancel(s.t.Context())
	listen, ended := s.listening("in"), make(chan end, 1) // 1: the test may have ended
	go func() {
		sent, err := loadtest.Send(ctx, listen, l)
		ended <- end{sent, err}
	}()
	return func() int {
		s.t.Helper()
		enough()
		e := <-ended
		if e.err != nil {
			s.t.Fatal(e.err)
		}
		return e.sent
	}
}

// hold lets the load go on for a while.
func hold(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

// kill kills a plugin's process and waits until the next one works, which takes a second, and one more when it was killed before.
// Nobody else may have a new one.
func (s *system) kill(name string) {
	s.t.Helper()
	before := s.now()
	killed := time.Now()
	if err := syscall.Kill(before[name].PID, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	s.awaitPlugin(name, readyWithin, "works again", func(p plugin) bool { return p.PID != before[name].PID && p.State == "running" })
	s.await(readyWithin, "the log says that "+name+" works", func() bool {
		at, ok := s.logged(killed, name, "plugin works")
		if ok {
			s.t.Logf("%s was back %v after it was killed", name, at.Sub(killed).Round(time.Millisecond))
		}
		return ok
	})
	for other, p := range s.now() {
		if other != name && p.PID != before[other].PID {
			s.t.Errorf("%s was killed, and %s has a new process", name, other)
		}
	}
}

// awaitSettled waits until the readers have settled all that the stream has for them.
func (s *system) awaitSettled(readers ...string) {
	s.t.Helper()
	conn, _ := s.connect()
	s.await(readyWithin, "everything is settled", func() bool {
		for _, name := range readers {
			state, err := conn.ConsumerInfo(s.t.Context(), bus.StreamMetrics, name)
			if err != nil || state.Pending > 0 || state.AckPending > 0 {
				return false
			}
		}
		return true
	})
}

// wholeBatches reads what the processor has put on the bus. Each point must be there once, so no kill has doubled one; and a
// message must have come to the sink as a whole, each time.
func (s *system) wholeBatches(sink *loadtest.Sink, sent, kills int) {
	s.t.Helper()
	stored := make([]bool, sent)
	doubled, torn, messages := 0, 0, 0
	for numbers := range s.stored("mid") {
		messages++
		times := sink.Times(numbers[0])
		for _, i := range numbers {
			if i >= sent || stored[i] {
				s.t.Fatalf("point %d is on the bus a second time, or was never sent", i)
			}
			stored[i] = true
			if sink.Times(i) != times {
				torn++
			}
		}
		if times > 1 {
			doubled++
		}
	}
	s.t.Logf("of %d batches %d came twice", messages, doubled)
	if torn > 0 {
		s.t.Errorf("%d points came less often than the first of their batch, or more often", torn)
	}
	if doubled > kills*ackPending {
		s.t.Errorf("%d batches came twice, at most %d were under way", doubled, kills*ackPending)
	}
	whole := metrics(s).FirstSeq == 1 // else the stream was full, and dropped what all had read
	for i, there := range stored {
		if whole && !there && !loadtest.Dropped(i) {
			s.t.Fatalf("point %d is not on the bus", i)
		}
	}
}

// stored gives the numbers of the points in each message of a plugin on the bus.
func (s *system) stored(plugin string) func(yield func([]int) bool) {
	s.t.Helper()
	conn, _ := s.connect()
	ctx := s.t.Context()
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "oracle", Filters: []string{bus.MetricsFilter(plugin)}, Start: "all"}
	if err := conn.EnsureConsumer(ctx, in); err != nil {
		s.t.Fatal(err)
	}
	c, err := conn.Consume(ctx, in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return func(yield func([]int) bool) {
		defer c.Stop()
		for pending := uint64(1); pending > 0; {
			d, err := c.Next(ctx)
			if err != nil {
				s.t.Fatal(err)
			}
			pending = d.Pending
			if !yield(s.numbers(d)) || d.Ack() != nil {
				return
			}
		}
	}
}

// numbers are those of the points of a message.
func (s *system) numbers(d *bus.Delivery) (list []int) {
	s.t.Helper()
	var b telemetry.Batch
	if err := b.Decode(d.ContentType, "", d.Body, d.Stored); err != nil {
		s.t.Fatalf("%s: %v", d.ID, err)
	}
	if !strings.Contains(d.ID, "+mid") {
		s.t.Errorf("message %q has no id of the processor", d.ID)
	}
	for g := range b.Groups() {
		for _, ns := range g.Times() {
			i, ok := loadtest.Number(ns)
			if !ok {
				s.t.Fatalf("%s: a point of time %d", d.ID, ns)
			}
			list = append(list, i)
		}
	}
	return list
}
