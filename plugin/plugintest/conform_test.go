package plugintest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// A recorder is a test that keeps what went wrong to itself.
type recorder struct {
	testing.TB
	faults []string
	told   func() // of each; nil: nobody
}

func (r *recorder) Helper() {}

func (r *recorder) Logf(string, ...any) {}

func (r *recorder) Errorf(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
	if r.told != nil {
		r.told()
	}
}

// broken returns what Conform has against d.
func broken(t *testing.T, d plugin.Definition, options ...plugintest.Option) []string {
	t.Helper()
	r := recorder{TB: t}
	plugintest.Conform(&r, d, options...)
	return r.faults
}

type config struct {
	Proc  string   `json:"proc" jsonschema:"where procfs is mounted"`
	Skip  []string `json:"skip" jsonschema:"what to leave out"`
	Limit struct {
		Rows int `json:"rows" jsonschema:"how many"`
	} `json:"limit" jsonschema:"limits"`
}

func (c config) Validate() error {
	if c.Proc == "" {
		return errors.New("proc is empty")
	}
	return nil
}

// spec is a program that keeps every promise; edit may make it break some.
func spec(edit func(*collector.Spec[config]), collect func(ctx context.Context, out *telemetry.Batch) error) plugin.Definition {
	s := collector.Spec[config]{
		Program: "load", Summary: "System load.", Config: config{Proc: "/proc", Skip: []string{}},
		Catalog: []telemetry.Desc{{
			Series: "load", Help: "Tasks.", Tags: map[string]string{"zone": "where"},
			Fields: map[string]string{"load1": "tasks", "n": "tasks"}, Types: map[string]string{"n": "i"},
		}},
		New: func(context.Context, config, plugin.Env) (collector.Collector, error) {
			return collectFunc(collect), nil
		},
	}
	if edit != nil {
		edit(&s)
	}
	return collector.Define(s)
}

type collectFunc func(ctx context.Context, out *telemetry.Batch) error

func (f collectFunc) Collect(ctx context.Context, out *telemetry.Batch) error {
	if f == nil {
		out.Add("load", telemetry.Fields{"load1": 0.5, "n": 3}, telemetry.Tags{"zone": "a"})
		return nil
	}
	return f(ctx, out)
}

