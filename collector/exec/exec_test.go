package exec

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMain(m *testing.M) {
	if done, err := playFlood(); done {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	leaktest.Main(m)
}

func TestConform(t *testing.T) {
	plugintest.Conform(t, Define(), plugintest.With(`{"command": ["true"]}`))
}

var noon = time.Unix(1700000000, 0)

// collector makes the collector of a command line, or of what change makes of it.
func newExec(t *testing.T, change func(*Config)) collector.Collector {
	t.Helper()
	cfg := Defaults()
	change(&cfg)
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := New(t.Context(), cfg, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// collect returns the points of one run as line protocol.
func collect(t *testing.T, c collector.Collector) (string, *telemetry.Drops, error) {
	t.Helper()
	var b telemetry.Batch
	b.At(noon)
	err := c.Collect(t.Context(), &b)
	return string(b.AppendLines(nil)), b.Drops(), err
}

func line(s string) func(*Config) {
	return func(c *Config) { c.Command, c.Shell = []string{s}, true }
}

func TestCollect(t *testing.T) {
	got, _, err := collect(t, newExec(t, func(c *Config) { c.Command = []string{"echo", "load one=0.5,n=3i"} }))
	if want := "load n=3i,one=0.5 1700000000000000000\n"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	got, _, err = collect(t, newExec(t, line("echo a b=1 | sed s/a/c/; echo c b=2 5")))
	if want := "c b=1 1700000000000000000\nc b=2 5\n"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// A run that fails says why, and its points do not count unless the operator wants them.
func TestFailure(t *testing.T) {
	f := func(change func(*Config), points int, says string) {
		t.Helper()
		got, _, err := collect(t, newExec(t, change))
		if n := strings.Count(got, "\n"); n != points || says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%q, %v; want %d points and %q", got, err, points, says)
		}
	}
	f(line("echo a b=1; echo no disk >&2; exit 3"), 0, "exit code 3: no disk")
	f(line("echo a b=1; exit 3"), 0, "exit code 3")
	f(func(c *Config) { line("echo a b=1; exit 3")(c); c.IgnoreError = true }, 1, "")
	f(func(c *Config) { line("echo a b=1; /no/such/program")(c); c.IgnoreError = true }, 0, "exit code 127")
	f(func(c *Config) { c.Command = []string{"/no/such/program"}; c.IgnoreError = true }, 0, "write the whole path")
	f(line("echo nonsense"), 0, "no point can be read from what it prints, as influx: line 1")
	f(line("echo nonsense; echo a b=1"), 1, "")
	f(line("true"), 0, "")
}

// What is left out is counted by reason.
func TestDrops(t *testing.T) {
	_, drops, err := collect(t, newExec(t, line("echo bad; echo a b=1,c=NaN")))
	if err != nil || drops.Count(telemetry.CodeLine) != 1 || drops.Count(telemetry.CodeNaN) != 1 {
		t.Errorf("%v, %v", drops, err)
	}
}

// A pattern is looked up at each run, and each program it finds is run.
func TestPattern(t *testing.T) {
	dir := t.TempDir()
	add := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	c := newExec(t, func(c *Config) { c.Command = []string{filepath.Join(dir, "*.sh"), "arg"} })
	if got, _, err := collect(t, c); got != "" || err == nil || !strings.Contains(err.Error(), "no file is called so") {
		t.Errorf("%q, %v", got, err)
	}
	add("a.sh", "echo a,arg=$1 v=1")
	add("b.sh", "exit 1")
	add("c.sh", "echo c v=2")
	add("d.txt", "echo d v=3")
	got, _, err := collect(t, c)
	if want := "a,arg=arg v=1 1700000000000000000\nc v=2 1700000000000000000\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err == nil || !strings.Contains(err.Error(), "b.sh: exit code 1") {
		t.Errorf("%v", err)
	}
}

// What a pattern finds are checks of different names.
func TestPatternNames(t *testing.T) {
	f := func(pattern, program, want string) {
		t.Helper()
		c := Config{Command: []string{pattern}}
		if got := c.checkName(run{command: []string{program}}, "plugin"); got != want {
			t.Errorf("%s as %s: %q, want %q", program, pattern, got, want)
		}
	}
	f("/etc/checks/*", "/etc/checks/disk", "disk")
	f("/etc/checks/*/disk", "/etc/checks/web/disk", "web/disk")
	f("/etc/*s/web/disk", "/etc/checks/web/disk", "checks/web/disk")
	f("/*/disk", "/opt/disk", "opt/disk")
	f("/etc/checks/disk", "/etc/checks/disk", "plugin")
}

// A check says by its exit code what it found, and that is no error.
func TestCheck(t *testing.T) {
	f := func(change func(*Config), want ...string) {
		t.Helper()
		got, _, err := collect(t, newExec(t, change))
		if err != nil {
			t.Errorf("%q, %v", got, err)
		}
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%q has no %q", got, part)
			}
		}
	}
	format := func(format, script string) func(*Config) {
		return func(c *Config) { line(script)(c); c.Format = format }
	}
	f(format("nagios", "echo 'LOAD CRITICAL - 9 | load1=9;5;8;0;'; exit 2"), "check_state,check=test ", "exit_code=2i", "state=2i", `text="LOAD CRITICAL - 9"`,
		"nagios_perf,check=test,label=load1 ", "value=9")
	f(format("auto", "echo 'OK | a=1'"), "state=0i", "label=a")
	f(format("auto", "echo all is well"), "state=0i", `text="all is well"`)
	f(format("auto", "echo a b=2"), "a b=2 1700000000000000000\n")
	f(format("nagios", "/no/such/program"), "state=3i", `reason="not_found"`, "exit_code=127i")
	f(func(c *Config) { c.Command, c.Format = []string{"/no/such/program"}, "nagios" }, "state=3i", `reason="not_found"`, "write the whole path")
	f(func(c *Config) { format("influx", "echo a b=1; echo late >&2; exit 1")(c); c.State = true }, "a b=1 1700000000000000000\n", "state=1i", `text="late"`, `stderr="late`)
	f(func(c *Config) { format("influx", "echo a b=1")(c); c.State = true }, "state=0i", `text="exit code 0"`)
}

