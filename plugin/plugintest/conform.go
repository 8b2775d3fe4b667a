package plugintest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Env returns what a plugin may use in a test: a log to the test's output, and a folder that goes with the test.
func Env(t testing.TB) plugin.Env {
	t.Helper()
	return plugin.Env{
		Log:  slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
		Host: "web-1", Name: "test", Dir: t.TempDir(),
		Event: func(context.Context, string, *telemetry.Batch) error { return nil },
	}
}

// An Option tells Conform what it cannot know of a program.
type Option func(*conform)

// With gives settings, a JSON object, to a program that cannot work with its defaults alone.
func With(settings string) Option {
	return func(c *conform) { c.settings = []byte(settings) }
}

// Conform checks what every program promises: it is named and described, its settings and series too; its defaults are
// settings; it can be made twice in one process; what it emits is in its catalog; it ends soon when its context does, and
// leaves no goroutine behind. A test of a collector or a processor runs it once; that of a publisher must not need its sink.
func Conform(t testing.TB, d plugin.Definition, options ...Option) {
	t.Helper()
	c := conform{TB: t, def: d, settings: d.Defaults()}
	for _, o := range options {
		o(&c)
	}
	before := goleak.IgnoreCurrent()
	c.names()
	c.checkSchema(d.Schema())
	c.defaults()
	c.catalog()
	c.makeTwice()
	if err := goleak.Find(before, leaktest.Starter()); err != nil {
		t.Errorf("goroutines are left after Close: %v", err)
	}
}

// soon is how long a call may go on after the end of its context. A machine that is busy with other tests gets tenfold.
const (
	soon     = time.Second
	leniency = 10
)

type conform struct {
	testing.TB
	def      plugin.Definition
	settings []byte
}

var (
	programName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	settingName = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
)

func (c *conform) names() {
	if !programName.MatchString(c.def.Program) {
		c.Errorf("program %q: want lower case letters, digits, _ and -", c.def.Program)
	}
	if s := c.def.Summary; s == "" || strings.Contains(s, "\n") || !strings.HasSuffix(s, ".") || len(s) > 120 {
		c.Errorf("summary %q: want one sentence of at most 120 letters that ends with a full stop", s)
	}
	switch c.def.Kind {
	case plugin.Collector, plugin.Processor, plugin.Publisher:
	default:
		c.Errorf("kind %q: there is no such kind", c.def.Kind)
	}
}

func (c *conform) defaults() {
	if err := plugin.Fits(c.def.Schema(), c.def.Defaults()); err != nil {
		c.Errorf("defaults %s do not fit the schema: %v", c.def.Defaults(), err)
	}
	if err := plugin.Fits(c.def.Schema(), c.settings); err != nil {
		c.Errorf("settings %s do not fit the schema: %v", c.settings, err)
	}
	if err := c.def.Check(c.settings); err != nil {
		c.Errorf("settings %s are refused: %v (a program that needs settings is tested with plugintest.With)", c.settings, err)
	}
}

// makeTwice makes two instances that live side by side, as those of two configs do, and uses each.
func (c *conform) makeTwice() {
	var made []any
	for range 2 {
		p, err := c.make()
		switch {
		case errors.Is(err, plugin.ErrNoData):
			c.Logf("nothing to do here: %v", err)
		case err != nil:
			c.Errorf("New: %v", err)
		case p == nil:
			c.Errorf("New returns neither a %s nor an error", c.def.Kind)
		default:
			made = append(made, p)
		}
	}
	for _, p := range made {
		c.use(p)
	}
	for _, p := range made {
		if closer, ok := p.(io.Closer); ok {
			if err := c.guard("Close", closer.Close); err != nil {
				c.Errorf("Close: %v", err)
			}
		}
	}
	if len(made) > 0 && isStream(made[0]) && c.def.Kind == plugin.Collector {
		c.listen()
	}
}

func (c *conform) make() (p any, err error) {
	err = c.guard("New", func() error {
		p, err = c.def.Build(context.Background(), c.settings, Env(c))
		return err
	})
	return p, err
}

// guard calls f and reports its panic.
func (c *conform) guard(name string, f func() error) error {
	defer func() {
		if v := recover(); v != nil {
			c.Errorf("%s panics: %v\n%s", name, v, debug.Stack())
		}
	}()
	return f()
}

