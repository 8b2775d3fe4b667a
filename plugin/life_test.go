package plugin_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// TestPanics checks that a panic in any call is an error like others, and work goes on after it.
func TestPanics(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	first := func() func() {
		var once sync.Once
		return func() { once.Do(func() { panic("the first time") }) }
	}
	collect, process, publish, make := first(), first(), first(), first()
	a.Give("c", telemetry.Work{EveryMS: 20})
	a.Give("p", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "p", "c")}})
	a.Give("o", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "o", "p")}})
	a.Start(t, collector.Define(collector.Spec[struct{}]{Program: "c", Summary: "C.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Collector, error) {
			make()
			var c counter
			return collectFunc(func(out *telemetry.Batch) {
				collect()
				_ = c.Collect(t.Context(), out)
			}), nil
		}}), "c")
	a.Start(t, processor.Define(processor.Spec[struct{}]{Program: "p", Summary: "P.",
		New: func(context.Context, struct{}, plugin.Env) (processor.Processor, error) {
			return processor.Func(func(_ context.Context, in, out *telemetry.Batch) error {
				process()
				for g := range in.Groups() {
					out.Take(g)
				}
				return nil
			}), nil
		}}), "p")
	s := sink{fail: func(*telemetry.Batch) error { publish(); return nil }}
	a.Start(t, s.define(), "o")
	plugintest.Until(t, "points after all panics", func() bool { return len(s.points()) >= 10 })
	for i, p := range s.points() {
		if p.Fields["n"] != int64(i+1) {
			t.Fatalf("point %d is %v", i+1, p)
		}
	}
	for _, name := range []string{"c", "p", "o"} {
		plugintest.Until(t, "a panic counted by "+name, func() bool { return a.Beat(t, name).Stats.Errors["panic"] == 1 })
	}
}

// TestHang checks that a call that does not come back is told in the heartbeat, and that a drain ends all the same.
func TestHang(t *testing.T) {
	t.Parallel() // it waits for the time after which a drain is given up
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	a.Give("h", telemetry.Work{EveryMS: 1000, TimeoutMS: 10})
	p := a.Start(t, collector.Define(collector.Spec[struct{}]{Program: "h", Summary: "H.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Collector, error) {
			return collectFunc(func(*telemetry.Batch) { <-release }), nil
		}}), "h")
	plugintest.Until(t, "the flag", func() bool { return strings.Contains(fmt.Sprint(a.Last("h").Flags), "hung") })
	if err := p.Stop(t); err == nil || !strings.Contains(err.Error(), "does not come back") {
		t.Errorf("ended with %v", err)
	}
}

// TestIdle checks that a plugin with nothing to do waits, and looks again when a refresh asks.
func TestIdle(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var fitted atomic.Bool
	a.Give("i", telemetry.Work{EveryMS: 20})
	p := a.Start(t, collector.Define(collector.Spec[struct{}]{Program: "i", Summary: "I.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Collector, error) {
			if !fitted.Load() {
				return nil, plugin.ErrNoData
			}
			return new(counter), nil
		}}), "i")
	plugintest.Until(t, "idle", func() bool { return a.Last("i").State == "idle" })
	a.Give("i", telemetry.Work{EveryMS: 30}) // another config with which there is nothing to do
	plugintest.Until(t, "idle with the new config", func() bool { h := a.Beat(t, "i"); return h.ConfigRev == 2 && h.State == "idle" })
	fitted.Store(true)
	if _, err := a.Ask(t.Context(), "i", "refresh", telemetry.CtlRequest{Mode: telemetry.ModeCollect}); err != nil {
		t.Error(err)
	}
	plugintest.Until(t, "work", func() bool { return a.Beat(t, "i").Stats.PointsOut > 0 })
	if h := a.Last("i"); h.Error != nil || h.Stats.Errors != nil {
		t.Errorf("having nothing to do is no error: %+v", h.Error)
	}
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
}

// TestPermanentStops checks that a plugin that can never work says so and waits for another config.
func TestPermanentStops(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	type config struct {
		Good bool `json:"good" jsonschema:"whether it works"`
	}
	var made atomic.Int32
	a.Give("p", telemetry.Work{EveryMS: 20})
	a.Start(t, collector.Define(collector.Spec[config]{Program: "p", Summary: "P.",
		New: func(_ context.Context, c config, _ plugin.Env) (collector.Collector, error) {
			if made.Add(1); !c.Good {
				return nil, plugin.Permanent(errors.New("no such device"))
			}
			return new(counter), nil
		}}), "p")
	plugintest.Until(t, "failed", func() bool { return a.Last("p").State == "failed" })
	if h := a.Last("p"); made.Load() != 1 || h.Error == nil || !strings.Contains(h.Error.Message, "no such device") {
		t.Errorf("made %d times, %+v", made.Load(), h.Error)
	}
	a.Give("p", telemetry.Work{EveryMS: 20, Config: []byte(`{"good": true}`)})
	plugintest.Until(t, "work", func() bool { return a.Beat(t, "p").Stats.PointsOut > 0 })
}

