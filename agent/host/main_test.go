package host

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// TestMain is the program under test as well: a host starts its own executable for built-ins.
func TestMain(m *testing.M) {
	if len(os.Args) != 4 || os.Args[1] != "plugin" || os.Args[2] != "run" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	for _, d := range programs() {
		if string(d.Kind)+"."+d.Program == os.Args[3] {
			os.Exit(plugin.Run(ctx, d, nil, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
		}
	}
	os.Exit(exitUsage)
}

// journaled is the config of all programs: a file that gets a line for each thing they do.
type journaled struct {
	Journal string `json:"journal" jsonschema:"file that tells what happened"`
}

// programs are the built-ins of the tests.
func programs() []plugin.Definition {
	return []plugin.Definition{
		collector.Define(collector.Spec[journaled]{Program: "numbers", Summary: "Counts.",
			New: func(_ context.Context, c journaled, env plugin.Env) (collector.Collector, error) {
				return &worker{name: env.Name, journal: c.Journal}, nil
			}}),
		collector.DefineInventory(collector.InventorySpec[journaled]{Program: "facts", Summary: "Knows.",
			New: func(context.Context, journaled, plugin.Env) (collector.Inventory, error) { return nil, nil }}),
		processor.Define(processor.Spec[journaled]{Program: "pass", Summary: "Passes on.",
			New: func(_ context.Context, c journaled, env plugin.Env) (processor.Processor, error) {
				return &worker{name: env.Name, journal: c.Journal}, nil
			}}),
		publisher.Define(publisher.Spec[journaled]{Program: "sink", Summary: "Takes.",
			New: func(_ context.Context, c journaled, env plugin.Env) (publisher.Publisher, error) {
				return &worker{name: env.Name, journal: c.Journal}, nil
			}}),
	}
}

// A worker is a plugin of each kind, which keeps a journal.
type worker struct {
	name, journal string
	n             int
}

func (w *worker) Collect(_ context.Context, out *telemetry.Batch) error {
	w.n++
	out.Add("numbers", telemetry.Fields{"n": w.n}, nil)
	return nil
}

func (w *worker) Process(_ context.Context, in, out *telemetry.Batch) error {
	for g := range in.Groups() {
		w.n += g.Len()
		out.Take(g)
	}
	return nil
}

func (w *worker) Publish(_ context.Context, in *telemetry.Batch) error {
	w.n += in.Len()
	return w.note("took")
}

// Close tells how many points there were.
func (w *worker) Close() error { return w.note("end") }

func (w *worker) note(what string) error {
	f, err := os.OpenFile(w.journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%s %s %d\n", w.name, what, w.n)
	return err
}

// settings returns the config in text, whose built-ins are those of the tests.
func settings(t testing.TB, text string) *config.Settings {
	t.Helper()
	o := config.Options{Offline: true}
	for _, d := range programs() {
		o.Programs = append(o.Programs, config.Program{Kind: string(d.Kind), Name: d.Program, Summary: d.Summary, Schema: d.Schema(), Inventory: d.Inventory})
	}
	s, err := config.Parse(o, "test.yaml", []byte(text))
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return s
}

// journaling returns the text of a config with a file put in for $J, and a function that reads the lines of that file, _ for blanks.
func journaling(t testing.TB, text string) (string, func() []string) {
	path := filepath.Join(t.TempDir(), "journal")
	return strings.ReplaceAll(text, "$J", path), func() []string {
		content, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
		return strings.Fields(strings.ReplaceAll(string(content), " ", "_"))
	}
}

// newHost returns a host called h1 with a config.
func newHost(t testing.TB, url, text string) *Host {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	streams := bus.DefaultStreams()
	streams.MetricsMaxBytes, streams.EventsMaxBytes, streams.DeadMaxBytes = 128<<20, 16<<20, 16<<20
	return New(Options{
		Host: "h1", Settings: settings(t, text), Streams: streams, URL: url, Executable: self,
		Inventory: func(program string) bool { return program == "facts" }, Dir: t.TempDir(), Beat: 100 * time.Millisecond,
		Log: bustest.Log(t), Line: func(string, string, []byte) {},
	})
}

// connected returns a host that answers on a bus, and starts no process.
func connected(t testing.TB, b *bustest.Bus, text string) *Host {
	t.Helper()
	h := newHost(t, b.URL, text)
	if err := h.dial(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.close)
	if err := h.provide(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.listen(); err != nil {
		t.Fatal(err)
	}
	if err := h.conn.Flush(t.Context()); err != nil { // the server knows who listens
		t.Fatal(err)
	}
	return h
}

// run runs h. The function returned stops it, and waits for its end; it is called with the test's end at the latest.
func run(t testing.TB, h *Host) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	stop = func() {
		cancel()
		select {
		case err := <-done:
			done <- nil // for the next one who stops it
			if err != nil {
				t.Errorf("run: %v", err)
			}
		case <-time.After(2 * stopTime):
			t.Error("the host does not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

const soon = 20 * time.Second // for what happens at once on a machine that has time