// However much a check prints, what it has measured in the last line is found.
func TestCheckFlood(t *testing.T) {
	got, _, err := collect(t, newExec(t, func(c *Config) {
		line("echo begin; head -c 10485760 /dev/zero | tr '\\0' x; echo; echo 'end | a=7'")(c)
		c.Format = "nagios"
	}))
	if err != nil || !strings.Contains(got, "truncated=true") || !strings.Contains(got, "label=a value=7") || len(got) > checkHead+checkTail+4096 {
		t.Errorf("%d bytes: %.300q, %v", len(got), got, err)
	}
}

// Where the middle of an output is left out, no number is made of two halves, whatever its format is called.
func TestCheckSeam(t *testing.T) {
	for _, format := range []string{"nagios", "nagios_perfdata"} {
		got, _, err := collect(t, newExec(t, func(c *Config) {
			line("printf 'OK\n|'; yes a=1234567 | head -c 200003; echo")(c)
			c.Format = format
		}))
		if n := strings.Count(got, "nagios_perf,"); err != nil || n < 6000 || strings.Count(got, "label=a value=1234567 ") < n-1 || !strings.Contains(got, "perf_errors=0i") {
			t.Errorf("%s: %d items, of which %d are whole: %.300q, %v", format, n, strings.Count(got, "label=a value=1234567 "), got, err)
		}
	}
}

// Of too much output the whole lines in the first part count, and the rest is told.
func TestFlood(t *testing.T) {
	got, _, err := collect(t, newExec(t, line("echo a b=1; echo a b=2; head -c 9000000 /dev/zero | tr '\\0' x; echo; echo a b=3")))
	if err == nil || !strings.Contains(err.Error(), "prints more than 8 MiB") || strings.Count(got, "\n") != 2 {
		t.Errorf("%q, %v", got, err)
	}
}