// TestAgentRestarts checks that a new agent gets the manifest again, and that the plugin works on meanwhile.
func TestAgentRestarts(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Give("count", telemetry.Work{EveryMS: 20})
	a.Start(t, counting(), "count")
	plugintest.Until(t, "work", func() bool { return a.Last("count").State == "running" && !a.Last("count").Hello })
	before := a.Last("count")
	if _, err := a.Ask(t.Context(), "count", "beat", telemetry.CtlRequest{}); err != nil {
		t.Fatal(err)
	}
	plugintest.Until(t, "a hello", func() bool { return a.Hello("count").Seq > before.Seq })
	h := a.Hello("count")
	if h.Manifest == nil || h.Manifest.Program != "counting" || h.Inst != before.Inst || h.ConfigRev != before.ConfigRev {
		t.Errorf("hello %+v", h)
	}
	n := h.Stats.PointsOut
	plugintest.Until(t, "more work", func() bool { return a.Beat(t, "count").Stats.PointsOut > n })
}

// TestBusAwayAtStart checks that a plugin waits for its bus.
func TestBusAwayAtStart(t *testing.T) {
	b := bustest.New(t)
	url := b.URL
	b.Stop(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- plugin.Serve(ctx, counting(), plugin.Options{Bus: url, Host: "web-1", Plugin: "count", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)})
	}()
	b.Start(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Give("count", telemetry.Work{EveryMS: 20})
	plugintest.Until(t, "work", func() bool { return a.Beat(t, "count").Stats.PointsOut > 0 })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestDrainVerb checks that the agent can end a plugin, which finishes what it has.
func TestDrainVerb(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Give("count", telemetry.Work{EveryMS: 20})
	p := a.Start(t, counting(), "count")
	plugintest.Until(t, "work", func() bool { return a.Beat(t, "count").Stats.PointsOut > 0 })
	if reply, err := a.Ask(t.Context(), "count", "drain", telemetry.CtlRequest{}); err != nil || !reply.OK {
		t.Errorf("%+v, %v", reply, err)
	}
	if err := p.Wait(t); err != nil || a.Bye(t, "count").Bye != "shutdown" {
		t.Errorf("%v, %+v", err, a.Last("count"))
	}
}

// TestLogsOnTheBus checks that what an operator would note comes over the bus, and not more than it can take.
func TestLogsOnTheBus(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var mu sync.Mutex
	var got []telemetry.LogRecord
	decode := func(body []byte) (telemetry.LogRecord, error) {
		r, _, err := telemetry.DecodeLogRecord(body)
		return r, err
	}
	reader := b.Conn(t, "reader")
	if _, err := bus.Handle(reader, bus.LogSubject("web-1", "talker"), bus.Rules{}, decode,
		func(_ context.Context, _ bus.Subject, r telemetry.LogRecord) ([]byte, error) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, r)
			return nil, nil
		}); err != nil {
		t.Fatal(err)
	}
	if err := reader.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	a.Give("talker", telemetry.Work{EveryMS: 3600_000})
	a.Start(t, collector.Define(collector.Spec[struct{}]{Program: "talker", Summary: "Talks.",
		New: func(_ context.Context, _ struct{}, env plugin.Env) (collector.Collector, error) {
			return collectFunc(func(*telemetry.Batch) {
				env.Log.Debug("not on the bus")
				env.Log.With("device", "sda").Warn("disk is slow", "seconds", 3)
				for i := range 1000 {
					env.Log.Info("too much", "i", i)
				}
				env.Log.Error("the last")
			}), nil
		}}), "talker")
	plugintest.Until(t, "records", func() bool { mu.Lock(); defer mu.Unlock(); return len(got) >= 40 })
	mu.Lock()
	defer mu.Unlock()
	if most := 55 * (2 + int(time.Since(begun).Seconds())); len(got) > most { // in each second that was begun
		t.Errorf("%d records, want %d at most", len(got), most)
	}
	for _, r := range got {
		if r.Message == "not on the bus" {
			t.Error("a debug record came")
		}
		if r.Message == "disk is slow" && (r.Level != "warn" || r.Attrs["device"] != "sda" || fmt.Sprint(r.Attrs["seconds"]) != "3") {
			t.Errorf("record %+v", r)
		}
	}
}

const deadlyVariable = "PACEWIRE_TEST_DEADLY"