// The calls of the kinds. A stream takes an interface of package collector, which is above this one: it is what is none of them.
type (
	collects interface {
		Collect(context.Context, *telemetry.Batch) error
	}
	surveys interface {
		Survey(context.Context, telemetry.Facts) error
	}
	processes interface {
		Process(ctx context.Context, in, out *telemetry.Batch) error
	}
	publishes interface {
		Publish(context.Context, *telemetry.Batch) error
	}
	flushes interface {
		Flush(context.Context, func(host string) *telemetry.Batch) error
	}
)

func isStream(p any) bool {
	switch p.(type) {
	case collects, surveys, processes, publishes:
		return false
	}
	return true
}

// use calls p as its kind is called, and again with a context that has ended.
func (c *conform) use(p any) {
	switch p := p.(type) {
	case collects:
		for range 2 { // some have nothing to tell the first time
			var b telemetry.Batch
			c.call("Collect", c.Context(), func(ctx context.Context) error { return p.Collect(ctx, &b) })
			c.listed(&b)
		}
		c.cancelled("Collect", func(ctx context.Context) error { return p.Collect(ctx, &telemetry.Batch{}) })
	case surveys:
		facts := telemetry.Facts{}
		c.call("Survey", c.Context(), func(ctx context.Context) error { return p.Survey(ctx, facts) })
		if _, err := facts.Encode(telemetry.MsgPack); err != nil {
			c.Errorf("facts cannot be sent: %v", err)
		}
		c.cancelled("Survey", func(ctx context.Context) error { return p.Survey(ctx, telemetry.Facts{}) })
	case processes:
		c.process(p)
	case publishes:
		c.cancelled("Publish", func(ctx context.Context) error { return p.Publish(ctx, sample()) })
	}
}

func (c *conform) process(p processes) {
	f, window := p.(flushes)
	process := func(ctx context.Context) error {
		var out *telemetry.Batch // none for one that works by windows
		if !window {
			out = &telemetry.Batch{}
		}
		return p.Process(ctx, sample(), out)
	}
	c.call("Process", c.Context(), process)
	if window {
		flush := func(ctx context.Context) error {
			return f.Flush(ctx, func(string) *telemetry.Batch { return &telemetry.Batch{} })
		}
		c.call("Flush", c.Context(), flush)
		c.cancelled("Flush", flush)
	}
	c.cancelled("Process", process)
}

// sample returns some points as they come from the bus.
func sample() *telemetry.Batch {
	var made, in telemetry.Batch
	made.SetHost("web-1")
	for i := range 10 {
		made.Add("cpu", telemetry.Fields{"usage": 90 + float64(i), "n": i}, telemetry.Tags{"cpu": "cpu0"})
	}
	if err := in.DecodeMsgPack(made.AppendMsgPack(nil)); err != nil {
		panic(err) // of our own making
	}
	in.SetHost("web-1")
	return &in
}

// call calls f. An error is no broken promise: here may be nothing that the program could work with.
func (c *conform) call(name string, ctx context.Context, f func(context.Context) error) {
	if err := c.guard(name, func() error { return f(ctx) }); err != nil {
		c.Logf("%s: %v", name, err)
	}
}

// cancelled calls f with a context that has ended: it must return soon.
func (c *conform) cancelled(name string, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c.within(name, func() { c.call(name, ctx, f) })
}

// listen runs a stream until it has said something, or for a moment if it says nothing.
func (c *conform) listen() {
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	out := heeded{said: cancel}
	c.within("Stream", func() {
		args := []string{"--once", "--host", "web-1", "--dir", c.TempDir(), "--config", string(c.settings)}
		plugin.Run(ctx, c.def, args, strings.NewReader(""), &out, c.Output(), nil)
	})
	var b telemetry.Batch
	if out.Len() > 0 && b.DecodeJSON(out.Bytes(), time.Now()) == nil {
		c.listed(&b)
	}
}

// heeded is a buffer that tells when something is written.
type heeded struct {
	bytes.Buffer
	said func()
}

func (h *heeded) Write(p []byte) (int, error) {
	defer h.said()
	return h.Buffer.Write(p)
}

func (c *conform) within(name string, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(leniency * soon):
		c.Errorf("%s does not return within %v when its context has ended", name, soon)
		<-done
	}
}
