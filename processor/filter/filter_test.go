package filter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/processor/processortest"
	"github.com/pacewire/pacewire/telemetry"
)

func newFilter(t testing.TB, cfg Config) processor.Processor {
	t.Helper()
	p, err := New(t.Context(), cfg, plugin.Env{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// pass brings a message through p and returns what came out, in the memory of to.
func pass(t testing.TB, p processor.Processor, wire []byte, in, out *telemetry.Batch, to []byte) []byte {
	if err := in.DecodeMsgPack(wire); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := p.Process(context.Background(), in, out); err != nil {
		t.Fatal(err)
	}
	return out.AppendMsgPack(to[:0])
}

// point returns a point of a series that is told apart by n.
func point(series string, n int, tags telemetry.Tags, fields telemetry.Fields) telemetry.Point {
	all := telemetry.Fields{"n": int64(n)}
	maps.Copy(all, fields)
	return telemetry.Point{Series: series, Time: time.Unix(int64(n), 0), Tags: tags, Fields: all}
}

// fleet are the points of most tests.
func fleet() []telemetry.Point {
	return []telemetry.Point{
		point("cpu", 0, telemetry.Tags{"host": "web-1", "odd key": "x"}, telemetry.Fields{"usage": 95.0, "up": true}),
		point("cpu", 1, telemetry.Tags{"host": "web-2"}, telemetry.Fields{"usage": 20.0, "up": false}),
		point("cpu", 2, telemetry.Tags{"host": "db-1", "port": "5432"}, telemetry.Fields{"usage": "high"}),
		point("mem", 3, telemetry.Tags{"host": "db-1", "port": "80"}, telemetry.Fields{"used": int64(90), "total": int64(100)}),
		point("mem", 4, nil, telemetry.Fields{"used": int64(10), "total": uint64(100)}),
		point("mem_page", 5, nil, telemetry.Fields{"odd.name": int64(1<<53 + 1)}),
	}
}

func numbersOf(points []telemetry.Point) []int {
	list := []int{}
	for _, p := range points {
		list = append(list, int(p.Fields["n"].(int64)))
	}
	slices.Sort(list)
	return list
}

func TestKeep(t *testing.T) {
	f := func(text string, want ...int) {
		t.Helper()
		got := numbersOf(processortest.Process(t, newFilter(t, Config{Keep: text}), fleet()...))
		if !slices.Equal(got, want) {
			t.Errorf("keep: %s keeps %v, want %v", text, got, want)
		}
		var rest []int
		for n := range len(fleet()) {
			if !slices.Contains(want, n) {
				rest = append(rest, n)
			}
		}
		if got := numbersOf(processortest.Process(t, newFilter(t, Config{Drop: text}), fleet()...)); !slices.Equal(got, rest) {
			t.Errorf("drop: %s keeps %v, want %v", text, got, rest)
		}
	}
	f(`true`, 0, 1, 2, 3, 4, 5)
	f(`false`)
	f(`series == "cpu"`, 0, 1, 2)
	f(`series startsWith "mem"`, 3, 4, 5)
	f(`glob(series, "mem*") and series != "mem"`, 5)
	f(`fields.usage > 90`, 0)
	f(`90 < fields.usage`, 0)
	f(`10 < fields.usage < 30`, 1)
	f(`fields.usage > 90 or fields.used > 50`, 0, 3)

	// What is missing, or of another kind, makes a comparison false, != too.
	f(`fields.usage != 20`, 0)
	f(`fields.usage != "low"`, 2)
	f(`not (fields.usage == 20)`, 0, 2, 3, 4, 5)
	f(`fields.usage == nil`, 3, 4, 5)
	f(`"usage" in fields and "odd key" in tags`, 0)
	f(`fields.up`, 0)
	f(`fields.up == false`, 1)
	f(`not fields.up`, 1, 2, 3, 4, 5)

	// A tag that is missing is "".
	f(`tags.host == ""`, 4, 5)
	f(`tags.host != "web-1"`, 1, 2, 3, 4, 5)
	f(`tags["odd key"] == "x"`, 0)
	f(`tags.host matches "^(web|db)-1$"`, 0, 2, 3)
	f(`tags.host in ["web-2", "db-1"]`, 1, 2, 3)
	f(`tags.host not in ["web-2", "db-1"]`, 0, 4, 5)
	f(`tags.host not contains "-1"`, 1, 4, 5)
	f(`tags.host endsWith "-1" && !(series == "cpu")`, 3)

	// Numbers are compared exactly.
	f(`fields["odd.name"] == 9007199254740993`, 5)
	f(`fields["odd.name"] > 9007199254740992.0`, 5)
	f(`fields["odd.name"] <= 9007199254740992`)

	f(`time >= "1970-01-01T00:00:04Z"`, 4, 5)
	f(`time < now() - "1h"`, 0, 1, 2, 3, 4, 5)
	f(`time > "9999-01-01T00:00:00Z"`)

	// The forms that expr computes.
	f(`fields.used / fields.total > 0.5`, 3)
	f(`(fields.usage ?? 100) > 90`, 0, 3, 4, 5)
	f(`fields.usage > 90 ? tags.host == "web-1" : series == "mem"`, 0, 3, 4)
	f(`len(tags) == 0`, 4, 5)
	f(`any(values(tags), # startsWith "web")`, 0, 1)
	f(`let half = fields.total / 2; fields.used < half`, 4)
	f(`lower(tags.host) in ["web-1"]`, 0)
	f(`len(fields) == 2 and len(tags.host) > 3`, 2)
	f(`tags[series == "cpu" ? "host" : "port"] == "80"`, 3)
	f(`upper(series) == "CPU"`, 0, 1, 2)
	f(`fields.used % 20 == 10 and -fields.used < -50`, 3)
	f(`fields.used in 85..95`, 3)
	f(`time.Unix() == 3`, 3)
}

func TestSeries(t *testing.T) {
	f := func(cfg Config, want ...int) {
		t.Helper()
		if got := numbersOf(processortest.Process(t, newFilter(t, cfg), fleet()...)); !slices.Equal(got, want) {
			t.Errorf("%+v keeps %v, want %v", cfg, got, want)
		}
	}
	f(Config{Series: []string{"*"}}, 0, 1, 2, 3, 4, 5)
	f(Config{Series: []string{"mem*"}}, 3, 4, 5)
	f(Config{Series: []string{"mem"}}, 3, 4)
	f(Config{Series: []string{"cpu", "mem_????"}}, 0, 1, 2, 5)
	f(Config{SeriesDrop: []string{"mem*"}}, 0, 1, 2)
	f(Config{Series: []string{"mem*"}, SeriesDrop: []string{"*_page"}}, 3, 4)
	f(Config{Series: []string{"mem*"}, Keep: `fields.used > 50`}, 3)
	f(Config{SeriesDrop: []string{"cpu"}, Drop: `fields.used > 50`}, 4, 5)
}

// TestCannotCompute holds the rule for what fails at work: the smallest condition around it is false, and it is told.
func TestCannotCompute(t *testing.T) {
	var log bytes.Buffer
	f := func(cfg Config, times string, want ...int) {
		t.Helper()
		log.Reset()
		p, err := New(t.Context(), cfg, plugin.Env{Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		if got := numbersOf(processortest.Process(t, p, fleet()...)); !slices.Equal(got, want) {
			t.Errorf("%+v keeps %v, want %v", cfg, got, want)
		}
		if !strings.Contains(log.String(), times) || strings.Count(log.String(), "\n") > 1 {
			t.Errorf("%+v logs %q, want %q once", cfg, log.String(), times)
		}
	}
	f(Config{Keep: `int(tags.port) > 80`}, "times=4", 2)
	f(Config{Drop: `int(tags.port) > 80`}, "times=4", 0, 1, 3, 4, 5)
	f(Config{Keep: `not (int(tags.port) > 80)`}, "times=4", 0, 1, 3, 4, 5)
	f(Config{Keep: `int(tags.port) > 80 and tags.port != ""`}, "", 2)
	f(Config{Keep: `len(repeat(tags.host, 1000000)) > 1`}, "memory budget exceeded")
	f(Config{Keep: `fields.used % (fields.total - fields.total) == 0`}, "divide by zero")
}

// TestReportsOnceAMinute processes many batches that fail.
func TestReportsOnceAMinute(t *testing.T) {
	var log bytes.Buffer
	p, err := New(t.Context(), Config{Keep: `int(tags.host) > 1`}, plugin.Env{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		processortest.Process(t, p, fleet()...)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines of log, want 1:\n%s", n, log.String())
	}
	p.(*filter).reported = time.Now().Add(-2 * time.Minute)
	processortest.Process(t, p, fleet()...)
	if !strings.Contains(log.String(), fmt.Sprint("times=", 5*len(fleet()))) {
		t.Errorf("the log does not say how many there were since the first report:\n%s", log.String())
	}
}

func TestValidate(t *testing.T) {
	f := func(cfg Config, want ...string) {
		t.Helper()
		err := cfg.Validate()
		if err == nil {
			t.Fatalf("%+v passes", cfg)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %v\nlacks %q", cfg, err, w)
			}
		}
		if _, err := New(t.Context(), cfg, plugin.Env{}); !plugin.IsPermanent(err) {
			t.Errorf("New with %+v = %v, want a permanent error", cfg, err)
		}
	}
	f(Config{}, "give keep, drop, series or series_drop")
	f(Config{Keep: "true", Drop: "false"}, "keep and drop: give one of them")
	f(Config{Keep: "usag > 1", Series: []string{"["}, SeriesDrop: []string{""}}, "keep: unknown name usag", `series: pattern "["`, `series_drop: pattern ""`)
	f(Config{Keep: strings.Repeat("(", 5000)}, "keep: an expression of 5000 bytes: the limit is 4096")
	f(Config{Drop: strings.Repeat("!", 4000) + "true"}, "drop: ")
	f(Config{Keep: strings.Repeat("true or ", 500) + "true"}, "exceeds maximum allowed nodes")
}

// TestDefaults looks at the settings as the agent and the conformance tests see them.
func TestDefaults(t *testing.T) {
	d := Define()
	if err := d.Check(nil); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	if err := d.Check([]byte(`{"series":[]}`)); err == nil {
		t.Error("a filter without any condition is taken")
	}
	if err := d.Check([]byte(`{"keep":"field.x > 1"}`)); err == nil || !strings.Contains(err.Error(), "did you mean fields?") {
		t.Errorf("a wrong condition: %v", err)
	}
}

// TestCancelled looks at a call that has no time left.
func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var in, out telemetry.Batch
	in.Append(fleet()[0])
	if err := newFilter(t, Config{Keep: "true"}).Process(ctx, &in, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
}

// TestUntouched looks at groups that are kept whole: they go on as the bytes that came.
func TestUntouched(t *testing.T) {
	wire := busy(t)
	for _, text := range []string{`series == "cpu"`, `tags.rack == "r1" or fields.usage > 90`, `fields.count < 1000`} {
		var in, out telemetry.Batch
		if got := pass(t, newFilter(t, Config{Keep: text}), wire, &in, &out, nil); !bytes.Equal(got, wire) {
			t.Errorf("%s changes a batch that it keeps", text)
		}
	}
}

// TestAllocs brings batches through every common form: no memory is asked for.
func TestAllocs(t *testing.T) {
	wire := busy(t)
	for _, form := range forms {
		if !form.free {
			continue
		}
		p := newFilter(t, Config{Keep: form.text})
		var in, out telemetry.Batch
		var to []byte
		for range 3 {
			to = pass(t, p, wire, &in, &out, to)
		}
		if n := testing.AllocsPerRun(50, func() { to = pass(t, p, wire, &in, &out, to) }); n > 0 {
			t.Errorf("%s: %v allocations a batch", form.text, n)
		}
	}
}

// TestForgets looks that nothing of a batch is held on to by a program of expr.
func TestForgets(t *testing.T) {
	s := &scan{now: now}
	c, err := compile(`lower(tags.host) == "a" or len(tags) > 9 or fields.usage / 2 > 9`, s)
	if err != nil {
		t.Fatal(err)
	}
	var in telemetry.Batch
	for _, p := range fleet() {
		in.Append(p)
	}
	for g := range in.Groups() {
		s.keep(c, g)
	}
	for _, part := range c.(anyOf) {
		r := part.(*rowTest)
		if len(r.env)+len(r.tags)+len(r.fields)+len(r.memo) > 0 || !reflect.DeepEqual(r.bound, make([]bound, len(r.bound))) {
			t.Errorf("%+v keeps something of the last batch", r)
		}
	}
}