// deadly is a publisher whose process dies of the point number 5, and that notes in a file what it has got.
func deadly(file string) plugin.Definition {
	return publisher.Define(publisher.Spec[struct{}]{Program: "deadly", Summary: "Dies.",
		New: func(context.Context, struct{}, plugin.Env) (publisher.Publisher, error) {
			return deadlyPublisher(file), nil
		}})
}

type deadlyPublisher string

func (file deadlyPublisher) Publish(_ context.Context, in *telemetry.Batch) error {
	f, err := os.OpenFile(string(file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for p := range in.Points() {
		if p.Fields["n"] == int64(5) {
			os.Exit(3)
		}
	}
	for p := range in.Points() {
		fmt.Fprintln(f, p.Fields["n"])
	}
	return nil
}

// TestDeadlyBatch checks that a batch of which the process dies again and again is set aside, and that the others, which
// were in hand with it, are delivered. Each life of the publisher is a process of its own.
func TestDeadlyBatch(t *testing.T) {
	if file := os.Getenv(deadlyVariable); file != "" {
		os.Exit(plugin.Run(t.Context(), deadly(file), nil, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
	}
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	conn := b.Conn(t, "test")
	in := bus.Input{Stream: bus.StreamMetrics, Durable: "deadly", Filters: []string{bus.MetricsFilter("src")}, Start: "all", AckWait: 300 * time.Millisecond}
	if err := conn.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	out, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: "web-1", Plugin: "src"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(out.Close)
	for n := range 10 {
		var batch telemetry.Batch
		batch.Add("s", telemetry.Fields{"n": n}, nil)
		if err := out.Publish(t.Context(), bus.Message{Subject: bus.MetricsSubject("web-1", "src"), Body: batch.AppendMsgPack(nil)}); err != nil {
			t.Fatal(err)
		}
	}
	a.Give("deadly", telemetry.Work{Inputs: []telemetry.Input{{Stream: in.Stream, Durable: in.Durable, Filters: in.Filters}}})
	dir := t.TempDir()
	file := filepath.Join(dir, "got")
	settled := func() bool {
		c, err := conn.ConsumerInfo(t.Context(), in.Stream, in.Durable)
		return err == nil && c.AckFloor >= 10
	}
	deaths := 0
	for ; deaths < 10 && !settled(); deaths++ {
		c := exec.Command(os.Args[0], "-test.run=^TestDeadlyBatch$")
		c.Env = append(os.Environ(), deadlyVariable+"="+file, "PACEWIRE_BUS="+b.URL, "PACEWIRE_HOST=web-1", "PACEWIRE_PLUGIN=deadly", "PACEWIRE_DIR="+dir)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { _ = c.Wait(); close(ended) }()
		plugintest.Until(t, "a death, or the end", func() bool {
			select {
			case <-ended:
				return true
			default:
				return settled()
			}
		})
		_ = c.Process.Kill()
		<-ended
	}
	if deaths != 6 { // five of the batch, and one process that sets it aside and is killed here
		t.Errorf("%d processes", deaths)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		if got := strings.Count("\n"+string(text), fmt.Sprintf("\n%d\n", n)); n != 5 && got == 0 || n == 5 && got > 0 {
			t.Errorf("point %d was delivered %d times", n, got)
		}
	}
	if state, err := conn.StreamInfo(t.Context(), bus.StreamDead); err != nil || state.Messages != 1 {
		t.Errorf("%d dead letters, %v", state.Messages, err)
	}
}

// TestRepeatIsStoredOnce gives a processor everything again, as a kill between the store of an output and the ack of its
// input does: the stream keeps each output once.
func TestRepeatIsStoredOnce(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	conn := b.Conn(t, "test")
	a.Give("count", telemetry.Work{EveryMS: 5})
	c := a.Start(t, counting(), "count")
	work := telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "tagged", "count")}}
	a.Give("tagged", work)
	p := a.Start(t, tagging(), "tagged")
	plugintest.Until(t, "some outputs", func() bool { return a.Beat(t, "tagged").Stats.BatchesOut > 20 })
	_ = c.Stop(t)
	in := a.Bye(t, "count").Stats.BatchesOut
	stored := func() uint64 {
		state, err := conn.StreamInfo(t.Context(), bus.StreamMetrics)
		if err != nil {
			t.Fatal(err)
		}
		return state.Messages
	}
	plugintest.Until(t, "all outputs", func() bool { return stored() == 2*in })
	if err := p.Stop(t); err != nil {
		t.Error(err)
	}
	if err := conn.DeleteConsumer(t.Context(), bus.StreamMetrics, "tagged"); err != nil {
		t.Fatal(err)
	}
	a.Input(t, "tagged", "count")
	a.Start(t, tagging(), "tagged")
	plugintest.Until(t, "all inputs again", func() bool {
		s, err := conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "tagged")
		return err == nil && s.AckFloor >= in && s.Pending == 0 && s.AckPending == 0
	})
	if got := stored(); got != 2*in {
		t.Errorf("%d messages in the stream, want %d inputs and as many outputs", got, in)
	}
}