// Whatever a command prints, what is made of it can be sent.
func TestNoise(t *testing.T) {
	noise := make([]byte, 60<<10)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(noise)
	path := filepath.Join(t.TempDir(), "noise")
	if err := os.WriteFile(path, noise, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, format := range append(decode.Formats(), "auto") {
		c := newExec(t, func(c *Config) { c.Command, c.Format = []string{"cat", path}, format })
		var b, back telemetry.Batch
		b.At(noon)
		err := c.Collect(t.Context(), &b)
		if b.Len() == 0 && err == nil {
			t.Errorf("%s: nothing is told", format)
		}
		if err := back.DecodeMsgPack(b.AppendMsgPack(nil)); err != nil || back.Len() != b.Len() {
			t.Errorf("%s: %d points, of which %d arrive: %v", format, b.Len(), back.Len(), err)
		}
	}
}

// A command that never ends to print is ended, and so is what it has started elsewhere.
func TestEndless(t *testing.T) {
	for format, want := range map[string]string{"influx": "", "nagios": "timed_out=true,truncated=true"} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // to print more than is kept, on a busy machine too
		c := newExec(t, func(c *Config) { line("setsid yes a b=1 & yes a b=2")(c); c.Format = format })
		var b telemetry.Batch
		err := c.Collect(ctx, &b)
		if got := string(b.AppendLines(nil)); (err != nil) != (want == "") || !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %.300q, %v", format, got, err)
		}
		cancel()
	}
}

// A command may be another one, or none, when it is run again.
func TestFileChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sh")
	const script = "#!/bin/sh\necho a v=1; printf '#!/bin/sh\\necho a v=2; rm \"$0\"' >$0.new; chmod +x $0.new; mv $0.new $0; echo a v=3\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	c := newExec(t, func(c *Config) { c.Command = []string{path} })
	for _, want := range []string{"a v=1 1700000000000000000\na v=3 1700000000000000000\n", "a v=2 1700000000000000000\n"} {
		if got, _, err := collect(t, c); got != want || err != nil {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if got, _, err := collect(t, c); got != "" || err == nil || !strings.Contains(err.Error(), "write the whole path of where it is") {
		t.Errorf("%q, %v", got, err)
	}
}

// A command that hangs is ended with the time of the collection, which says so; one that the end of the plugin interrupts is as if
// it had not been.
func TestTimeout(t *testing.T) {
	f := func(end func(context.Context) (context.Context, context.CancelFunc), format, want string, is error) {
		t.Helper()
		ctx, cancel := end(t.Context())
		defer cancel()
		c := newExec(t, func(c *Config) { line("echo a b=1; sleep 3600")(c); c.Format = format })
		var b telemetry.Batch
		err := c.Collect(ctx, &b)
		if got := string(b.AppendLines(nil)); !errors.Is(err, is) || !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, %v; want %q and %v", format, got, err, want, is)
		}
	}
	late := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 100*time.Millisecond)
	}
	over := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancel(ctx)
		time.AfterFunc(100*time.Millisecond, cancel)
		return ctx, cancel
	}
	f(late, "influx", "", context.DeadlineExceeded)
	f(late, "nagios", "timed_out=true", nil)
	f(over, "influx", "", context.Canceled)
	f(over, "nagios", "", context.Canceled)
}

