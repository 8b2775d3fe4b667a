package plugin_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/telemetry"
)

// call runs d with args and what stdin holds, and returns its exit status and what it said.
func call(t *testing.T, d plugin.Definition, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	return callWith(t.Context(), d, strings.NewReader(stdin), nil, args...)
}

func callWith(ctx context.Context, d plugin.Definition, stdin io.Reader, environ []string, args ...string) (status int, stdout, stderr string) {
	var out, logs bytes.Buffer
	status = plugin.Run(ctx, d, args, stdin, &out, &logs, environ)
	return status, out.String(), logs.String()
}

// picky is a collector whose settings and outcome the test chooses.
type pickyConfig struct {
	Mood string        `json:"mood" jsonschema:"what it does"`
	Key  plugin.Secret `json:"key" jsonschema:"unused"`
}

func (c pickyConfig) Validate() error {
	if c.Mood == "wrong" {
		return fmt.Errorf("mood %q: want another", c.Mood)
	}
	return nil
}

func picky() plugin.Definition {
	return collector.Define(collector.Spec[pickyConfig]{
		Program: "picky", Summary: "Does as it likes.", Config: pickyConfig{Mood: "good"},
		New: func(_ context.Context, c pickyConfig, _ plugin.Env) (collector.Collector, error) {
			switch c.Mood {
			case "none":
				return nil, plugin.ErrNoData
			case "broken":
				return nil, plugin.Permanent(errors.New("cannot be made"))
			}
			return collectError(func(out *telemetry.Batch) error {
				out.Add("mood", telemetry.Fields{"level": 3, "share": 0.5}, telemetry.Tags{"of": "day"})
				if c.Mood == "bad" {
					return errors.New("half an answer")
				}
				return nil
			}), nil
		},
	})
}

type collectError func(out *telemetry.Batch) error

func (f collectError) Collect(_ context.Context, out *telemetry.Batch) error { return f(out) }

func TestExitStatus(t *testing.T) {
	f := func(want int, says string, args ...string) {
		t.Helper()
		if got, _, stderr := call(t, picky(), "", args...); got != want || !strings.Contains(stderr, says) {
			t.Errorf("picky %q = %d, %q; want %d and %q", args, got, stderr, want, says)
		}
	}
	f(0, "", "--help")
	f(0, "", "--describe")
	f(0, "", "--once")
	f(0, "nothing to do here", "--once", "--config", `{"mood": "none"}`)
	f(1, "half an answer", "--once", "--config", `{"mood": "bad"}`)
	f(64, "--onse", "--onse")
	f(64, "see picky --help", "now")
	f(64, "give one of them", "--once", "--describe")
	f(64, "--once knows no bus", "--once", "--bus", "nats://127.0.0.1:1")
	f(64, "want a --bus", "--wait=0s")
	f(64, "the agent gives the settings", "--bus", "nats://127.0.0.1:1", "--config", "{}")
	f(69, "no bus", "--bus", "nats://127.0.0.1:1", "--wait=0s")
	f(75, "no bus", "--bus", "nats://127.0.0.1:1", "--wait=10ms")
	f(78, "no/such/file", "--bus", "nats://127.0.0.1:1", "--creds", "no/such/file")
	f(78, `mood "wrong": want another`, "--once", "--config", `{"mood": "wrong"}`)
	f(78, "modd: no such setting", "--once", "--config", `{"modd": "good"}`)
	f(78, "cannot be made", "--once", "--config", `{"mood": "broken"}`)
}

func TestDescribe(t *testing.T) {
	_, out, _ := call(t, picky(), "", "--describe")
	var m telemetry.Manifest
	if err := json.Unmarshal([]byte(out), &m); err != nil || m.Kind != "collector" || m.Program != "picky" || m.API != plugin.API {
		t.Errorf("manifest %s: %v", out, err)
	}
}