// TestDeniedRaisesAnEvent checks that somebody is told when a sink wants another password.
func TestDeniedRaisesAnEvent(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	s := sink{fail: func(*telemetry.Batch) error { return plugin.Denied(errors.New("wrong password")) }}
	a.Give("count", telemetry.Work{EveryMS: 20})
	a.Give("out", telemetry.Work{Inputs: []telemetry.Input{a.Input(t, "out", "count")}})
	a.Start(t, counting(), "count")
	a.Start(t, s.define(), "out")
	plugintest.Until(t, "the error", func() bool { return a.Beat(t, "out").Stats.Errors["denied"] > 0 })
	conn := b.Conn(t, "test")
	in := bus.Input{Stream: bus.StreamEvents, Durable: "reader", Filters: []string{bus.EventFilter("denied")}, Start: "all"}
	if err := conn.EnsureConsumer(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	events, err := conn.Consume(t.Context(), in.Stream, in.Durable, bus.ConsumeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(events.Stop)
	d, err := events.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var e telemetry.Batch
	if err := e.Decode(d.ContentType, "", d.Body, d.Stored); err != nil || e.Len() != 1 {
		t.Fatalf("event %q, %v", d.Body, err)
	}
	for p := range e.Points() {
		if p.Fields["message"] != "wrong password" || p.Tags["plugin"] != "out" || d.Subject != bus.EventSubject("web-1", "out", "denied") {
			t.Errorf("event %v on %s", p, d.Subject)
		}
	}
}

// TestSilentAgent checks that a plugin says once that its agent is gone, works on, and says when it is back. On a busy machine it
// may say so before, too.
func TestSilentAgent(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Interval = 50 * time.Millisecond
	a.Give("count", telemetry.Work{EveryMS: 20})
	var log texttest.Buffer
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- plugin.Serve(ctx, counting(), plugin.Options{Bus: b.URL, Host: "web-1", Plugin: "count", Dir: t.TempDir(),
			Log: slog.New(slog.NewTextHandler(&log, nil)), LeastBeat: a.Interval})
	}()
	plugintest.Until(t, "work", func() bool { h := a.Last("count"); return h.Stats != nil && h.Stats.PointsOut > 0 })
	a.Leave()
	const gone, back = "agent does not answer", "agent answers again"
	plugintest.Until(t, "the complaint", func() bool {
		text := log.String()
		return strings.LastIndex(text, gone) > strings.LastIndex(text, back)
	})
	n := a.Last("count").Stats.PointsOut
	second := plugintest.NewAgent(t, b.URL, "web-1")
	second.Interval = a.Interval
	second.Give("count", telemetry.Work{EveryMS: 20})
	plugintest.Until(t, "work that went on", func() bool {
		h := second.Last("count")
		return h.Stats != nil && h.Stats.PointsOut > n && h.AckLost >= 3
	})
	plugintest.Until(t, "relief", func() bool {
		text := log.String()
		return strings.LastIndex(text, back) > strings.LastIndex(text, gone)
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	away := false
	for line := range strings.Lines(log.String()) {
		goes, comes := strings.Contains(line, gone), strings.Contains(line, back)
		if goes && away || comes && !away {
			t.Errorf("said twice: %s of\n%s", line, log.String())
		}
		away = away && !comes || goes
	}
}

// TestLanes checks that one lane that cannot be made ends the others, and that all come back together.
func TestLanes(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	var made, alive atomic.Int32
	d := publisher.Define(publisher.Spec[struct{}]{Program: "lanes", Summary: "Several.",
		New: func(context.Context, struct{}, plugin.Env) (publisher.Publisher, error) {
			if made.Add(1) == 2 {
				return nil, errors.New("the second of three")
			}
			alive.Add(1)
			return lane{&alive}, nil
		}})
	a.Give("lanes", telemetry.Work{Parallel: 3, Inputs: []telemetry.Input{a.Input(t, "lanes", "count")}})
	p := a.Start(t, d, "lanes")
	plugintest.Until(t, "three lanes at the second try", func() bool { return alive.Load() == 3 && made.Load() == 6 })
	if err := p.Stop(t); err != nil || alive.Load() != 0 {
		t.Errorf("%v, %d instances are not closed", err, alive.Load())
	}
}

type lane struct{ alive *atomic.Int32 }

func (lane) Publish(context.Context, *telemetry.Batch) error { return nil }

func (l lane) Close() error {
	l.alive.Add(-1)
	return nil
}
