package host

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

const chain = `
collect: { numbers: { every: 10ms, journal: $J } }
process: { pass: { from: numbers, journal: $J } }
publish: { sink: { from: pass, journal: $J } }
`

// Processes are stopped in the direction of the data, and each kind reads what the one before it has sent.
func TestStopOrder(t *testing.T) {
	b := bustest.New(t)
	text, lines := journaling(t, chain)
	h := newHost(t, b.URL, text)
	stop := run(t, h)
	bustest.Wait(t, soon, "points arrive", func() bool { return len(lines()) >= 3 })
	for _, s := range h.Statuses() {
		if s.State != "running" || s.PID == 0 || s.Config != h.find(s.Name).plan().rev || s.Restarts != 0 {
			t.Errorf("%+v", s)
		}
	}
	stop()
	var ends []string
	for _, line := range lines() {
		if strings.Contains(line, "_end_") {
			ends = append(ends, line)
		}
	}
	if len(ends) != 3 {
		t.Fatalf("ends %q", ends)
	}
	_, n, _ := strings.Cut(ends[0], "_end_")
	if want := []string{"numbers_end_" + n, "pass_end_" + n, "sink_end_" + n}; n == "0" || !slices.Equal(ends, want) {
		t.Errorf("ends %q, want %q", ends, want)
	}
	for _, s := range h.Statuses() {
		if s.State != "stopped" || s.PID != 0 || s.Restarts != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// publish puts n batches of numbers into METRICS.
func publish(t *testing.T, h *Host, n int) {
	t.Helper()
	for i := range n {
		var b telemetry.Batch
		b.Add("numbers", telemetry.Fields{"n": i}, nil)
		m := bus.Message{Subject: bus.MetricsSubject("h1", "numbers"), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
		if err := h.out.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// Who reads what is there is waited for, who does not is not, and the others wait for nobody.
func TestSettle(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	backlog := func(want bool) {
		t.Helper()
		if got := h.behind(t.Context(), h.readBy(config.Publisher)); got != want {
			t.Errorf("backlog %v", got)
		}
	}
	backlog(false)
	publish(t, h, 3)
	backlog(true)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	h.settle(ended, config.Publisher)
	h.settle(t.Context(), config.Publisher) // ends though nobody reads: its bound is all that ends it
	backlog(true)
	for _, kind := range []string{config.Collector, config.Processor} {
		if h.behind(t.Context(), h.readBy(kind)) {
			t.Errorf("%ss have a backlog", kind)
		}
	}

	k, err := b.Conn(t, bus.User("h1", "sink")).Consume(t.Context(), bus.StreamMetrics, "sink", bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Stop()
	var taken []*bus.Delivery
	for range 3 {
		d, err := k.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		taken = append(taken, d)
	}
	backlog(true) // given out is not done
	for _, d := range taken {
		if err := d.Ack(); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.settle(t.Context(), config.Publisher)
	backlog(false)
}

// Of what a bus that is away has nobody knows whether it was read, and nobody waits for it for long.
func TestSettleWithoutBus(t *testing.T) {
	b := bustest.New(t)
	h := connected(t, b, pair)
	publish(t, h, 1)
	b.Stop(t)
	bustest.Wait(t, soon, "the bus is away", func() bool { return !h.conn.Connected() })
	if !h.behind(t.Context(), h.readBy(config.Publisher)) {
		t.Error("all is taken for read, and nobody has said so")
	}
	h.settle(t.Context(), config.Publisher) // its bound is all that ends it
}

// A process that cannot be asked to drain gets a signal, and has ended when Run returns.
func TestStopForeign(t *testing.T) {
	b := bustest.New(t)
	text, lines := journaling(t, `collect: { mine: { run: [sh, -c, 'trap "echo ended >> $J; exit" TERM; echo began >> $J; while :; do sleep 0.01; done'] } }`)
	stop := run(t, newHost(t, b.URL, text))
	bustest.Wait(t, soon, "it runs", func() bool { return len(lines()) == 1 })
	stop()
	if got := fmt.Sprint(lines()); got != "[began ended]" {
		t.Errorf("%s", got)
	}
}

// An agent that is stopped while its plugins are changed leaves none, be they new or taken over.
func TestStopWhileChanging(t *testing.T) {
	f := func(do func(r *rig) error) {
		t.Helper()
		r := rigged(t, chain)
		done := make(chan error, 1)
		go func() { done <- do(r) }()
		bustest.Wait(t, soon, "there is another process", func() bool { return len(offspring(r)) == 4 || len(done) > 0 })
		r.stop()
		r.settled(0)
		select {
		case err := <-done:
			t.Logf("the change says: %v", err) // either way: the agent ends
		case <-time.After(soon):
			t.Error("the change does not end")
		}
		r.settled(0)
	}
	f(func(r *rig) error {
		_, err := r.h.Load(t.Context(), "collect: { more: { use: numbers } }", false)
		return err
	})
	f(func(r *rig) error { _, err := r.h.Upgrade(t.Context(), "pass"); return err })
	f(func(r *rig) error { _, err := r.h.Upgrade(t.Context(), "numbers"); return err })
	f(func(r *rig) error { _, err := r.h.Restart(t.Context(), "numbers"); return err })
}

// An agent that is stopped as soon as its processes begin leaves none.
func TestStopAtOnce(t *testing.T) {
	b := bustest.New(t)
	for range 5 {
		h := newHost(t, b.URL, "collect: { a: { run: [sleep, '60'] }, b: { run: [sleep, '60'] }, c: { run: [sleep, '60'] } }")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		<-h.Ready()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(soon):
			t.Fatal("it does not end")
		}
		for _, s := range h.Statuses() {
			if s.PID != 0 || s.State != "stopped" {
				t.Errorf("%+v", s)
			}
		}
	}
}
