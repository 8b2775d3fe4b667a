package plugin_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

func fill(t *testing.T, b *bustest.Bus, n int) { fillMany(t, b, n, 1) }

func fillMany(t *testing.T, b *bustest.Bus, n, points int) {
	p, err := bus.NewPublisher(b.Conn(t, "web-1_src"), bus.PublisherOptions{Host: "web-1", Plugin: "src"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range n {
		var pb telemetry.Batch
		for j := range points {
			pb.Add("s", telemetry.Fields{"n": i*points + j}, nil)
		}
		if err := p.Send(t.Context(), bus.Message{Subject: bus.MetricsSubject("web-1", "src"), Body: pb.AppendMsgPack(nil)}, func(error) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestDrainUnderBacklog checks that a new config and a drain do not wait for what is still to be read.
func TestDrainUnderBacklog(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	fill(t, b, 20000)
	var calls, news atomic.Int64
	var g gateway
	slow := processor.Define(processor.Spec[struct {
		N int `json:"n" jsonschema:"n"`
	}]{
		Program: "slow", Summary: "Slow.",
		New: func(context.Context, struct {
			N int `json:"n" jsonschema:"n"`
		}, plugin.Env) (processor.Processor, error) {
			news.Add(1)
			return processor.Func(func(_ context.Context, in, out *telemetry.Batch) error {
				calls.Add(1)
				g.pass()
				return nil
			}), nil
		},
	})
	in := a.Input(t, "slow", "src")
	a.Give("slow", telemetry.Work{Inputs: []telemetry.Input{in}})
	p := a.Start(t, slow, "slow")
	plugintest.Until(t, "work", func() bool { return calls.Load() > 100 })
	a.Give("slow", telemetry.Work{Inputs: []telemetry.Input{in}, Config: []byte(`{"n":2}`)})
	plugintest.Until(t, "the new config", func() bool { return news.Load() == 2 })
	drainsAtOnce(t, p, &g, &calls, 1000)
}

// A gateway lets calls pass, one at a time and not at once, while it is not shut.
type gateway struct{ mu sync.Mutex }

func (g *gateway) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	time.Sleep(2 * time.Millisecond)
}

// drainsAtOnce stops p, whose backlog is long, in the midst of a call: at most so many more are made.
func drainsAtOnce(t *testing.T, p *plugintest.Process, g *gateway, calls *atomic.Int64, most int64) {
	t.Helper()
	g.mu.Lock()
	p.Drain()
	before := calls.Load()
	g.mu.Unlock()
	err := p.Wait(t)
	if more := calls.Load() - before; err != nil || more > most {
		t.Errorf("%d calls more, want %d at most: %v", more, most, err)
	}
}

func TestPublisherDrainUnderBacklog(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	fillMany(t, b, 2000, 2000)
	var calls atomic.Int64
	var g gateway
	slow := publisher.Define(publisher.Spec[struct{}]{
		Program: "slow", Summary: "Slow.",
		New: func(context.Context, struct{}, plugin.Env) (publisher.Publisher, error) {
			return pubFunc(func() { calls.Add(1); g.pass() }), nil
		},
	})
	a.Give("slow", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "slow", "src")}})
	p := a.Start(t, slow, "slow")
	plugintest.Until(t, "work", func() bool { return calls.Load() > 2 })
	drainsAtOnce(t, p, &g, &calls, 10)
}

type pubFunc func()

func (f pubFunc) Publish(context.Context, *telemetry.Batch) error { f(); return nil }