func TestKept(t *testing.T) {
	f := func(d plugin.Definition, options ...plugintest.Option) {
		t.Helper()
		if faults := broken(t, d, options...); len(faults) > 0 {
			t.Errorf("%s: %q", d.Program, faults)
		}
	}
	f(spec(nil, nil))
	f(spec(func(s *collector.Spec[config]) { s.Config.Proc = "" }, nil), plugintest.With(`{"proc": "/proc"}`))
	f(spec(func(s *collector.Spec[config]) {
		s.New = func(context.Context, config, plugin.Env) (collector.Collector, error) { return nil, plugin.ErrNoData }
	}, nil))
	f(collector.DefineInventory(collector.InventorySpec[struct{}]{Program: "facts", Summary: "Facts.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Inventory, error) { return survey{}, nil }}))
	f(streaming(func(ctx context.Context, out collector.Emitter) error {
		b := out.Batch()
		b.Add("load", telemetry.Fields{"load1": 0.5}, nil)
		err := out.Emit(b)
		<-ctx.Done()
		return err
	}))
	f(processor.Define(processor.Spec[struct{}]{Program: "window", Summary: "Windows.",
		New: func(context.Context, struct{}, plugin.Env) (processor.Processor, error) { return window{}, nil }}))
	f(publisher.Define(publisher.Spec[struct{}]{Program: "sink", Summary: "Sinks.",
		New: func(context.Context, struct{}, plugin.Env) (publisher.Publisher, error) { return sink{}, nil }}))
}

type survey struct{}

func (survey) Survey(_ context.Context, out telemetry.Facts) error {
	out["name"] = "debian"
	return nil
}

type window struct{}

func (window) Process(_ context.Context, _, out *telemetry.Batch) error {
	if out != nil {
		return errors.New("a window is given nothing to put into")
	}
	return nil
}

func (window) Window() time.Duration { return time.Second }

func (window) Flush(_ context.Context, out func(string) *telemetry.Batch) error {
	out("web-1").Add("n", telemetry.Fields{"n": 1}, nil)
	return nil
}

type sink struct{}

func (sink) Publish(ctx context.Context, _ *telemetry.Batch) error { return ctx.Err() }

type streamFunc func(ctx context.Context, out collector.Emitter) error

func (f streamFunc) Stream(ctx context.Context, out collector.Emitter) error { return f(ctx, out) }

func streaming(f streamFunc) plugin.Definition {
	return collector.DefineStream(collector.StreamSpec[struct{}]{
		Program: "listener", Summary: "Listens.",
		Catalog: []telemetry.Desc{{Series: "load", Help: "Tasks.", Fields: map[string]string{"load1": "tasks"}}},
		New:     func(context.Context, struct{}, plugin.Env) (collector.Stream, error) { return f, nil },
	})
}

func TestBroken(t *testing.T) {
	f := func(d plugin.Definition, want string) {
		t.Helper()
		faults := broken(t, d)
		if len(faults) == 0 || !strings.Contains(strings.Join(faults, "\n"), want) {
			t.Errorf("found %q, want %q", faults, want)
		}
	}
	edited := func(edit func(*collector.Spec[config])) plugin.Definition { return spec(edit, nil) }
	emits := func(series string, fields telemetry.Fields, tags telemetry.Tags) plugin.Definition {
		return spec(nil, func(_ context.Context, out *telemetry.Batch) error {
			out.Add(series, fields, tags)
			return nil
		})
	}
	d := spec(nil, nil)
	d.Kind = "collectors"
	f(d, `kind "collectors"`)
	d = spec(nil, nil)
	d.Schema = func() json.RawMessage { return json.RawMessage(`{"type": "object"}`) }
	f(d, "allows nothing besides")
	d.Schema = func() json.RawMessage { return json.RawMessage(`{`) }
	f(d, "schema is no JSON")

	f(edited(func(s *collector.Spec[config]) { s.Program = "" }), `program ""`)
	f(edited(func(s *collector.Spec[config]) { s.Program = "Load Average" }), `program "Load Average"`)
	f(edited(func(s *collector.Spec[config]) { s.Summary = "" }), `summary ""`)
	f(edited(func(s *collector.Spec[config]) { s.Summary = "no sentence" }), `summary "no sentence"`)
	f(edited(func(s *collector.Spec[config]) { s.Config.Proc = "" }), "proc is empty")
	f(edited(func(s *collector.Spec[config]) { s.Config.Skip = nil }), "do not fit the schema")
	f(edited(func(s *collector.Spec[config]) { s.Catalog[0].Help = "" }), `series "load": want a name and a help text`)
	f(edited(func(s *collector.Spec[config]) { s.Catalog[0].Fields = nil }), "series load has no fields")
	f(edited(func(s *collector.Spec[config]) { s.Catalog[0].Fields["load1"] = "" }), "field load1 of load: want a unit")
	f(edited(func(s *collector.Spec[config]) { s.Catalog[0].Tags["zone"] = "" }), "tag zone of load: want a help text")
	f(edited(func(s *collector.Spec[config]) { s.Catalog[0].Types["x"] = "f" }), "type of x of load: no such field")

	f(settings(struct {
		Every string `json:"every" jsonschema:"how often"`
	}{}), "setting every: the name is reserved")
	f(settings(struct {
		Env string `json:"env" jsonschema:"environment"`
	}{}), "setting env: the name is reserved")
	f(settings(struct {
		Queue string `json:"queue" jsonschema:"where jobs wait"`
	}{}), "setting queue: the name is reserved")
	f(settings(struct {
		Max string `json:"maxBytes" jsonschema:"bytes"`
	}{}), "setting maxBytes: want lower snake case")
	f(settings(struct{ Max string }{}), "setting Max: want lower snake case")
	f(settings(struct {
		Max string `json:"max"`
	}{}), "setting max is not described")
	f(settings(struct {
		In struct {
			Max string `json:"max"`
		} `json:"in" jsonschema:"in"`
	}{}), "setting in.max is not described")
	f(settings(struct {
		List []struct {
			Max string `json:"max"`
		} `json:"list" jsonschema:"list"`
	}{}), "setting list.max is not described")

	f(emits("other", telemetry.Fields{"v": 1}, nil), "series other is not in the catalog")
	f(emits("load", telemetry.Fields{"v": 1}, nil), "field v of load is not in the catalog")
	f(emits("load", telemetry.Fields{"load1": 1}, nil), "field load1 of load has type i, the catalog says f")
	f(emits("load", telemetry.Fields{"load1": 1.0}, telemetry.Tags{"k": "v"}), "tag k of load is not in the catalog")
	f(streaming(func(_ context.Context, out collector.Emitter) error {
		b := out.Batch()
		b.Add("other", telemetry.Fields{"v": 1}, nil)
		return out.Emit(b)
	}), "series other is not in the catalog")
}

// settings returns a program with the settings of c.
func settings[C any](c C) plugin.Definition {
	return collector.Define(collector.Spec[C]{Program: "p", Summary: "P.", Config: c,
		New: func(context.Context, C, plugin.Env) (collector.Collector, error) {
			return collectFunc(func(context.Context, *telemetry.Batch) error { return nil }), nil
		}})
}

// TestBrokenLives checks the promises about the life of an instance.
func TestBrokenLives(t *testing.T) {
	t.Parallel() // it waits
	f := func(d plugin.Definition, want string) {
		t.Helper()
		faults := broken(t, d)
		if !strings.Contains(strings.Join(faults, "\n"), want) {
			t.Errorf("found %q, want %q", faults, want)
		}
	}
	made := 0
	once := func(context.Context, config, plugin.Env) (collector.Collector, error) {
		if made++; made > 1 {
			return nil, errors.New("address in use")
		}
		return collectFunc(nil), nil
	}
	f(spec(func(s *collector.Spec[config]) { s.New = once }, nil), "New: address in use")
	f(spec(func(s *collector.Spec[config]) {
		s.New = func(context.Context, config, plugin.Env) (collector.Collector, error) { panic("in New") }
	}, nil), "New panics: in New")
	f(spec(func(s *collector.Spec[config]) {
		s.New = func(context.Context, config, plugin.Env) (collector.Collector, error) { return nil, nil }
	}, nil), "neither a collector nor an error")
	f(spec(nil, func(context.Context, *telemetry.Batch) error { panic("in Collect") }), "Collect panics: in Collect")

	release := make(chan struct{})
	late := recorder{TB: t, told: sync.OnceFunc(func() { close(release) })}
	plugintest.Conform(&late, spec(nil, func(ctx context.Context, out *telemetry.Batch) error {
		if ctx.Err() != nil {
			<-release
		}
		return nil
	}))
	if len(late.faults) == 0 || !strings.Contains(late.faults[0], "Collect does not return within 1s") {
		t.Errorf("found %q of a collector that does not end", late.faults)
	}

	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	leak := func(context.Context, config, plugin.Env) (collector.Collector, error) {
		go func() { <-stop }()
		return collectFunc(nil), nil
	}
	f(spec(func(s *collector.Spec[config]) { s.New = leak }, nil), "goroutines are left")
	f(closing(errors.New("cannot close")), "Close: cannot close")
}

// closing is a publisher whose Close returns err.
func closing(err error) plugin.Definition {
	return publisher.Define(publisher.Spec[struct{}]{Program: "sink", Summary: "Sinks.",
		New: func(context.Context, struct{}, plugin.Env) (publisher.Publisher, error) { return closer{err: err}, nil }})
}

type closer struct {
	sink
	err error
}

func (c closer) Close() error { return c.err }