func TestHelpEndsWithExamples(t *testing.T) {
	d := picky()
	d.Command = "pacewire plugin run picky"
	_, out, _ := call(t, d, "", "--help")
	_, examples, _ := strings.Cut(out, "Examples:\n")
	if want := "  pacewire plugin run picky --once\n  pacewire plugin run picky --bus nats://127.0.0.1:4222 --name picky\n"; examples != want {
		t.Errorf("examples %q, want %q", examples, want)
	}
	for line := range strings.Lines(out) {
		if len(line) > 81 {
			t.Errorf("longer than 80 columns: %s", line)
		}
	}
}

func TestOnceCollects(t *testing.T) {
	status, out, stderr := call(t, picky(), "", "--once", "--host", "web-1")
	var b telemetry.Batch
	if err := b.DecodeJSON([]byte(out), time.Now()); err != nil || status != 0 {
		t.Fatalf("%d, %q, %v; %s", status, out, err, stderr)
	}
	for p := range b.Points() {
		if p.Series != "mood" || p.Fields["level"] != int64(3) || p.Tags["of"] != "day" || p.Tags["host"] != "web-1" {
			t.Errorf("point %v", p)
		}
	}
}

// TestOnceKeepsHalf checks that what was collected before an error is printed.
func TestOnceKeepsHalf(t *testing.T) {
	if _, out, _ := call(t, picky(), "", "--once", "--config", `{"mood": "bad"}`); strings.Count(out, "\n") != 1 {
		t.Errorf("printed %q", out)
	}
}

func TestOnceSurveys(t *testing.T) {
	d := collector.DefineInventory(collector.InventorySpec[struct{}]{
		Program: "release", Summary: "Facts.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Inventory, error) {
			return surveyFunc(func(out telemetry.Facts) { out["name"], out["cores"] = "debian", 2 }), nil
		},
	})
	if status, out, _ := call(t, d, "", "--once"); status != 0 || out != `{"cores":2,"name":"debian"}`+"\n" {
		t.Errorf("%d, %q", status, out)
	}
}

type streamFunc func(ctx context.Context, out collector.Emitter) error

func (f streamFunc) Stream(ctx context.Context, out collector.Emitter) error { return f(ctx, out) }

// TestOnceStreams checks that a stream speaks until it is interrupted.
func TestOnceStreams(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	d := collector.DefineStream(collector.StreamSpec[struct{}]{
		Program: "ticker", Summary: "Ticks.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Stream, error) {
			return streamFunc(func(ctx context.Context, out collector.Emitter) error {
				for range 3 {
					b := out.Batch()
					b.Add("tick", telemetry.Fields{"n": 1}, nil)
					if err := out.Emit(b); err != nil {
						return err
					}
				}
				interrupt()
				<-ctx.Done()
				return ctx.Err()
			}), nil
		},
	})
	if status, out, stderr := callWith(ctx, d, strings.NewReader(""), nil, "--once"); status != 0 || strings.Count(out, `"tick"`) != 3 {
		t.Errorf("%d, %q, %q", status, out, stderr)
	}
}

func TestOnceProcesses(t *testing.T) {
	f := func(in string, status int, points int, says string) {
		t.Helper()
		got, out, stderr := call(t, tagging(), in, "--once")
		if got != status || strings.Count(out, `"seen":"yes"`) != points || !strings.Contains(stderr, says) {
			t.Errorf("%d, %d lines, %q; want %d, %d and %q", got, strings.Count(out, "\n"), stderr, status, points, says)
		}
	}
	f("", 0, 0, "")
	f("\n\n", 0, 0, "")
	f("cpu v=1\ncpu v=2 1763559525000000000\n", 0, 2, "")
	f("cpu v=1", 0, 1, "")
	f(`{"series":"cpu","fields":{"v":1}}`+"\n"+`{"series":"cpu","fields":{"v":2}}`, 0, 2, "")
	f(`[{"series":"cpu","fields":{"v":1}},`+"\n"+`{"series":"cpu","fields":{"v":2}}]`, 0, 2, "")
	f("cpu v=1\n# a comment\ncpu v\ncpu v=2\n", 1, 2, "line 3: ")
	f(`{"series":"cpu","fields":{"v":1}}`+"\n{\n"+`{"series":"cpu","fields":{"v":2}}`, 1, 2, "line 2: ")
	f("[{}]", 1, 0, "line 1: ")
	f("x"+strings.Repeat("y", 2<<20), 1, 0, "longer than 1048576 bytes")
}

