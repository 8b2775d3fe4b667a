package execd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// plenty is for what takes a moment.
const plenty = time.Minute

// runner returns the runner of a script.
func runner(t *testing.T, script string, change func(*Config)) *Runner {
	t.Helper()
	cfg := Defaults()
	cfg.Command = plugin.Strings{"sh", "-c", script}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r, err := New(t.Context(), cfg, plugintest.Env(t), Manners{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// said is a reader of what a program prints, into a text that is whole when Run has returned.
func said(text *string) func(p *Program) {
	return func(p *Program) {
		all, _ := io.ReadAll(p)
		*text = string(all)
	}
}

// idle feeds nothing.
func idle(ctx context.Context, _ *Program) error {
	<-ctx.Done()
	return nil
}

// How a program ends says whether, and when, it is started again.
func TestOutcome(t *testing.T) {
	f := func(script string, change func(*Config), after time.Duration, says string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), plenty)
		defer cancel()
		var out string
		err := runner(t, script, change).Run(ctx, idle, said(&out))
		if err == nil || !strings.Contains(err.Error(), says) || plugin.RetryAfter(err) != after || out != "hello\n" {
			t.Errorf("%s: it says %q, then %v, in %v; want %q in %v", script, out, err, plugin.RetryAfter(err), says, after)
		}
		if plugin.IsPermanent(err) != (after == 0) {
			t.Errorf("%s: permanent: %v", script, err)
		}
	}
	stop := func(c *Config) { c.StopOnError = true }
	f("echo hello; exit 0", nil, 10*time.Second, "exit code 0 (it is started again in 10s)")
	f("echo hello; echo W! first >&2; echo E! no disk >&2; exit 3", nil, 10*time.Second, "exit code 3: E! no disk (it is")
	f("echo hello; kill -9 $$", func(c *Config) { c.RestartDelay = plugin.Duration(time.Hour) }, time.Hour, "signal SIGKILL")
	f("echo hello; exit 0", stop, 10*time.Second, "exit code 0")
	f("echo hello; exit 3", stop, 0, "exit code 3 (stop_on_error")
}

// A program that cannot be started is tried again, too: it may be installed meanwhile.
func TestNoProgram(t *testing.T) {
	r := runner(t, "", func(c *Config) { c.Command = plugin.Strings{"/no/such/program"} })
	for _, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, mostDelay, mostDelay} {
		err := r.Run(t.Context(), idle, nil)
		if plugin.RetryAfter(err) != want || !strings.Contains(fmt.Sprint(err), "write the whole path") {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if err := r.again(errGone, longEnough); plugin.RetryAfter(err) != 10*time.Second {
		t.Errorf("after a long life: %v", err)
	}
}

// An operator who wants no delay gets none the first time; a program that ends at once is not started again and again.
func TestNoDelay(t *testing.T) {
	r := runner(t, "", func(c *Config) { c.RestartDelay = 0 })
	for _, want := range []time.Duration{time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second} {
		if err := r.again(errGone, 0); plugin.RetryAfter(err) != want {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if err := r.again(errGone, longEnough); plugin.RetryAfter(err) != time.Millisecond {
		t.Errorf("after a long life: %v", err)
	}
}

// Starts are as far apart as they have to be, however soon the program ends.
func TestApart(t *testing.T) {
	r := runner(t, "", nil)
	r.ways.Apart = time.Minute
	for ran, want := range map[time.Duration]time.Duration{5 * time.Second: 55 * time.Second, 59*time.Second + 999*time.Millisecond: 20 * time.Second} {
		r.delay = 20 * time.Second
		if err := r.again(errGone, ran); plugin.RetryAfter(err) != want {
			t.Errorf("it ran for %v: %v, want %v", ran, err, want)
		}
	}
}

// One that may return is started again when its time has come, until it fails.
func TestReturns(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), plenty)
	defer cancel()
	dir := t.TempDir()
	r := runner(t, "echo x >>runs; [ $(wc -l <runs) -lt 3 ] || exit 4", func(c *Config) { c.Dir = dir })
	r.ways = Manners{Returns: true, Apart: time.Millisecond}
	var out string
	err := r.Run(ctx, idle, said(&out))
	if runs, _ := os.ReadFile(filepath.Join(dir, "runs")); string(runs) != "x\nx\nx\n" || !strings.Contains(fmt.Sprint(err), "exit code 4") {
		t.Errorf("%q, %v", runs, err)
	}
}

// One that does not read its input is told of the end by a signal.
func TestTermAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := runner(t, "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.01; done", nil)
	r.ways.TermAtOnce = true
	var text []byte
	err := r.Run(ctx, idle, func(p *Program) {
		line := make([]byte, 3)
		_, _ = io.ReadFull(p, line)
		cancel()
		rest, _ := io.ReadAll(p)
		text = append(line, rest...)
	})
	if err != nil || string(text) != "up\nbye\n" {
		t.Errorf("it says %q, %v", text, err)
	}
}

func TestNothingToDo(t *testing.T) {
	if _, err := New(t.Context(), Defaults(), plugintest.Env(t), Manners{}); !errors.Is(err, plugin.ErrNoData) {
		t.Errorf("%v", err)
	}
}

// At the end a program hears that no more comes, and what it says then is heard.
func TestEnd(t *testing.T) {
	f := func(name string, feed func(ctx context.Context, p *Program) error, cancels bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), plenty)
		defer cancel()
		if cancels {
			time.AfterFunc(50*time.Millisecond, cancel)
		}
		var out string
		if err := runner(t, "cat >/dev/null; echo bye", nil).Run(ctx, feed, said(&out)); err != nil || out != "bye\n" {
			t.Errorf("%s: it says %q, %v", name, out, err)
		}
	}
	f("the plugin ends", idle, true)
	f("the input ends", func(context.Context, *Program) error { return nil }, false)
}

