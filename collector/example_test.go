package collector_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// load is a collector of the system load.
type load struct{ file string }

type loadConfig struct {
	Proc string `json:"proc" jsonschema:"where procfs is mounted"`
}

func (l load) Collect(_ context.Context, out *telemetry.Batch) error {
	text, err := os.ReadFile(l.file)
	if err != nil {
		return err
	}
	var one, five, fifteen float64
	if _, err := fmt.Sscan(string(text), &one, &five, &fifteen); err != nil {
		return fmt.Errorf("parse %s: %w", l.file, err)
	}
	out.Add("load", telemetry.Fields{"load1": one, "load5": five, "load15": fifteen}, nil)
	return nil
}

// A whole collector, run once.
func ExampleDefine() {
	d := collector.Define(collector.Spec[loadConfig]{
		Program: "load",
		Summary: "System load averages over 1, 5 and 15 minutes.",
		Config:  loadConfig{Proc: "/proc"},
		Catalog: []telemetry.Desc{{
			Series: "load", Help: "Runnable and uninterruptible tasks.",
			Fields: map[string]string{"load1": "tasks", "load5": "tasks", "load15": "tasks"},
		}},
		New: func(_ context.Context, cfg loadConfig, _ plugin.Env) (collector.Collector, error) {
			return load{filepath.Join(cfg.Proc, "loadavg")}, nil
		},
	})
	// A program of one's own calls plugin.Main(d) and nothing else.
	args := []string{"--once", "--host", "web-1", "--config", `{"proc": "testdata"}`}
	status := plugin.Run(context.Background(), d, args, os.Stdin, withoutTimes{}, os.Stderr, nil)
	fmt.Println("status", status)
	// Output:
	// {"series":"load","tags":{"host":"web-1"},"fields":{"load1":0.2,"load15":0.05,"load5":0.1}}
	// status 0
}

// Facts about the system: asked for at the start and when somebody wants to know, kept in between.
func ExampleDefineInventory() {
	d := collector.DefineInventory(collector.InventorySpec[struct{}]{
		Program: "release", Summary: "Name and version of the operating system.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Inventory, error) { return release{}, nil },
	})
	plugin.Run(context.Background(), d, []string{"--once"}, os.Stdin, os.Stdout, os.Stderr, nil)
	// Output:
	// {"id":"debian","version_id":"13"}
}

type release struct{}

func (release) Survey(_ context.Context, out telemetry.Facts) error {
	text, err := os.ReadFile("testdata/os-release")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			out[strings.ToLower(key)] = strings.Trim(value, `"`)
		}
	}
	return nil
}

// A collector that speaks when it has something.
func ExampleDefineStream() {
	ctx, interrupt := context.WithCancel(context.Background())
	d := collector.DefineStream(collector.StreamSpec[struct{}]{
		Program: "doorbell", Summary: "Rings.",
		New: func(context.Context, struct{}, plugin.Env) (collector.Stream, error) {
			return doorbell{rings: 2, after: interrupt}, nil
		},
	})
	plugin.Run(ctx, d, []string{"--once", "--host", "home"}, os.Stdin, withoutTimes{}, os.Stderr, nil)
	// Output:
	// {"series":"ring","tags":{"host":"home"},"fields":{"n":1},"types":{"n":"i"}}
	// {"series":"ring","tags":{"host":"home"},"fields":{"n":2},"types":{"n":"i"}}
}

type doorbell struct {
	rings int
	after func()
}

func (d doorbell) Stream(ctx context.Context, out collector.Emitter) error {
	for n := range d.rings {
		b := out.Batch()
		b.Add("ring", telemetry.Fields{"n": n + 1}, nil)
		if err := out.Emit(b); err != nil { // nil: it is stored
			return err
		}
	}
	d.after()
	<-ctx.Done()
	return ctx.Err()
}

// withoutTimes prints points as lines of JSON, without what differs from run to run.
type withoutTimes struct{}

func (withoutTimes) Write(text []byte) (int, error) {
	for line := range strings.Lines(string(text)) {
		before, rest, _ := strings.Cut(line, `"time":`)
		_, after, _ := strings.Cut(rest, ",")
		fmt.Print(before, after)
	}
	return len(text), nil
}
