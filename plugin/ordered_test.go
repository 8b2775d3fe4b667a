package plugin_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// A witness is a sink of several processes: it notes for each source what came, and from which process.
type witness struct {
	mu   sync.Mutex
	got  map[string][]int64 // by host
	from map[string]int     // calls by process
	made int                // instances
}

// A hand of a witness is one instance of it, in the process called name.
type hand struct {
	*witness
	name string
}

func (w *witness) define(name string) plugin.Definition {
	return publisher.Define(publisher.Spec[struct{}]{
		Program: "witness", Summary: "Notes.",
		New: func(context.Context, struct{}, plugin.Env) (publisher.Publisher, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.made++
			return hand{w, name}, nil
		},
	})
}

func (h hand) Publish(_ context.Context, in *telemetry.Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.from[h.name]++
	for p := range in.Points() {
		n, _ := p.Fields["n"].(int64)
		h.got[p.Tags["host"]] = append(h.got[p.Tags["host"]], n)
	}
	return nil
}

func (w *witness) calls(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.from[name]
}

func (w *witness) points() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, got := range w.got {
		n += len(got)
	}
	return n
}

// inOrder checks that each source came from 1 on, without a hole, a repeat or a step back.
func (w *witness) inOrder(t *testing.T, sources, each int) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range sources {
		host := fmt.Sprintf("h%d", s)
		got := w.got[host]
		if len(got) != each || !slices.IsSorted(got) {
			t.Errorf("%s: %d points of %d, in order %v", host, len(got), each, slices.IsSorted(got))
		}
	}
}

// Processes of a plugin come and go under load: of each source all points come once and in order, while several lanes work.
func TestOrderAcrossProcesses(t *testing.T) {
	const sources = 16
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	work := telemetry.Work{Inputs: []telemetry.Input{a.Ordered(t, "out", "app")}, Order: telemetry.OrderSource, Parallel: 4}
	w := &witness{got: map[string][]int64{}, from: map[string]int{}}
	start := func(name string) *plugintest.Process {
		t.Helper()
		a.Give(name, work)
		return a.Start(t, w.define(name), name)
	}
	first := start("out")
	plugintest.Until(t, "the first works", func() bool { return a.Last("out").State == "running" })

	conn := b.Conn(t, "app")
	out, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: "web-1", Plugin: "app"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	var enough atomic.Bool
	each, sent := 0, make(chan error, 1)
	go func() {
		var err error
		each, err = feed(t.Context(), out, sources, func(each int) bool { return each >= 100 && enough.Load() })
		sent <- err
	}()

	second := start("out.2")
	plugintest.Until(t, "the second stands by", func() bool { return slices.Contains(a.Last("out.2").Flags, telemetry.FlagStandby) })
	plugintest.Until(t, "the first has work", func() bool { return w.calls("out") > 5 })
	if err := first.Stop(t); err != nil {
		t.Error(err)
	}
	plugintest.Until(t, "the second takes over", func() bool { return w.calls("out.2") > 5 })
	third := start("out.3")
	plugintest.Until(t, "the third stands by", func() bool { return slices.Contains(a.Last("out.3").Flags, telemetry.FlagStandby) })
	if err := second.Stop(t); err != nil {
		t.Error(err)
	}
	plugintest.Until(t, "the third takes over", func() bool { return w.calls("out.3") > 5 })
	enough.Store(true)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	plugintest.Until(t, "all points", func() bool { return w.points() >= sources*each })
	if err := third.Stop(t); err != nil {
		t.Error(err)
	}
	w.inOrder(t, sources, each)
}

// feed sends the points of each source, one in a batch, the sources in turn, until there are enough, and returns how many of each.
func feed(ctx context.Context, out *bus.Publisher, sources int, enough func(each int) bool) (each int, err error) {
	for ; !enough(each); each++ {
		for s := range sources {
			var b telemetry.Batch
			b.Add("app", telemetry.Fields{"n": each + 1}, nil)
			m := bus.Message{Subject: bus.MetricsSubject(fmt.Sprintf("h%d", s), "app"), ContentType: string(telemetry.ContentMsgPack), Body: b.AppendMsgPack(nil)}
			if err := out.Send(ctx, m, func(error) {}); err != nil {
				return 0, err
			}
		}
		select { // a load that any machine carries
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return each, out.Flush(ctx)
}

// A process that loses the bus for longer than its lease lasts takes another lease when it is back.
func TestOrderAfterBusAway(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	w := &witness{got: map[string][]int64{}, from: map[string]int{}}
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Ordered(t, "out", "app")}, Order: telemetry.OrderSource})
	a.Start(t, w.define("out"), "out")
	plugintest.Until(t, "it works", func() bool { return a.Last("out").State == "running" })
	b.Stop(t)
	plugintest.Until(t, "its lease is over", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.made == 2
	})
	b.Start(t)
	out, err := bus.NewPublisher(b.Conn(t, "app"), bus.PublisherOptions{Host: "web-1", Plugin: "app"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	if _, err := feed(t.Context(), out, 1, func(each int) bool { return each == 10 }); err != nil {
		t.Fatal(err)
	}
	plugintest.Until(t, "all points", func() bool { return w.points() == 10 })
	w.inOrder(t, 1, 10)
	plugintest.Until(t, "it works again", func() bool { return a.Beat(t, "out").State == "running" })
}

// Who is to read in order does not wait for ever for another reader that asks and asks, as one without order on another machine does.
func TestOrderBesideAReaderWithout(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	in := a.Ordered(t, "out", "app")
	other, err := b.Conn(t, "hub").Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Stop)
	w := &witness{got: map[string][]int64{}, from: map[string]int{}}
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{in}, Order: telemetry.OrderSource})
	a.Start(t, w.define("out"), "out")
	conn := b.Conn(t, "app")
	plugintest.Until(t, "it asks too", func() bool { // two lanes of each
		is, err := conn.ConsumerInfo(t.Context(), in.Stream, in.Durable)
		return err == nil && is.Waiting > 2
	})
}
