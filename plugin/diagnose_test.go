package plugin_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/golden"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// steady replaces what differs from machine to machine and from run to run.
func steady(text string) string {
	for pattern, by := range map[string]string{
		`go1\.\S+ \S+, \d+ CPUs`:                `go1.26.0 linux/amd64, 2 CPUs`,
		`process \d+, user \d+`:                 `process 42, user 1000`,
		`\b1[0-9]{18}\b`:                        `1763559525000000000`,
		`\b1[0-9]+\.\.\.`:                       `1763...`,
		`(start|call|took)( +)[0-9.]+(µs|ms|s)`: `${1}${2}1ms`,
		`out   points (\d+), .*`:                `out   points ${1}, messages 1, bytes 99`,
	} {
		text = regexp.MustCompile(pattern).ReplaceAllString(text, by)
	}
	return text
}

func described() plugin.Definition {
	type config struct {
		Proc  string          `json:"proc" jsonschema:"where procfs is mounted, which is another place in a container that watches its machine"`
		Every plugin.Duration `json:"look_every" jsonschema:"how often to look"`
		Mode  string          `json:"mode" jsonschema:"how to look"`
		Skip  []string        `json:"skip" jsonschema:"what to leave out"`
	}
	return collector.Define(collector.Spec[config]{
		Program: "load", Summary: "System load averages over 1, 5 and 15 minutes.", Version: "1.2.0",
		Config: config{Proc: "/proc", Mode: "fast", Skip: strings.Fields(strings.Repeat("something ", 20))},
		Enum:   map[string][]any{"mode": {"fast", "careful"}},
		Catalog: []telemetry.Desc{{
			Series: "load", Help: "Runnable and uninterruptible tasks.", Tags: map[string]string{"zone": ""},
			Fields: map[string]string{"load1": "tasks", "load5": "tasks", "load15": "tasks"},
		}},
		New: func(context.Context, config, plugin.Env) (collector.Collector, error) {
			return collectFunc(func(out *telemetry.Batch) {
				for i := range 10 {
					out.Add("load", telemetry.Fields{"load1": float64(i), "load5": 0.5, "load15": 0.25}, nil)
				}
			}), nil
		},
	})
}

func TestDiagnostics(t *testing.T) {
	f := func(file string, d plugin.Definition, status int, args ...string) {
		t.Helper()
		got, out, stderr := call(t, d, "", append(args, "--host", "web-1")...)
		if got != status {
			t.Errorf("%s: status %d, %s", file, got, stderr)
		}
		golden.Equal(t, "testdata/"+file, []byte(steady(out)))
		for line := range strings.Lines(out) {
			if utf8.RuneCountInString(line) > 81 {
				t.Errorf("%s: longer than 80 columns: %s", file, line)
			}
		}
	}
	facts := collector.DefineInventory(collector.InventorySpec[struct{}]{
		Program: "release", Summary: "Facts about the system.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Inventory, error) {
			return surveyFunc(func(out telemetry.Facts) { out["name"], out["cores"] = "debian", 2 }), nil
		},
	})
	stream := collector.DefineStream(collector.StreamSpec[struct{}]{
		Program: "broken", Summary: "Cannot be made.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Stream, error) {
			return nil, errors.New("port 4711 is in use")
		},
	})
	var s sink
	f("collector.golden", described(), 0)
	f("processor.golden", tagging(), 0)
	f("publisher.golden", s.define(), 0)
	f("inventory.golden", facts, 0)
	f("failing.golden", stream, 1)
	f("settings.golden", picky(), 1, "--config", `{"mood": "wrong"}`)
	if len(s.points()) > 0 {
		t.Error("the publisher published")
	}
}

// TestDiagnosticsOfAShim checks that what a person is told to do next works: flags stand before the program that is run.
func TestDiagnosticsOfAShim(t *testing.T) {
	d := described()
	d.Command = "pacewire plugin shim --each -- ./load tick"
	_, out, _ := call(t, d, "")
	for _, want := range []string{
		"  pacewire plugin shim --each --once -- ./load tick\n",
		"  pacewire conform -- pacewire plugin shim --each -- ./load tick\n",
		"  run: pacewire plugin shim --each -- ./load tick\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	d.Command = "pacewire plugin run collector.load" // of a built-in, which needs no run:
	if _, out, _ := call(t, d, ""); strings.Contains(out, "run: ") || !strings.Contains(out, "  pacewire plugin run collector.load --once\n") {
		t.Error(out)
	}
}

// TestDiagnosticsOfAStream checks that a stream, which has no end, is listened to for a while only.
func TestDiagnosticsOfAStream(t *testing.T) {
	t.Parallel()
	d := collector.DefineStream(collector.StreamSpec[struct{}]{
		Program: "one", Summary: "Speaks once.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Stream, error) {
			return streamFunc(func(ctx context.Context, out collector.Emitter) error {
				b := out.Batch()
				b.Add("word", telemetry.Fields{"n": 1}, nil)
				if err := out.Post(b, 0); err != nil {
					return err
				}
				<-ctx.Done()
				return ctx.Err()
			}), nil
		},
	})
	if status, out, stderr := call(t, d, ""); status != 0 || !strings.Contains(out, "word,host=") {
		t.Errorf("%d, %s, %s", status, out, stderr)
	}
}
