package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// counting is a collector that counts upwards.
func counting() plugin.Definition {
	return collector.Define(collector.Spec[struct{}]{
		Program: "counting", Summary: "Counts.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Collector, error) { return new(counter), nil },
	})
}

type counter int

func (c *counter) Collect(_ context.Context, out *telemetry.Batch) error {
	*c++
	out.Add("count", telemetry.Fields{"n": int(*c)}, nil)
	return nil
}

// addOne is a processor that adds a tag.
func tagging() plugin.Definition {
	return processor.Define(processor.Spec[struct{}]{
		Program: "tagging", Summary: "Tags.",
		New: func(context.Context, struct{}, plugin.Env) (processor.Processor, error) {
			return processor.Func(func(_ context.Context, in, out *telemetry.Batch) error {
				for g := range in.Groups() {
					g.SetTag("seen", "yes")
					out.Take(g)
				}
				return nil
			}), nil
		},
	})
}

// A sink keeps what is published to it; fail may refuse a batch.
type sink struct {
	mu   sync.Mutex
	got  []telemetry.Point
	fail func(in *telemetry.Batch) error
}

func (s *sink) Publish(_ context.Context, in *telemetry.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(in); err != nil {
			return err
		}
	}
	for p := range in.Points() {
		s.got = append(s.got, p)
	}
	return nil
}

func (s *sink) points() []telemetry.Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *sink) define() plugin.Definition {
	return publisher.Define(publisher.Spec[struct{}]{
		Program: "sink", Summary: "Keeps.",
		New: func(context.Context, struct{}, plugin.Env) (publisher.Publisher, error) { return s, nil },
	})
}

// TestPipeline runs a plugin of each kind on a real bus: hello, config, work, drain, goodbye.
func TestPipeline(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var s sink
	a.Give("count", telemetry.Work{EveryMS: 20})
	a.Give("tagged", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "tagged", "count")}})
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "tagged")}})
	counts := a.Start(t, counting(), "count")
	tags := a.Start(t, tagging(), "tagged")
	outs := a.Start(t, s.define(), "out")
	plugintest.Until(t, "ten points at the sink", func() bool { return len(s.points()) >= 10 })
	for _, p := range []*plugintest.Process{counts, tags, outs} {
		if err := p.Stop(t); err != nil {
			t.Error(err)
		}
	}
	for i, p := range s.points() {
		if p.Fields["n"] != int64(i+1) || p.Tags["seen"] != "yes" || p.Tags["host"] != "web-1" {
			t.Errorf("point %d is %v", i, p)
		}
	}
	for _, name := range []string{"count", "tagged", "out"} {
		h := a.Bye(t, name)
		if h.Bye != "shutdown" || h.Stats.PointsOut < 10 || h.Stats.LastError != nil {
			t.Errorf("last heartbeat of %s: %+v, stats %+v", name, h, h.Stats)
		}
	}
}

func TestRefused(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Refuse("count", "name_taken")
	err := a.Start(t, counting(), "count").Wait(t)
	if !errors.Is(err, plugin.ErrRefused) {
		t.Errorf("a refused plugin ended with %v", err)
	}
}

// TestPermanentGoesToTheDeadLetters checks that one bad batch does not stop the others.
func TestPermanentGoesToTheDeadLetters(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	s := sink{fail: func(in *telemetry.Batch) error {
		for p := range in.Points() {
			if p.Fields["n"] == int64(3) {
				return plugin.Permanent(errors.New("no threes"))
			}
		}
		return nil
	}}
	a.Give("count", telemetry.Work{EveryMS: 20})
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "count")}})
	a.Start(t, counting(), "count")
	a.Start(t, s.define(), "out")
	plugintest.Until(t, "points after the bad one", func() bool { return len(s.points()) >= 6 })
	conn := b.Conn(t, "test")
	plugintest.Until(t, "the letter", func() bool { return letters(t, conn) == 1 })
	for _, p := range s.points() {
		if p.Fields["n"] == int64(3) {
			t.Error("the refused point was delivered")
		}
	}
}

// TestTooLarge checks that a batch is halved until its parts fit, and that every point arrives once.
func TestTooLarge(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	s := sink{fail: func(in *telemetry.Batch) error {
		if in.Len() > 7 {
			return plugin.ErrTooLarge
		}
		return nil
	}}
	many := collector.Define(collector.Spec[struct{}]{
		Program: "many", Summary: "Many at once.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Collector, error) {
			return collectFunc(func(out *telemetry.Batch) {
				for i := range 100 {
					out.Add("many", telemetry.Fields{"n": i}, telemetry.Tags{"k": fmt.Sprint(i % 3)})
				}
			}), nil
		},
	})
	a.Give("many", telemetry.Work{EveryMS: 3600_000})
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "many")}})
	a.Start(t, many, "many")
	a.Start(t, s.define(), "out")
	plugintest.Until(t, "all points", func() bool { return len(s.points()) >= 100 })
	seen := map[any]int{}
	for _, p := range s.points() {
		seen[p.Fields["n"]]++
	}
	if len(seen) != 100 || len(s.points()) != 100 {
		t.Errorf("%d points, %d different; want 100 of each", len(s.points()), len(seen))
	}
}