// What is between us and the bus is not for the command, and neither is our locale.
func TestEnvironment(t *testing.T) {
	for name, value := range map[string]string{"LC_ALL": "de_DE.UTF-8", "LANG": "de_DE", "PACEWIRE_CREDS": "/secret", "PACEWIRE_BUS": "nats://secret", "TZ": "UTC"} {
		t.Setenv(name, value)
	}
	got, _, err := collect(t, newExec(t, func(c *Config) {
		line(`env | sed 's/=.*//' | grep -v -e MARK -e PWD -e SHLVL -e ^_$ | sort | tr '\n' ' ' | sed 's/.*/a names="&"/'; echo; echo "a lc=\"$LC_ALL\",mine=\"$MINE\",half=$(printf %.1f 0.5)"`)(c)
		c.Environment = map[string]string{"MINE": "yes"}
	}))
	if err != nil || strings.Contains(got, "PACEWIRE") || strings.Contains(got, "LANG") || !strings.Contains(got, `half=0.5,lc="C.UTF-8",mine="yes"`) {
		t.Errorf("%s%v", got, err)
	}
	for _, name := range []string{"PATH", "HOME", "TZ", "LC_ALL", "MINE"} {
		if !strings.Contains(got, name+" ") {
			t.Errorf("%s lacks %s", got, name)
		}
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this test needs root: it runs a command as somebody else")
	}
	got, _, err := collect(t, newExec(t, func(c *Config) {
		line(`echo "a who=\"$(id -un)\",home=\"$HOME\""`)(c)
		c.User = "nobody"
	}))
	if err != nil || !strings.Contains(got, `who="nobody"`) || strings.Contains(got, `home="/root"`) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestNoSuchUser(t *testing.T) {
	cfg := Defaults()
	cfg.Command, cfg.User = []string{"true"}, "no-such-user"
	if _, err := New(t.Context(), cfg, plugintest.Env(t)); err == nil || !strings.Contains(err.Error(), "user no-such-user: this machine has no such user") {
		t.Errorf("%v", err)
	}
}

func TestValidate(t *testing.T) {
	f := func(change func(*Config), says string) {
		t.Helper()
		cfg := Defaults()
		cfg.Command = []string{"true"}
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	f(func(c *Config) { c.Command = []string{""} }, "the program is empty")
	f(func(c *Config) { c.Command = []string{"df -h"} }, `command "df -h": no shell reads it`)
	f(func(c *Config) { c.Command, c.Shell = []string{"df", "-h"}, true }, "it is one line")
	f(func(c *Config) { c.Command = []string{"*.sh"} }, `command "*.sh": want a pattern of whole paths, such as /etc/checks/*.sh`)
	f(func(c *Config) { c.Command = []string{"/etc/[a-"} }, `command "/etc/[a-": want a pattern of whole paths`)
	f(func(c *Config) { c.Format = "xml" }, `format "xml"`)
	f(func(c *Config) { c.Environment = map[string]string{"PACEWIRE_BUS": "x"} }, "PACEWIRE_BUS")
	f(func(c *Config) { c.Templates = []string{"x"} }, "templates")
}

// Where no command is set there is nothing to do, which is told.
func TestNoCommand(t *testing.T) {
	if _, err := New(t.Context(), Defaults(), plugintest.Env(t)); !errors.Is(err, plugin.ErrNoData) || !strings.Contains(err.Error(), "command is empty") {
		t.Errorf("%v", err)
	}
}

// Options of formats reach the decoders.
func TestFormats(t *testing.T) {
	f := func(change func(*Config), text, want string) {
		t.Helper()
		got, _, err := collect(t, newExec(t, func(c *Config) { c.Command = []string{"printf", "%s", text}; change(c) }))
		if err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	f(func(c *Config) { c.Format, c.JSON.Root, c.JSON.TagKeys = "json", "list", []string{"n"} }, `{"list":[{"n":"x","v":1}]}`, "test,n=x v=1 1700000000000000000\n")
	f(func(c *Config) { c.Format, c.Series = "json", "mine" }, `{"v":1}`, "mine v=1 1700000000000000000\n")
	f(func(c *Config) { c.Format, c.Templates = "graphite", []string{"host.series.field"} }, "web.cpu.user 1 5", "cpu,host=web user=1 5000000000\n")
	f(func(c *Config) {
		c.Stdin, c.Format, c.JSON.TagKeys, c.JSON.FieldKeys = true, "json", []string{"entity.metadata.name"}, []string{"check"}
		c.Command = []string{"cat"}
	}, "", `test,entity_metadata_name=web-1 check_metadata_name="test" 1700000000000000000`+"\n")
	f(func(c *Config) { c.Format = "influxdb_line" }, "a b=1 5", "a b=1 5\n")
	f(func(c *Config) { c.Precision = "s" }, "a b=1 5", "a b=1 5000000000\n")
	f(func(c *Config) { c.Format = "prometheus" }, "a{b=\"c\"} 1\n", "a,b=c value=1 1700000000000000000\n")
}

// What is left out is told when it changes, and not at each run.
func TestTell(t *testing.T) {
	var out bytes.Buffer
	cfg, env := Defaults(), plugintest.Env(t)
	cfg.Command = []string{"true"}
	env.Log = slog.New(slog.NewTextHandler(&out, nil))
	e, err := newExecutor(cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	f := func(name, fault string, lines int) {
		t.Helper()
		out.Reset()
		var err error
		if fault != "" {
			err = errors.New(fault)
		}
		if e.tell(name, err); strings.Count(out.String(), "\n") != lines {
			t.Errorf("%s, %s: %q", name, fault, out.String())
		}
	}
	f("a", "", 0)
	f("a", "line 1", 1)
	f("b", "line 2", 1)
	f("a", "line 1", 0)
	f("b", "line 2", 0)
	f("a", "line 3", 1)
	f("a", "", 0)
	f("a", "line 3", 1)
}