// TestOnceIsBounded sends more than any buffer holds through a processor.
func TestOnceIsBounded(t *testing.T) {
	const n = 200_000
	r, w := io.Pipe()
	go func() {
		buf := bufio.NewWriter(w)
		for i := range n {
			fmt.Fprintf(buf, "cpu,k=%d v=%d\n", i%7, i)
		}
		_ = buf.Flush()
		w.Close()
	}()
	status, out, stderr := callWith(t.Context(), tagging(), r, nil, "--once")
	if status != 0 || strings.Count(out, "\n") != n {
		t.Errorf("%d, %d lines, %q", status, strings.Count(out, "\n"), stderr)
	}
}

// TestOnceFlushes checks that a window is flushed once, at the end of the input.
func TestOnceFlushes(t *testing.T) {
	d := processor.Define(processor.Spec[struct{}]{
		Program: "summing", Summary: "Sums.",
		New: func(context.Context, struct{}, plugin.Env) (processor.Processor, error) {
			return &summing{map[string]int64{}}, nil
		},
	})
	status, out, stderr := call(t, d, strings.Repeat("c n=2i\n", 100_000), "--once", "--host", "web-1")
	if status != 0 || strings.Count(out, "\n") != 1 || !strings.Contains(out, `"n":200000`) {
		t.Errorf("%d, %q, %q", status, out, stderr)
	}
}

func TestOncePublishes(t *testing.T) {
	var s sink
	if status, _, stderr := call(t, s.define(), "cpu v=1\ncpu v=2\n", "--once"); status != 0 || len(s.points()) != 2 {
		t.Errorf("%d, %v, %q", status, s.points(), stderr)
	}
	s.fail = func(*telemetry.Batch) error { return errors.New("sink is away") }
	if status, _, stderr := call(t, s.define(), "cpu v=1\n", "--once"); status != 1 || !strings.Contains(stderr, "not finished") {
		t.Errorf("a failing sink: %d, %q", status, stderr)
	}
	s.fail = func(*telemetry.Batch) error { return plugin.Permanent(errors.New("never")) }
	if status, _, stderr := call(t, s.define(), "cpu v=1\n", "--once"); status != 1 || !strings.Contains(stderr, "set aside") {
		t.Errorf("a refusing sink: %d, %q", status, stderr)
	}
}

// TestServesUnderAgent checks that the environment is enough, and that the end of the agent, seen on standard input, drains.
func TestServesUnderAgent(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Give("count", telemetry.Work{EveryMS: 20})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	type end struct {
		status int
		logs   string
	}
	ended := make(chan end, 1)
	go func() {
		status, _, logs := callWith(context.Background(), counting(), r, []string{
			"PACEWIRE_BUS=" + b.URL, "PACEWIRE_HOST=web-1", "PACEWIRE_PLUGIN=count", "PACEWIRE_DIR=" + t.TempDir()})
		ended <- end{status, logs}
	}()
	plugintest.Until(t, "work", func() bool { return a.Beat(t, "count").Stats.PointsOut > 3 })
	w.Close()
	e := <-ended
	if e.status != 0 || a.Bye(t, "count").Bye != "shutdown" {
		t.Errorf("ended with %d and the heartbeat %+v", e.status, a.Last("count"))
	}
	for line := range strings.Lines(e.logs) {
		var record struct{ Host, Plugin, Msg string }
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Plugin != "count" || record.Host != "web-1" {
			t.Errorf("log record %q: %v", line, err)
		}
	}
	if !strings.Contains(e.logs, "agent is gone") {
		t.Errorf("logs %q", e.logs)
	}
}

func TestRefusedEndsWithConfigStatus(t *testing.T) {
	b := bustest.New(t)
	a := plugintest.NewAgent(t, b.URL, "web-1")
	a.Refuse("count", "name_taken")
	status, _, stderr := call(t, counting(), "", "--bus", b.URL, "--host", "web-1", "--name", "count", "--dir", t.TempDir())
	if status != 78 || !strings.Contains(stderr, "name_taken") {
		t.Errorf("%d, %q", status, stderr)
	}
}
