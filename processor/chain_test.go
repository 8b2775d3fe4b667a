package processor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/processor/all"
	"github.com/pacewire/pacewire/processor/processortest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestChainConforms(t *testing.T) {
	plugintest.Conform(t, processor.Chain(all.All()), plugintest.With(`{"steps": [
		{"use": "filter", "keep": "fields.usage > 92"}, {"use": "tag", "add": {"hot": "yes"}}]}`))
}

// A noting processor adds its name to the tag "seen", and notes when it is made and closed.
type noting struct {
	name   string
	events *[]string
	fail   error
}

func (n noting) Process(_ context.Context, in, out *telemetry.Batch) error {
	for g := range in.Groups() {
		seen, _ := g.Tag("seen").Const()
		g.SetTag("seen", seen+n.name)
		out.Take(g)
	}
	out.Add("nothing", nil, nil) // a point without fields, which is dropped and counted
	return n.fail
}

func (n noting) Close() error {
	*n.events = append(*n.events, "close "+n.name)
	return n.fail
}

// A windowed one is what no chain can have.
type windowed struct{ noting }

func (windowed) Window() time.Duration { return time.Second }

func (windowed) Flush(context.Context, func(string) *telemetry.Batch) error { return nil }

type notingConfig struct {
	Mark string `json:"mark" jsonschema:"what is added"`
	Big  uint64 `json:"big" jsonschema:"a large number"`
}

func (c notingConfig) Validate() error {
	if strings.Contains(c.Mark, "!") {
		return fmt.Errorf("mark %q: want no !\n    %s\n    %s^", c.Mark, c.Mark, strings.Repeat(" ", strings.Index(c.Mark, "!")))
	}
	return nil
}

// notes returns programs for a chain: note, which notes its life in events; fails, which cannot be made; bad, which fails at
// work and at the end; window, which is a Flusher; lone, which has a loop of its own.
func notes(events *[]string) []plugin.Definition {
	define := func(program string, make func(c notingConfig) (processor.Processor, error)) plugin.Definition {
		return processor.Define(processor.Spec[notingConfig]{Program: program, Summary: "Notes.",
			New: func(_ context.Context, c notingConfig, _ plugin.Env) (processor.Processor, error) {
				p, err := make(c)
				if err == nil {
					*events = append(*events, "make "+c.Mark)
				}
				return p, err
			}})
	}
	return []plugin.Definition{
		define("note", func(c notingConfig) (processor.Processor, error) { return noting{c.Mark, events, nil}, nil }),
		define("fails", func(notingConfig) (processor.Processor, error) { return nil, plugin.Denied(errors.New("no licence")) }),
		define("bad", func(c notingConfig) (processor.Processor, error) {
			return noting{c.Mark, events, plugin.Permanent(errors.New("bad " + c.Mark))}, nil
		}),
		define("window", func(c notingConfig) (processor.Processor, error) { return windowed{noting{c.Mark, events, nil}}, nil }),
		plugin.Define(plugin.Processor, plugin.Spec[struct{}, struct{}]{Program: "lone", Summary: "Notes.",
			New: func(context.Context, struct{}, plugin.Env) (p struct{}, err error) { return p, nil },
		}, func(context.Context, *plugin.Session, struct{}) error { return nil }),
	}
}

// chained returns a chain of notes.
func chained(t *testing.T, events *[]string, steps string) (processor.Processor, error) {
	t.Helper()
	made, err := processor.Chain(notes(events)).Build(t.Context(), []byte(`{"steps": [`+steps+`]}`), plugin.Env{})
	if err != nil {
		return nil, err
	}
	return made.(processor.Processor), nil
}

// TestChainOrder checks that each step is given what the one before it made, batch after batch.
func TestChainOrder(t *testing.T) {
	f := func(want string, marks ...string) {
		t.Helper()
		var events []string
		var steps []string
		for _, m := range marks {
			steps = append(steps, fmt.Sprintf(`{"use": "note", "mark": %q, "big": 18446744073709551615}`, m))
		}
		p, err := chained(t, &events, strings.Join(steps, ", "))
		if err != nil {
			t.Error(err)
			return
		}
		for n := range 3 {
			got := processortest.Process(t, p, telemetry.Point{Series: "s", Time: time.Unix(1, 0), Fields: telemetry.Fields{"n": n}})
			if len(got) != 1 || got[0].Fields["n"] != int64(n) || got[0].Tags["seen"] != want {
				t.Errorf("batch %d: %v, want tag %s", n, got, want)
			}
		}
	}
	f("a", "a")
	f("abc", "a", "b", "c")
	f("cba", "c", "b", "a")
}

// TestChainCountsDrops checks that what any step leaves out of a batch is counted.
func TestChainCountsDrops(t *testing.T) {
	var events []string
	p, err := chained(t, &events, `{"use": "note"}, {"use": "note"}, {"use": "note"}`)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		var in, out telemetry.Batch
		in.Add("s", telemetry.Fields{"n": 1}, nil)
		if err := p.Process(t.Context(), &in, &out); err != nil || out.Drops().Count(telemetry.CodeNoFields) != 3 {
			t.Errorf("%d drops, %v", out.Drops().Total(), err)
		}
	}
}

