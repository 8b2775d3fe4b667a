package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

// TestMain is the program under test as well: a host starts its own executable for built-ins.
func TestMain(m *testing.M) {
	if len(os.Args) != 4 || os.Args[1] != "plugin" || os.Args[2] != "run" {
		passed = append(passed, "GORACE") // else each process waits for a second at its end
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			panic(err)
		}
		leaktest.Main(m)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if strings.HasSuffix(os.Args[3], ".mute") { // hangs before it says hello
		<-ctx.Done()
		return
	}
	for _, d := range programs() {
		if string(d.Kind)+"."+d.Program == os.Args[3] {
			os.Exit(plugin.Run(ctx, d, nil, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
		}
	}
	os.Exit(exitUsage)
}

// journaled is the config of all programs: a file that gets a line for each thing they do, and what goes wrong with them.
type journaled struct {
	Journal string `json:"journal" jsonschema:"file that tells what happened"`
	Mode    string `json:"mode" jsonschema:"what goes wrong: invalid, boom, ends, late, late_end, dies, fails, slow_end; tells: notes each point"`
	Lock    string `json:"lock" jsonschema:"folder that only one process can have"`
}

// Validate refuses what the schema takes.
func (c journaled) Validate() error {
	if c.Mode == "invalid" {
		return errors.New("mode: invalid is no good")
	}
	return nil
}

// programs are the built-ins of the tests. Those called other and mute can take the place of those before; doomed ends when it is
// its turn, whatever its config.
func programs() []plugin.Definition {
	var list []plugin.Definition
	for _, name := range []string{"numbers", "other", "mute", "doomed"} {
		list = append(list, collector.Define(collector.Spec[journaled]{Program: name, Summary: "Counts.",
			New: func(_ context.Context, c journaled, env plugin.Env) (collector.Collector, error) {
				if name == "doomed" {
					c.Mode = "late_end"
				}
				return c.worker(env)
			}}))
	}
	for _, name := range []string{"pass", "other", "mute"} {
		list = append(list, processor.Define(processor.Spec[journaled]{Program: name, Summary: "Passes on.",
			New: func(_ context.Context, c journaled, env plugin.Env) (processor.Processor, error) {
				return c.worker(env)
			}}))
	}
	for _, name := range []string{"sink", "other", "mute"} {
		list = append(list, publisher.Define(publisher.Spec[journaled]{Program: name, Summary: "Takes.",
			New: func(_ context.Context, c journaled, env plugin.Env) (publisher.Publisher, error) {
				return c.worker(env)
			}}))
	}
	return append(list, collector.DefineInventory(collector.InventorySpec[journaled]{Program: "facts", Summary: "Knows.",
		New: func(_ context.Context, c journaled, _ plugin.Env) (collector.Inventory, error) { return knower(c), nil }}))
}

// A knower knows what stands in the file called journal.
type knower journaled

func (k knower) Survey(ctx context.Context, out telemetry.Facts) error {
	text, err := os.ReadFile(k.Journal)
	out["text"] = string(text)
	return err
}

// A worker is a plugin of each kind, which keeps a journal.
type worker struct {
	name, journal, lock, mode string
	n                         int
}

// tries counts the workers of this process.
var tries atomic.Int64

// worker makes one, or what goes wrong with it.
func (c journaled) worker(env plugin.Env) (*worker, error) {
	again := tries.Add(1) > 1
	switch {
	case c.Mode == "boom", c.Mode == "late" && again:
		return nil, plugin.Permanent(errors.New("boom"))
	case c.Mode == "late_end" && again:
		os.Exit(3)
	case strings.HasPrefix(c.Mode, "late"):
		return nil, plugin.ErrTaken
	case c.Mode == "ends":
		time.AfterFunc(200*time.Millisecond, func() { os.Exit(3) })
	}
	if c.Lock != "" {
		if err := os.Mkdir(c.Lock, 0o700); err != nil {
			return nil, fmt.Errorf("%w: %w", plugin.ErrTaken, err)
		}
	}
	return &worker{name: env.Name, journal: c.Journal, lock: c.Lock, mode: c.Mode}, nil
}

// diesAfter is how long one works that dies: so long that it is seen.
const diesAfter = 2 * time.Second

// call is what goes wrong at work.
func (w *worker) call() error {
	switch w.mode {
	case "fails":
		return errors.New("no luck")
	case "dies":
		time.AfterFunc(diesAfter, func() { os.Exit(3) })
	}
	return nil
}

func (w *worker) Collect(_ context.Context, out *telemetry.Batch) error {
	w.n++
	out.Add("numbers", telemetry.Fields{"n": w.n}, nil)
	return w.call()
}

func (w *worker) Process(_ context.Context, in, out *telemetry.Batch) error {
	for g := range in.Groups() {
		w.n += g.Len()
		out.Take(g)
	}
	return nil
}

func (w *worker) Publish(_ context.Context, in *telemetry.Batch) error {
	if err := w.call(); err != nil {
		return err
	}
	w.n += in.Len()
	if w.mode == "tells" {
		return w.tell(in)
	}
	return w.note("took")
}

// tell notes each point: of which host it is, and its number.
func (w *worker) tell(in *telemetry.Batch) error {
	for p := range in.Points() {
		time.Sleep(5 * time.Millisecond) // so that there is something in hand
		if err := w.note(fmt.Sprintf("%s %v", p.Tags["host"], p.Fields["n"])); err != nil {
			return err
		}
	}
	return nil
}

// Close tells how many points there were.
func (w *worker) Close() error {
	if w.mode == "slow_end" {
		time.Sleep(3 * time.Second) // so that it is seen
	}
	if w.lock != "" {
		if err := os.Remove(w.lock); err != nil {
			return err
		}
	}
	return w.note("end")
}

func (w *worker) note(what string) error {
	if w.journal == "" {
		return nil
	}
	f, err := os.OpenFile(w.journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%s %s %d\n", w.name, what, w.n)
	return err
}

// options are those of the config of the tests, whose built-ins are theirs.
func options() config.Options {
	o := config.Options{Offline: true}
	for _, d := range programs() {
		o.Programs = append(o.Programs, config.Program{Kind: string(d.Kind), Name: d.Program, Summary: d.Summary, Schema: d.Schema(), Inventory: d.Inventory})
	}
	return o
}

// settings returns the config in text, whose built-ins are those of the tests.
func settings(t testing.TB, text string) *config.Settings {
	t.Helper()
	s, err := config.Parse(options(), "test.yaml", []byte(text))
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
		case <-time.After(quietTime + 2*stopTime):
			t.Error("the host does not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

const soon = time.Minute // for what happens at once on a machine that has time