// What goes wrong elsewhere is told as it is.
func TestFeedFails(t *testing.T) {
	away := errors.New("the bus is away")
	var out string
	err := runner(t, "cat", nil).Run(t.Context(), func(context.Context, *Program) error { return away }, said(&out))
	if !errors.Is(err, away) || plugin.RetryAfter(err) != 0 {
		t.Errorf("%v", err)
	}
}

// The program sees what its operator has set, and nothing of what is between plugin and bus.
func TestEnvironment(t *testing.T) {
	t.Setenv("PACEWIRE_CREDS", "/secret")
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	dir := t.TempDir()
	var out string
	_ = runner(t, `echo "$SITE $LC_ALL ${PACEWIRE_CREDS-none} $(pwd)"`, func(c *Config) {
		c.Environment, c.Dir = map[string]string{"SITE": "lab"}, dir
	}).Run(t.Context(), idle, said(&out))
	if want := "lab C.UTF-8 none " + dir + "\n"; out != want {
		t.Errorf("%q, want %q", out, want)
	}
}

func TestValidate(t *testing.T) {
	f := func(change func(*Config), says string) {
		t.Helper()
		cfg := Defaults()
		change(&cfg)
		err := cfg.Validate()
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Command = plugin.Strings{"a b", "c"} }, "")
	f(func(c *Config) { c.Command = plugin.Strings{"a b"} }, "no shell reads it")
	f(func(c *Config) { c.Command = plugin.Strings{""} }, "the program is empty")
	f(func(c *Config) { c.Environment = map[string]string{"A=B": ""} }, `environment "A=B"`)
	f(func(c *Config) { c.RestartDelay = -1 }, "restart_delay -1ns")
	f(func(c *Config) { c.Stderr = "loud" }, `stderr "loud": want error, warn, info or debug`)
}

// await waits for a condition.
func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(plenty); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", plenty, what)
		}
	}
}

// start starts the program of a script, without a runner.
func start(t *testing.T, script string) *Program {
	t.Helper()
	p, err := child.Start(runner(t, script, nil).spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.End()
		<-p.Gone()
		p.Close()
	})
	return &Program{Program: p}
}
