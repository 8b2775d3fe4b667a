package nagios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestConform(t *testing.T) {
	plugintest.Conform(t, Define(), plugintest.With(`{"checks": {"fine": {"command": ["true"], "every": "1s"}}}`))
}

// Run once, each check is, side by side; no state follows from that, and nothing is told of it.
func TestOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	settings := fmt.Sprintf(`{"defaults": {"attempts": 1, "every": "1h"}, "checks": {
		"a": {"command": ["sh", "-c", "touch %[1]s/a; while ! [ -e %[1]s/b ]; do sleep 0.01; done; echo 'well|n=1'"]},
		"b": {"command": ["sh", "-c", "touch %[1]s/b; while ! [ -e %[1]s/a ]; do sleep 0.01; done; echo bad; exit 2"]}}}`, dir)
	var out, said strings.Builder
	args := []string{"--once", "--dir", dir, "--config", settings}
	if code := plugin.Run(t.Context(), Define(), args, strings.NewReader(""), &out, &said, os.Environ()); code != 0 || said.Len() > 0 {
		t.Errorf("exit code %d, it says %s", code, said.String())
	}
	for _, want := range []string{`"text":"well"`, `"value":1`, `"text":"bad"`, `"state":2`} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("it has not once %s: %s", want, out.String())
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "checks.json")); err == nil {
		t.Error("it has kept states")
	}
}

// An emitter takes batches as the bus does.
type emitter struct {
	mu      sync.Mutex
	points  []telemetry.Point
	events  []telemetry.Event
	dropped map[string]int
	refuses error // each event
}

func (e *emitter) Emit(b *telemetry.Batch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refuses != nil {
		return e.refuses
	}
	e.events = append(e.events, telemetry.Events(b)...)
	return nil
}

func (e *emitter) Post(b *telemetry.Batch, _ time.Duration) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for p := range b.Points() {
		e.points = append(e.points, p)
	}
	return nil
}

func (e *emitter) Batch() *telemetry.Batch { return &telemetry.Batch{} }

func (e *emitter) Drop(reason string, n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropped[reason] += n
}

// refuse makes it refuse events, or take them again.
func (e *emitter) refuse(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refuses = err
}

// of returns the points of a series that a check has said.
func (e *emitter) of(series, check string) (list []telemetry.Point) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.points {
		if p.Series == series && p.Tags["check"] == check {
			list = append(list, p)
		}
	}
	return list
}

// told returns the events as "FROM>TO", in their order.
func (e *emitter) told() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var list []string
	for _, event := range e.events {
		list = append(list, event.From+">"+event.To)
	}
	return strings.Join(list, " ")
}

// A rig runs checks, each several times a second.
type rig struct {
	*emitter
	t      *testing.T
	folder string // of the plugin
	stop   func() // ends the checks, and begins no others
}

const quick = plugin.Duration(50 * time.Millisecond)

// run runs checks until the test ends, or stop. A nil folder is a new one.
func run(t *testing.T, folder string, list map[string]Check) *rig {
	t.Helper()
	env := plugintest.Env(t)
	if folder != "" {
		env.Dir = folder
	}
	for name, c := range list {
		c.Manner = c.or(Manner{Every: quick, RetryEvery: quick, Attempts: 1, Kilo: 1000})
		list[name] = c
	}
	s, err := New(t.Context(), Config{Checks: list}, env)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.(*checks).list { // which New has bound to the interval
		c.Timeout = max(c.Timeout, list[c.name].Timeout)
		if list[c.name].Timeout == 0 {
			c.Timeout = plugin.Duration(time.Minute)
		}
	}
	r := &rig{emitter: &emitter{dropped: map[string]int{}}, t: t, folder: env.Dir}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Stream(ctx, r.emitter) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("stream: %v", err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

// first returns the first point of check_state that a check has said.
func (r *rig) first(check string) telemetry.Point {
	r.t.Helper()
	r.runs(check, 1)
	return r.of("check_state", check)[0]
}

// runs waits until a check was run so many times more.
func (r *rig) runs(check string, n int) {
	r.t.Helper()
	n += len(r.of("check_state", check))
	plugintest.Until(r.t, fmt.Sprintf("%d runs of %s", n, check), func() bool { return len(r.of("check_state", check)) >= n })
}

// shell is a check that is a line of a shell.
func shell(line string, args ...any) Check {
	return Check{Command: plugin.Strings{"/bin/sh", "-c", fmt.Sprintf(line, args...)}}
}

// A lever is a check whose exit code is set.
type lever struct {
	t    *testing.T
	path string
}

func newLever(t *testing.T) lever { return lever{t, filepath.Join(t.TempDir(), "code")} }

func (l lever) set(code int) {
	l.t.Helper()
	fresh := l.path + ".new"
	if err := os.WriteFile(fresh, fmt.Appendf(nil, "%d\n", code), 0o600); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Rename(fresh, l.path); err != nil {
		l.t.Fatal(err)
	}
}

func (l lever) check() Check { return shell("read code <%s; echo code $code; exit $code", l.path) }