type collectFunc func(out *telemetry.Batch)

func (f collectFunc) Collect(_ context.Context, out *telemetry.Batch) error {
	f(out)
	return nil
}

// TestBusRestart checks that nothing acknowledged is lost and nothing is given twice to the sink when the bus goes and comes.
func TestBusRestart(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var s sink
	a.Give("count", telemetry.Work{EveryMS: 10})
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "count")}})
	c := a.Start(t, counting(), "count")
	a.Start(t, s.define(), "out")
	plugintest.Until(t, "points before", func() bool { return len(s.points()) >= 20 })
	b.Restart(t)
	before := len(s.points())
	plugintest.Until(t, "points after", func() bool { return len(s.points()) >= before+50 })
	beat := a.Last("count").Seq
	plugintest.Until(t, "the agent is back too", func() bool { return a.Last("count").Seq > beat })
	if err := c.Stop(t); err != nil {
		t.Error(err)
	}
	sent := int64(a.Bye(t, "count").Stats.PointsOut)
	plugintest.Until(t, "the rest", func() bool { return int64(len(s.points())) >= sent })
	var got []int64 // what was on its way comes again later
	for _, p := range s.points() {
		got = append(got, p.Fields["n"].(int64))
	}
	slices.Sort(got)
	for i, n := range got {
		if n != int64(i+1) {
			t.Fatalf("point %d is number %v", i+1, n)
		}
	}
}

func TestConfigChange(t *testing.T) {
	type config struct {
		Step int             `json:"step" jsonschema:"how far to count"`
		Wait plugin.Duration `json:"wait" jsonschema:"unused"`
	}
	d := collector.Define(collector.Spec[config]{
		Program: "steps", Summary: "Counts by steps.", Config: config{Step: 1},
		New: func(_ context.Context, c config, _ plugin.Env) (collector.Collector, error) {
			if c.Step == 13 {
				return nil, errors.New("an unlucky step")
			}
			return collectFunc(func(out *telemetry.Batch) { out.Add("s", telemetry.Fields{"step": c.Step}, nil) }), nil
		},
	})
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var s sink
	last := func() any {
		if p := s.points(); len(p) > 0 {
			return p[len(p)-1].Fields["step"]
		}
		return nil
	}
	a.Give("steps", telemetry.Work{EveryMS: 10})
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "steps")}})
	a.Start(t, d, "steps")
	a.Start(t, s.define(), "out")
	plugintest.Until(t, "the default", func() bool { return last() == int64(1) })
	a.Give("steps", telemetry.Work{EveryMS: 10, Config: []byte(`{"step": 5, "wait": "3s"}`)})
	plugintest.Until(t, "the new step", func() bool { return last() == int64(5) })
	a.Give("steps", telemetry.Work{EveryMS: 10, Config: []byte(`{"step": 13}`)})
	plugintest.Until(t, "the error", func() bool { return a.Last("steps").Stats.Errors["config_invalid"] > 0 })
	n := len(s.points())
	plugintest.Until(t, "work goes on", func() bool { return len(s.points()) > n+5 })
	if last() != int64(5) || a.Last("steps").ConfigRev != 2 {
		t.Errorf("step %v under revision %d; want the old config to run on", last(), a.Last("steps").ConfigRev)
	}
}

func TestInventory(t *testing.T) {
	serial := 1
	var mu sync.Mutex
	d := collector.DefineInventory(collector.InventorySpec[struct{}]{
		Program: "release", Summary: "Facts.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Inventory, error) {
			return surveyFunc(func(out telemetry.Facts) {
				mu.Lock()
				defer mu.Unlock()
				out["serial"] = serial
			}), nil
		},
	})
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Give("release", telemetry.Work{})
	a.Start(t, d, "release")
	plugintest.Until(t, "facts", func() bool { return len(a.Data()) == 1 })
	if got := fmt.Sprint(a.Data()[0].Data["serial"]); got != "1" {
		t.Errorf("serial %v", got)
	}
	plugintest.Until(t, "a heartbeat that lists them", func() bool { return a.Last("release").Items == 2 })
	first := a.Last("release").Digest
	mu.Lock()
	serial = 2
	mu.Unlock()
	reply, err := a.Ask(t.Context(), "release", "refresh", telemetry.CtlRequest{Want: []string{"*"}})
	if err != nil || !reply.OK {
		t.Fatalf("refresh: %+v, %v", reply, err)
	}
	m, _, err := telemetry.DecodeRefreshManifest(reply.Payload)
	if err != nil || len(m.Items) != 2 {
		t.Errorf("manifest %+v, %v", m, err)
	}
	plugintest.Until(t, "cached facts and the manifest again", func() bool { return len(a.Data()) == 3 })
	plugintest.Until(t, "a digest", func() bool { return a.Last("release").Digest == first })
}