// TestChainOfRealSteps checks a filter and a tag.
func TestChainOfRealSteps(t *testing.T) {
	made, err := processor.Chain(all.All()).Build(t.Context(), []byte(`{"steps": [
		{"use": "filter", "keep": "fields.usage > 90"},
		{"use": "tag", "add": {"hot": "yes"}},
		{"use": "filter", "keep": "tags.hot == \"yes\" and fields.usage < 95"}]}`), plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	var points []telemetry.Point
	for n := range 20 {
		points = append(points, telemetry.Point{Series: "cpu", Time: time.Unix(int64(n), 0), Fields: telemetry.Fields{"usage": float64(80 + n)}})
	}
	var usage []float64
	for _, p := range processortest.Process(t, made.(processor.Processor), points...) {
		if p.Tags["hot"] != "yes" {
			t.Errorf("point %v", p)
		}
		usage = append(usage, p.Fields["usage"].(float64))
	}
	if !slices.Equal(usage, []float64{91, 92, 93, 94}) {
		t.Errorf("points of %v went on", usage)
	}
}

// TestChainCheck checks what is said of wrong steps before anything runs: which, and where in it.
func TestChainCheck(t *testing.T) {
	var events []string
	chain := processor.Chain(slices.Concat(notes(&events), all.All()))
	f := func(steps string, want ...string) {
		t.Helper()
		err := chain.Check([]byte(`{"steps": [` + steps + `]}`))
		if err == nil && len(want) > 0 {
			t.Errorf("%s: taken", steps)
			return
		}
		for _, text := range want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s: %v\nwant %q", steps, err, text)
			}
		}
		if len(want) == 0 && err != nil {
			t.Errorf("%s: %v", steps, err)
		}
	}
	f(`{"use": "note"}, {"use": "filter", "keep": "fields.v > 1"}`)
	f(``, "steps: none is given", "{ use: tag")
	f(`{"use": "note"}, {"use": "nope"}`, `steps: number 2: use: there is no processor "nope", but there are bad, execd, fails, filter, lone, note, tag, window`)
	f(`{"mark": "a"}`, "steps: number 1: use: ")
	f(`{"use": 7}`, "steps: number 1: use: ")
	f(`{"use": "note", "makr": "a"}`, "steps: number 1, note: makr: no such setting")
	f(`{"use": "note"}, {"use": "note", "mark": "ab!"}`, "steps: number 2, note: mark", "    ab!\n      ^")
	f(`{"use": "filter", "keep": "fields.v >"}, {"use": "note", "mark": "!"}`, "steps: number 1, filter: keep", "^", "steps: number 2, note: mark")
	if len(events) > 0 {
		t.Errorf("a check has made something: %v", events)
	}
}

// TestChainStart checks that a chain that cannot be made leaves nothing behind, and why it could not.
func TestChainStart(t *testing.T) {
	f := func(steps, want string, is func(error) bool, life ...string) {
		t.Helper()
		var events []string
		_, err := chained(t, &events, steps)
		if err == nil || !strings.Contains(err.Error(), want) || !is(err) {
			t.Errorf("%s: %v, want %q", steps, err, want)
		}
		if !slices.Equal(events, life) {
			t.Errorf("%s: %q, want %q", steps, events, life)
		}
	}
	f(`{"use": "note", "mark": "a"}, {"use": "window", "mark": "w"}, {"use": "note", "mark": "b"}`,
		"steps: number 2, window: it works by windows: give it a plugin of its own", plugin.IsPermanent, "make a", "make w", "close w", "close a")
	f(`{"use": "note", "mark": "a"}, {"use": "lone"}`,
		"steps: number 2, lone: what it makes belongs to no batch: give it a plugin of its own", plugin.IsPermanent, "make a", "close a")
	f(`{"use": "note", "mark": "a"}, {"use": "fails"}`, "steps: number 2, fails: no licence", plugin.IsDenied, "make a", "close a")
	f(`{"use": "note", "mark": "a!"}`, "steps: number 1, note: mark", plugin.IsPermanent)
}

// TestChainErrors checks that an error of a step ends the batch and keeps its meaning, and that all steps are closed.
func TestChainErrors(t *testing.T) {
	var events []string
	p, err := chained(t, &events, `{"use": "note", "mark": "a"}, {"use": "bad", "mark": "b"}, {"use": "bad", "mark": "c"}`)
	if err != nil {
		t.Fatal(err)
	}
	var in, out telemetry.Batch
	in.Add("s", telemetry.Fields{"n": 1}, nil)
	if err := p.Process(t.Context(), &in, &out); !plugin.IsPermanent(err) || err.Error() != "step 2: bad b" {
		t.Errorf("error %v", err)
	}
	err = p.(interface{ Close() error }).Close()
	if err == nil || err.Error() != "bad b\nbad c" {
		t.Errorf("close: %v", err)
	}
	if want := []string{"make a", "make b", "make c", "close a", "close b", "close c"}; !slices.Equal(events, want) {
		t.Errorf("%q, want %q", events, want)
	}
}

// TestChainSchema checks that the settings of a step are those of its program.
func TestChainSchema(t *testing.T) {
	chain := processor.Chain(all.All())
	f := func(good bool, steps string) {
		t.Helper()
		if err := plugin.Fits(chain.Schema(), []byte(`{"steps": `+steps+`}`)); (err == nil) != good {
			t.Errorf("%s: %v", steps, err)
		}
	}
	f(true, `[]`)
	f(true, `[{"use": "filter", "keep": "x"}, {"use": "tag", "add": {"a": "b"}}]`)
	f(false, `[{"use": "filter", "add": {"a": "b"}}]`)
	f(false, `[{"use": "nope"}]`)
	f(false, `[{"keep": "x"}]`)
	f(false, `{"use": "filter"}`)
}
