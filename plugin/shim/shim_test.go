package shim

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/processor"
	"github.com/pacewire/pacewire/publisher"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// plenty is for what takes a moment.
const plenty = time.Minute

// sh is what runs a script as a plugin.
func sh(kind plugin.Kind, script string) Options {
	return Options{Kind: kind, Command: []string{"sh", "-c", script}, Environ: os.Environ(), Format: Lines}
}

// made is the work of a kind, ended with the test.
func made[P any](t *testing.T, o Options, build func(runner) (P, error)) P {
	t.Helper()
	p, err := build(o.runner(t.Context(), nil, plugintest.Env(t)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// closed closes p at the end of the test, before its context ends.
func closed(t testing.TB, p any) {
	t.Helper()
	if c, ok := p.(interface{ Close() error }); ok {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

// batch is one of points of line protocol, as it comes from the bus.
func batch(t testing.TB, text string) *telemetry.Batch {
	t.Helper()
	var b, in telemetry.Batch
	if err := b.DecodeLines([]byte(text), noon); err != nil {
		t.Fatal(err)
	}
	if err := in.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil {
		t.Fatal(err)
	}
	return &in
}

// process gives a batch to a processor, and returns what it makes of it.
func process(t *testing.T, p processor.Processor, text string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), plenty)
	defer cancel()
	var out telemetry.Batch
	err := p.Process(ctx, batch(t, text), &out)
	return strings.ReplaceAll(string(out.AppendLines(nil)), " 1700000000000000000", ""), err
}

// failure is what has ended the work of a processor, nil if nothing has.
func failure(p processor.Processor) error {
	var f faults
	switch a := p.(filter).asked.(type) {
	case *worker:
		f = a.faults
	case *each:
		f = a.faults
	}
	select {
	case err := <-f.c:
		return err
	default:
		return nil
	}
}

// running is the program of a processor that goes on running.
func running(p processor.Processor) *worker { return p.(filter).asked.(*worker) }

func TestConform(t *testing.T) {
	catalog := []telemetry.Desc{{Series: "cpu", Help: "CPU.", Fields: map[string]string{"usage": "percent", "n": "1"}, Tags: map[string]string{"cpu": "which"}, Types: map[string]string{"n": "i"}}}
	f := func(name string, o Options, script string) {
		t.Run(name, func(t *testing.T) {
			s := sh(o.Kind, script)
			s.Each, s.Catalog = o.Each, catalog
			d, err := Define(s)
			if err != nil {
				t.Fatal(err)
			}
			plugintest.Conform(t, d, plugintest.With(`{"level": 3, "deep": {"a": [1]}}`))
		})
	}
	f("collector", Options{Kind: plugin.Collector}, "while :; do echo cpu usage=$PW_LEVEL; sleep 0.1; done")
	f("collector each", Options{Kind: plugin.Collector, Each: true}, "echo cpu usage=$PW_LEVEL")
	f("processor", Options{Kind: plugin.Processor}, "exec cat")
	f("processor each", Options{Kind: plugin.Processor, Each: true}, "exec cat")
	f("publisher", Options{Kind: plugin.Publisher}, "while read line; do [ -n \"$line\" ] || echo; done")
	f("publisher each", Options{Kind: plugin.Publisher, Each: true}, "exec cat >/dev/null")
}

func TestDefine(t *testing.T) {
	f := func(o Options, want string) {
		t.Helper()
		if _, err := Define(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
	f(Options{Kind: plugin.Collector}, "there is no command: write it behind --")
	f(Options{Kind: plugin.Collector, Command: []string{""}}, "there is no command")
	f(Options{Kind: "cat", Command: []string{"cat"}}, `kind "cat": want collector, processor or publisher`)
}

func TestNameOf(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "My Load_2.sh")
	if err := os.WriteFile(script, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := func(want string, command ...string) {
		t.Helper()
		if got := nameOf(command); got != want {
			t.Errorf("%q: %q, want %q", command, got, want)
		}
	}
	f("cat", "cat")
	f("my-load-2", "sh", "-e", script)
	f("my-load-2", script, "x")
	f("x", "/no/such/X.py")
	f("shim", "..")
	f(strings.Repeat("a", 63), strings.Repeat("a", 100))
}

// The environment of a program: settings, what it may know of itself, and nothing that is between us and the agent.
func TestEnvironment(t *testing.T) {
	o := sh(plugin.Collector, "env")
	o.Environ = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=de_DE", "PACEWIRE_CREDS=secret", "OWN=1"}
	r := o.runner(t.Context(), settings(t, `{"level":3}`), plugin.Env{Host: "h", Name: "n", Dir: "/d", Every: 1500 * time.Millisecond})
	for _, want := range []string{"OWN=1", "LC_ALL=C.UTF-8", "PW_LEVEL=3", "PACEWIRE_HOST=h", "PACEWIRE_PLUGIN=n", "PACEWIRE_DIR=/d", "PACEWIRE_EVERY=1.5"} {
		if !slices.Contains(r.spec.Env, want) {
			t.Errorf("%q lacks %s", r.spec.Env, want)
		}
	}
	if text := strings.Join(r.spec.Env, " "); strings.Contains(text, "secret") || strings.Contains(text, "de_DE") {
		t.Errorf("%q", text)
	}
}

func TestProcessor(t *testing.T) {
	p := made(t, sh(plugin.Processor, `while IFS= read -r l; do case $l in "") echo;; drop*) ;; *) echo "x_$l";; esac; done`), newProcessor)
	defer closed(t, p)
	for range 3 {
		if got, err := process(t, p, "a v=1\ndrop v=2\nb,t=u v=3i,s=\"x y\"\n"); got != "x_a v=1\nx_b,t=u s=\"x y\",v=3i\n" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	}
	if got, err := process(t, p, "drop v=2\n"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A batch of which nothing can be read comes again: it would be gone.
func TestProcessorOfAnotherFormat(t *testing.T) {
	o := sh(plugin.Processor, `while read l; do [ -n "$l" ] && echo "a v=1"; [ -n "$l" ] || echo; done`)
	o.Format = JSON
	p := made(t, o, newProcessor)
	defer closed(t, p)
	for range 2 {
		if got, err := process(t, p, "a v=1\n"); got != "" || err == nil || !strings.Contains(err.Error(), `no line that the program prints is a point, such as {"series"`) {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// Nothing waits for the other side, however large a batch is.
func TestLargeBatch(t *testing.T) {
	p := made(t, sh(plugin.Processor, "exec cat"), newProcessor)
	defer closed(t, p)
	text := strings.Repeat("a,some=tag a=1,b=2,c=\""+strings.Repeat("long ", 50)+"\"\n", 30_000)
	got, err := process(t, p, text)
	if err != nil || got != text {
		t.Errorf("%d bytes come back of %d, %v", len(got), len(text), err)
	}
}

// A point that comes without a time has that of the batch, each time the batch is given.
func TestTimeOfTheBatch(t *testing.T) {
	p := made(t, sh(plugin.Processor, `while read l; do [ -z "$l" ] && echo "made v=1" && echo; done`), newProcessor)
	defer closed(t, p)
	if got, err := process(t, p, "a v=1 1600000000000000000\nb v=1 1700000000000000000\n"); got != "made v=1\n" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// What a program says of a batch, and what becomes of it.
func TestRefusals(t *testing.T) {
	f := func(script, want string, permanent bool) {
		t.Helper()
		p := made(t, sh(plugin.Processor, "while read l; do [ -n \"$l\" ] || { "+script+"; echo; }; done"), newProcessor)
		defer closed(t, p)
		for range 2 { // it goes on
			got, err := process(t, p, "a v=1\n")
			if err == nil || err.Error() != want || plugin.IsPermanent(err) != permanent || got != "" {
				t.Errorf("%s: %q, %v; want %q", script, got, err, want)
			}
		}
		if err := failure(p); err != nil {
			t.Errorf("%s: %v", script, err)
		}
	}
	f("echo '!retry the sink is away'", "the sink is away", false)
	f("echo '!permanent  no such table '; echo a v=1", "no such table", true)
	f("echo a v=1; printf '!retry\r\n'", "the program refuses the batch and does not say why", false)
}

// A batch that a program dies of is the batch's fault, one that it has not read is not; in either case the next is started.
func TestProgramDies(t *testing.T) {
	f := func(script, want string, ends bool) {
		t.Helper()
		p := made(t, sh(plugin.Processor, script), newProcessor)
		defer closed(t, p)
		_, err := process(t, p, "a v=1\n")
		cause := failure(p)
		if err == nil || !strings.Contains(err.Error(), want) || (cause != nil) != ends {
			t.Errorf("%s: %v, ended by %v; want %q", script, err, cause, want)
		}
		if ends && !strings.Contains(cause.Error(), want) {
			t.Errorf("%s: ended by %v, want %q", script, cause, want)
		}
	}
	f("read l; echo no licence >&2; exit 3", "the program has ended: exit code 3: no licence", false)
	f("read l; echo a v=1; kill -9 $$", "the program has ended: signal SIGKILL", false)
	f("read l; exec >&-; sleep 1000", "the program has ended: signal SIGTERM", false)
	f("sleep 0.5; echo cannot import name >&2; exit 1", "the program has ended: exit code 1: cannot import name", true)
}

// A program that ends while nobody wants anything of it ends the work: it begins again, with a pause.
func TestProgramEndsIdle(t *testing.T) {
	f := func(script, want string) {
		t.Helper()
		p := made(t, sh(plugin.Processor, script), newProcessor)
		defer closed(t, p)
		select {
		case err := <-running(p).c:
			if err.Error() != want {
				t.Errorf("%s: %v, want %q", script, err, want)
			}
		case <-time.After(plenty):
			t.Fatalf("%s: nobody notices", script)
		}
	}
	f("echo cannot import name >&2; exit 1", "the program has ended: exit code 1: cannot import name")
	f("exit 0", "the program has ended: exit code 0: one that works once and ends wants --each")
}

// A program that hangs is ended at the end of the call, with all it has started; the next batch finds another one.
func TestProgramHangs(t *testing.T) {
	p := made(t, sh(plugin.Processor, `n=0; while read l; do [ "$l" = "stop v=1 1700000000000000000" ] && sleep 1000; echo "$l"; done`), newProcessor)
	defer closed(t, p)
	if got, err := process(t, p, "go v=1\n"); got != "go v=1\n" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	before := running(p).prog.PID()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := p.Process(ctx, batch(t, "stop v=1\n"), &telemetry.Batch{})
	if !errors.Is(err, context.DeadlineExceeded) || failure(p) != nil {
		t.Errorf("%v", err)
	}
	if got, err := process(t, p, "go v=2\n"); got != "go v=2\n" || err != nil || running(p).prog.PID() == before {
		t.Errorf("%q, %v", got, err)
	}
}

// A program that does not even read is not the batch's fault: the work begins again.
func TestProgramIsDeaf(t *testing.T) {
	p := made(t, sh(plugin.Processor, "exec sleep 1000"), newProcessor)
	defer closed(t, p)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err := p.Process(ctx, batch(t, "a v=1\n"), &telemetry.Batch{})
	if cause := failure(p); !errors.Is(err, errDeaf) || !errors.Is(cause, errDeaf) {
		t.Errorf("%v, ended by %v", err, cause)
	}
}

// What nobody has asked for would be taken for the next answer: such a program is not trusted.
func TestProgramOutOfStep(t *testing.T) {
	f := func(script, want string, ends bool) {
		t.Helper()
		p := made(t, sh(plugin.Processor, script), newProcessor)
		defer closed(t, p)
		if strings.HasPrefix(script, "echo") {
			await(t, "it has spoken", func() bool { return running(p).prog.Waiting() > 0 })
		}
		got, err := process(t, p, "a v=1\nb v=2\nc v=3\n")
		if err == nil || !strings.Contains(err.Error(), want) || got != "" {
			t.Errorf("%s: %q, %v; want %q", script, got, err, want)
		}
		if cause := failure(p); (cause != nil) != ends {
			t.Errorf("%s: the work is ended by %v", script, cause)
		}
	}
	f("echo hello; cat", `speaks without being asked`, true)
	f("while read l; do [ -n \"$l\" ] || printf 'a v=1\n\n\n'; done", "prints more behind the empty line", false)
	f("read l; echo; read l; sleep 1000", "bytes of the batch unread", false)
}

func TestProgramThatIsNotThere(t *testing.T) {
	o := sh(plugin.Processor, "")
	o.Command = []string{"/no/such/program"}
	if _, err := newProcessor(o.runner(t.Context(), nil, plugintest.Env(t))); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	o.Each = true
	p := made(t, o, newProcessor)
	if _, err := process(t, p, "a v=1\n"); !errors.Is(err, os.ErrNotExist) || !errors.Is(failure(p), os.ErrNotExist) {
		t.Error(err)
	}
}

func TestProcessorEach(t *testing.T) {
	f := func(script, want, fault string, permanent bool) {
		t.Helper()
		o := sh(plugin.Processor, script)
		o.Each = true
		got, err := process(t, made(t, o, newProcessor), "a v=1\nb v=2\n")
		if got != want || err == nil && fault != "" || err != nil && err.Error() != fault || plugin.IsPermanent(err) != permanent {
			t.Errorf("%s: %q, %v; want %q, %q", script, got, err, want, fault)
		}
	}
	f("sed s/a/c/", "c v=1\nb v=2\n", "", false)
	f("exit 0", "", "", false)
	f("echo hello; echo c v=1", "c v=1\n", "", false)
	f("echo hello world", "", `no line that the program prints is a point, such as load,cpu=0 v=1.5: "hello world"`, false)
	f("cat; echo busy >&2; exit 75", "", "the program has ended: exit code 75: busy", false)
	f("cat; echo wrong >&2; exit 65", "", "the program has ended: exit code 65: wrong", true)
	f("kill -9 $$", "", "the program has ended: signal SIGKILL", false)
}

func TestEachHangs(t *testing.T) {
	o := sh(plugin.Publisher, "sleep 1000 & wait")
	o.Each = true
	p := made(t, o, newPublisher)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := p.Publish(ctx, batch(t, "a v=1\n")); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

func TestPublisher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "points")
	f := func(each bool, script string, want ...string) {
		t.Helper()
		_ = os.Remove(path)
		o := sh(plugin.Publisher, strings.ReplaceAll(script, "PATH", path))
		o.Each = each
		p := made(t, o, newPublisher)
		defer closed(t, p)
		for range 2 {
			publish(t, p, want...)
		}
		if text, _ := os.ReadFile(path); len(want) == 0 && string(text) != strings.Repeat("a v=1 1700000000000000000\nb v=2 1700000000000000000\n", 2) {
			t.Errorf("%s: %q is published", script, text)
		}
	}
	f(false, `while read -r l; do if [ -n "$l" ]; then echo "$l" >>PATH; else echo; fi; done`)
	f(false, `while read -r l; do [ -n "$l" ] || { echo HTTP/1.1 200; echo; }; done`, "more than the empty line", "HTTP/1.1 200", "not count as confirmed")
	f(false, `while read -r l; do [ -n "$l" ] || { echo '!retry disk full'; echo; }; done`, "disk full")
	f(true, "cat >>PATH; echo done")
	f(true, "cat >/dev/null; exit 75", "exit code 75")
}

// publish publishes a batch; with parts of an error it has to fail with that.
func publish(t *testing.T, p publisher.Publisher, fault ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), plenty)
	defer cancel()
	err := p.Publish(ctx, batch(t, "a v=1\nb v=2\n"))
	if (err != nil) != (len(fault) > 0) {
		t.Errorf("%v, want %q", err, fault)
	}
	for _, part := range fault {
		if err != nil && !strings.Contains(err.Error(), part) {
			t.Errorf("%v does not say %q", err, part)
		}
	}
}

func await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(plenty); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