type surveyFunc func(out telemetry.Facts)

func (f surveyFunc) Survey(_ context.Context, out telemetry.Facts) error {
	f(out)
	return nil
}

// summing is a windowed processor: it adds up.
type summing struct{ sum map[string]int64 }

func (s *summing) Process(_ context.Context, in, _ *telemetry.Batch) error {
	for p := range in.Points() {
		s.sum[in.Host()] += p.Fields["n"].(int64)
	}
	return nil
}

func (s *summing) Window() time.Duration { return 50 * time.Millisecond }

func (s *summing) Flush(_ context.Context, out func(string) *telemetry.Batch) error {
	for host, n := range s.sum {
		out(host).Add("sum", telemetry.Fields{"n": n}, nil)
	}
	clear(s.sum)
	return nil
}

func TestWindow(t *testing.T) {
	d := processor.Define(processor.Spec[struct{}]{
		Program: "summing", Summary: "Sums.",
		New: func(context.Context, struct{}, plugin.Env) (processor.Processor, error) {
			return &summing{map[string]int64{}}, nil
		},
	})
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var s sink
	a.Give("count", telemetry.Work{EveryMS: 5})
	a.Give("sum", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "sum", "count")}})
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "sum")}})
	c := a.Start(t, counting(), "count")
	sums := a.Start(t, d, "sum")
	a.Start(t, s.define(), "out")
	plugintest.Until(t, "some windows", func() bool { return len(s.points()) >= 3 })
	_ = c.Stop(t)
	n := int64(a.Bye(t, "count").Stats.PointsOut)
	want := n * (n + 1) / 2
	total := func() (sum int64) {
		for _, p := range s.points() {
			sum += p.Fields["n"].(int64)
		}
		return sum
	}
	plugintest.Until(t, fmt.Sprintf("the sum %d", want), func() bool { return total() == want })
	if err := sums.Stop(t); err != nil {
		t.Error(err)
	}
	info, err := b.Conn(t, "test").ConsumerInfo(t.Context(), bus.StreamMetrics, "sum")
	if err != nil || info.AckPending != 0 || info.Pending != 0 {
		t.Errorf("after the drain: %+v, %v; want nothing pending", info, err)
	}
}

// TestFailingIsTold checks that a sink that takes nothing shows in the heartbeat while it lasts, and no longer.
func TestFailingIsTold(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var away atomic.Bool
	away.Store(true)
	s := sink{fail: func(*telemetry.Batch) error {
		if away.Load() {
			return errors.New("nobody there")
		}
		return nil
	}}
	a.Give("count", telemetry.Work{EveryMS: 20})
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "count")}})
	a.Start(t, counting(), "count")
	a.Start(t, s.define(), "out")
	failing := func() bool { return slices.Contains(a.Last("out").Flags, "failing") }
	plugintest.Until(t, "the sink fails", func() bool {
		return failing() && a.Last("out").Error != nil && a.Last("out").Error.Message == "nobody there"
	})
	away.Store(false)
	plugintest.Until(t, "the sink is well", func() bool { return !failing() && len(s.points()) > 0 })
}

// A config that is changed in place takes back that calls failed under the one before.
func TestFailingEndsWithTheConfig(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	s := sink{fail: func(*telemetry.Batch) error { return plugin.Permanent(errors.New("no such table")) }}
	in := a.Input(t, "out", "count")
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{in}})
	a.Start(t, s.define(), "out")
	a.Give("count", telemetry.Work{EveryMS: 3_600_000}) // one point, which is refused, and no more
	a.Start(t, counting(), "count")
	failing := func() bool { return slices.Contains(a.Last("out").Flags, "failing") }
	plugintest.Until(t, "a dead letter", func() bool { return failing() && a.Last("out").Stats.Dead == 1 })
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{in}, TimeoutMS: 20_000})
	plugintest.Until(t, "the sink is well under the next config", func() bool {
		h := a.Last("out")
		return h.ConfigRev == 2 && h.State == "running" && !failing()
	})
}
