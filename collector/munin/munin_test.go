package munin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/leaktest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var noon = time.Unix(1700000000, 0)

// A bench is a node with folders of its own.
type bench struct {
	*node
	t    *testing.T
	dir  string
	said strings.Builder // what it has logged
}

func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir()}
	cfg := defaults()
	cfg.Plugins, cfg.Conf, cfg.Limit = plugin.Strings{b.dir + "/plugins"}, b.dir+"/conf", plugin.Duration(time.Minute)
	if err := os.Mkdir(b.dir+"/plugins", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(b.dir+"/conf", 0o755); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	env := plugintest.Env(t)
	env.Log = slog.New(slog.NewTextHandler(&b.said, nil))
	c, err := New(t.Context(), cfg, env)
	if err != nil {
		t.Fatal(err)
	}
	b.node = c.(*node)
	return b
}

// plugin adds a plugin, which is a shell script.
func (b *bench) plugin(name, script string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "plugins", name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) conf(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, "conf", name), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// collect runs the plugins that are due at a time, and returns their points, sorted. Runs take no time, and have their end at noon.
func (b *bench) collect(at time.Time) (points string, err error) {
	b.t.Helper()
	var out telemetry.Batch
	out.At(at)
	err = b.Collect(b.t.Context(), &out)
	lines := strings.SplitAfter(string(out.AppendLines(nil)), "\n")
	for i, line := range lines {
		lines[i] = ends.ReplaceAllString(line, "${1}${2} 1700000000000000000\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), err
}

// ends are the points that tell how long a run took.
var ends = regexp.MustCompile(`(?s)^(.*)duration_ms=[0-9.e+]+,(.*) [0-9]+\n$`)

// want collects once, and compares.
func (b *bench) want(want string) {
	b.t.Helper()
	if got, err := b.collect(noon); got != want || err != nil {
		b.t.Errorf("got\n%swant\n%s%v", got, want, err)
	}
}

// ok is the state of a plugin that has run.
func ok(name string) string {
	return "check_state,check=" + name + " exit_code=0i,state=0i,timed_out=false 1700000000000000000\n"
}

func TestConform(t *testing.T) {
	path := filepath.Join(t.TempDir(), "load")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n[ \"$1\" = config ] || echo load.value U\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	plugintest.Conform(t, Define(), plugintest.With(fmt.Sprintf(`{"plugins": [%q], "conf": ""}`, path)))
}

// A plugin is asked for its config, then for its values; where both come at once it is asked once.
func TestTwoRuns(t *testing.T) {
	b := newBench(t, nil)
	b.plugin("load", `[ "$1" = config ] && { echo graph_title Load; echo load.warning 1; exit; }; echo load.value 2`)
	b.plugin("dirty", `echo x >>"$MUNIN_STATEFILE"; [ "$1" = config ] && { echo n.label n; echo n.value $(wc -l <"$MUNIN_STATEFILE"); }`)
	want := "check_state,check=load.load state=1i,text=\"load: 2 is not within :1, the limit of warning\" 1700000000000000000\n"
	b.want(ok("dirty") + ok("load") + want + "munin_dirty,graph=dirty n=1 1700000000000000000\nmunin_load,graph=load load=2 1700000000000000000\n")
	b.want(ok("dirty") + ok("load") + want + "munin_dirty,graph=dirty n=2 1700000000000000000\nmunin_load,graph=load load=2 1700000000000000000\n")
}

// A plugin sees by what name it was called, and what munin-node would tell it.
func TestEnvironment(t *testing.T) {
	b := newBench(t, func(c *Config) { c.LibDir = "/lib/munin" })
	b.plugin("if_", `echo "v.label ${0##*/if_} $MUNIN_CAP_MULTIGRAPH$MUNIN_CAP_DIRTYCONFIG $MUNIN_MASTER_IP $MUNIN_DEBUG $MUNIN_LIBDIR $LC_ALL $PATH \
$(basename "$MUNIN_PLUGSTATE") $(basename "$MUNIN_STATEFILE") $greeting [${PACEWIRE_SECRET-}]"; echo v.warning 1; echo v.value 1`)
	for _, name := range []string{"if_eth0", "if_lo"} {
		if err := os.Symlink("if_", filepath.Join(b.dir, "plugins", name)); err != nil {
			t.Fatal(err)
		}
	}
	b.cfg.Exclude = plugin.Strings{"if_"}
	b.conf("a", "[if_*]\nenv.greeting good day\n[if_lo]\nenv.greeting hello\nenv.PATH /nowhere:/usr/bin:/bin\n")
	t.Setenv("PACEWIRE_SECRET", "secret")
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	got, err := b.collect(noon)
	for _, want := range []string{
		`text="eth0 11 - 0 /lib/munin C.UTF-8 ` + searchPath + ` own if_eth0-- good day []: 1"`,
		`text="lo 11 - 0 /lib/munin C.UTF-8 /nowhere:/usr/bin:/bin own if_lo-- hello []: 1"`,
	} {
		if err != nil || !strings.Contains(got, want) {
			t.Errorf("%s%v; want %s", got, err, want)
		}
	}
}

// A command of the config runs the plugin, or something else.
func TestCommand(t *testing.T) {
	b := newBench(t, nil)
	b.plugin("p", `[ "$1" = config ] || echo "v.value $with"`)
	b.conf("a", "[p]\ncommand env with=7 %c\n")
	b.want(ok("p") + "munin_p,graph=p v=7 1700000000000000000\n")
	b.conf("b", "[p]\ncommand sh -c echo\\ a.value\\ 1\n")
	b.want(ok("p") + "munin_p,graph=p a=1 1700000000000000000\n")
}

func TestHostName(t *testing.T) {
	b := newBench(t, nil)
	b.plugin("p", "echo host_name printer; echo v.value 1")
	b.want(ok("p") + "munin_p,graph=p,host=printer v=1 1700000000000000000\n")
	b.conf("a", "[p]\nhost_name switch\n")
	b.want(ok("p") + "munin_p,graph=p,host=switch v=1 1700000000000000000\n")
}

// A plugin is run no more often than its config says.
func TestUpdateRate(t *testing.T) {
	b := newBench(t, nil)
	b.plugin("p", "echo v.value 1")
	b.conf("a", "[p]\nupdate_rate 60\n")
	for _, step := range []struct {
		after float64
		runs  bool
	}{{0, true}, {10, false}, {59, false}, {59.8, true}, {110, false}, {120, true}} {
		got, err := b.collect(noon.Add(time.Duration(step.after * float64(time.Second))))
		if (got != "") != step.runs || err != nil {
			t.Errorf("after %v s: %q, %v", step.after, got, err)
		}
	}
}

// Who fails is told, and the others are not concerned.
func TestFailures(t *testing.T) {
	b := newBench(t, func(c *Config) { c.AtOnce = 1 })
	b.plugin("fine", "echo v.value 1")
	b.plugin("exits", "echo v.value 1; echo no such device >&2; exit 3")
	b.plugin("values", `[ "$1" = config ] || exit 1`)
	b.plugin("killed", "kill -9 $$")
	b.plugin("script", "")
	if err := os.WriteFile(filepath.Join(b.dir, "plugins", "script"), []byte("#!/no/such/interpreter\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.conf("a", "[late]\ntimeout 1\n[nobody]\nuser no-such-user-anywhere\n")
	b.plugin("late", "echo v.value 1; exec sleep 3600")
	b.plugin("nobody", "echo v.value 1")
	got, err := b.collect(noon)
	for _, want := range []string{
		ok("fine"), "munin_fine,graph=fine v=1 1700000000000000000\n",
		`check_state,check=exits exit_code=3i,reason="exit_code",state=3i,stderr="no such device",text="exits config: exit code 3: no such device",timed_out=false 17`,
		`check_state,check=values exit_code=1i,reason="exit_code",state=3i,text="values: exit code 1",timed_out=false 17`,
		`check_state,check=killed reason="signal",state=3i,text="killed config: signal SIGKILL`,
		`check_state,check=late reason="timed_out",state=3i,text="late config: no end within 1s",timed_out=true 17`,
		`check_state,check=nobody reason="not_executable",state=3i,text="nobody: user no-such-user-anywhere: this machine has no such user`,
		`check_state,check=script reason="not_found",state=3i,text="script: `,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%swant %s", got, want)
		}
	}
	if strings.Count(got, "munin_") != 1 {
		t.Errorf("points of those that failed: %s", got)
	}
	for _, want := range []string{"exits config: exit code 3", "late config: no end", "nobody: ", "no-such-user-anywhere", "the interpreter that its first line names"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// What cannot be read is told once, and counted.
func TestBadLines(t *testing.T) {
	b := newBench(t, nil)
	b.plugin("p", "echo Use of uninitialized value at line 7; echo v.value 1; echo w.value NaN")
	for range 2 {
		b.want(ok("p") + "munin_p,graph=p v=1 1700000000000000000\n")
	}
	if said := b.said.String(); strings.Count(said, "is left out") != 1 || !strings.Contains(said, "munin_plugin=p") {
		t.Errorf("it logged %s", said)
	}
	var out telemetry.Batch
	if err := b.Collect(t.Context(), &out); err != nil || out.Drops().Count(telemetry.CodeLine) != 1 || out.Drops().Count(telemetry.CodeNaN) != 1 {
		t.Errorf("%v, %v", out.Drops(), err)
	}
}

func TestFlood(t *testing.T) {
	b := newBench(t, nil)
	b.plugin("p", "echo v.value 1; head -c 50000000 /dev/zero")
	if got, err := b.collect(noon); err == nil || !strings.Contains(err.Error(), "p config: it prints more than 8 MiB") || strings.Contains(got, "munin_p") {
		t.Errorf("%s, %v", got, err)
	}
}

func TestInterrupted(t *testing.T) {
	b := newBench(t, nil)
	up := filepath.Join(b.dir, "up")
	b.plugin("p", "echo >"+up+"; exec sleep 3600")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat(up); err == nil {
				return
			}
		}
	}()
	var out telemetry.Batch
	if err := b.Collect(ctx, &out); err == nil || out.Len() > 0 {
		t.Errorf("%d points, %v", out.Len(), err)
	}
}

// A plugin that takes long keeps nobody waiting: its points come later, with the time of the tick that it was run for. It is never run twice
// at a time.
func TestLate(t *testing.T) {
	b := newBench(t, nil)
	b.env.Every = time.Second
	t.Cleanup(func() { _ = b.Close() })
	b.plugin("fast", "echo v.value 1")
	b.plugin("slow", fmt.Sprintf("echo x >>%[1]s/runs; while ! [ -e %[1]s/go ]; do sleep 0.01; done; echo v.value 2", b.dir))
	const late = "munin_slow,graph=slow v=2 1700000000000000000\n"
	got := ""
	collect := func(seconds int) error {
		more, err := b.collect(noon.Add(time.Duration(seconds) * time.Second))
		got += more
		return err
	}
	if err := collect(0); err != nil {
		t.Error(err)
	}
	if err := collect(1); err == nil || !strings.Contains(err.Error(), "slow: not run, as it is still at work") {
		t.Error(err)
	}
	for i := 2; strings.Count(got, "munin_fast") < 2 && i < 100; i++ {
		_ = collect(i)
	}
	if strings.Contains(got, "slow") || strings.Count(got, "munin_fast") < 2 {
		t.Errorf("while one is at work: %s", got)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i := 100; !strings.Contains(got, "munin_slow") && i < 200; i++ {
		_ = collect(i)
	}
	runs, err := os.ReadFile(filepath.Join(b.dir, "runs"))
	if !strings.Contains(got, late) || err != nil {
		t.Errorf("%s, %v; want %s", got, err, late)
	}
	if n := strings.Count(string(runs), "x"); n > 1+strings.Count(got, "check=slow") {
		t.Errorf("%d runs, %s", n, got)
	}
}

// The end of this plugin is that of what is at work, and of what waits for room.
func TestClose(t *testing.T) {
	b := newBench(t, func(c *Config) { c.AtOnce = 1 })
	b.env.Every = 20 * time.Millisecond
	b.plugin("a", "exec sleep 3600")
	b.plugin("b", "exec sleep 3600")
	if got, err := b.collect(noon); got != "" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

func TestNothingThere(t *testing.T) {
	b := newBench(t, nil)
	if got, err := b.collect(noon); got != "" || !errors.Is(err, plugin.ErrNoData) {
		t.Errorf("%s, %v", got, err)
	}
	b.cfg.Plugins = plugin.Strings{b.dir + "/none"}
	if _, err := b.collect(noon); err == nil || !strings.Contains(err.Error(), "no file or folder is called so") || errors.Is(err, plugin.ErrNoData) {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := defaults()
		change(&c)
		err := c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	f(func(*Config) {}, "")
	f(func(c *Config) { c.Conf, c.StateDir = "", "/var/lib/munin-node/plugin-state" }, "")
	f(func(c *Config) { c.Plugins = nil }, "plugins is empty: name a plugin or a folder of them")
	f(func(c *Config) { c.Plugins = plugin.Strings{"load"} }, `plugins "load": want an absolute path`)
	f(func(c *Config) { c.Plugins = plugin.Strings{"/a/["} }, `plugins "/a/[": want an absolute path or a pattern`)
	f(func(c *Config) { c.Exclude = plugin.Strings{"["} }, `exclude "[": want a name or a pattern`)
	f(func(c *Config) { c.Conf = "conf" }, `conf "conf": want an absolute path`)
	f(func(c *Config) { c.StateDir = "state" }, `state_dir "state": want an absolute path`)
	f(func(c *Config) { c.Limit = 0 }, "plugin_timeout 0s: want more than 0s")
	f(func(c *Config) { c.AtOnce = -1 }, "at_once -1: want 0 or more")
}

// A plugin runs as who its config says, and keeps its state where that user may.
// Where anybody may make folders, none is taken for that of a user.
func TestOpenState(t *testing.T) {
	b := newBench(t, nil)
	b.cfg.StateDir = b.dir + "/open"
	b.plugin("fine", "echo v.value 1")
	if err := errors.Join(os.Mkdir(b.cfg.StateDir, 0o700), os.Chmod(b.cfg.StateDir, 0o777|os.ModeSticky)); err != nil {
		t.Fatal(err)
	}
	if got, err := b.collect(noon); err == nil || !strings.Contains(err.Error(), "fine: state_dir: anybody may write to "+b.cfg.StateDir) || strings.Contains(got, "munin_fine") {
		t.Errorf("%s%v", got, err)
	}
	if err := os.Chmod(b.cfg.StateDir, 0o775); err != nil { // as Debian has it
		t.Fatal(err)
	}
	if got, err := b.collect(noon.Add(time.Minute)); err != nil || !strings.Contains(got, "munin_fine") {
		t.Errorf("%s%v", got, err)
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to run plugins as other users takes root")
	}
	b := newBench(t, func(c *Config) { c.User = "nobody" })
	b.cfg.StateDir = b.dir + "/state"
	for dir := b.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) { // that nobody may enter
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := `echo >>"$MUNIN_STATEFILE" && echo "v.label $(id -un) $(id -G) $HOME $(wc -l <"$MUNIN_STATEFILE") $(basename "$MUNIN_PLUGSTATE")"; echo v.warning 1; echo v.value 1`
	for _, name := range []string{"anybody", "boss", "grouped"} {
		b.plugin(name, script)
		if err := os.Chmod(filepath.Join(b.dir, "plugins", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.conf("a", "[boss]\nuser 0\n[grouped]\ngroup 0, (no-such-group-anywhere)\n")
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("this machine has no user nobody:", err)
	}
	for n := 1; n <= 2; n++ {
		got, err := b.collect(noon)
		for _, want := range []string{
			fmt.Sprintf(`text="nobody %s %s %d nobody: 1"`, nobody.Gid, nobody.HomeDir, n),
			fmt.Sprintf(`text="nobody 0 %s %d nobody: 1"`, nobody.HomeDir, n),
			fmt.Sprintf(` %d 0: 1"`, n),
		} {
			if err != nil || !strings.Contains(got, want) {
				t.Errorf("%s%v; want %s", got, err, want)
			}
		}
	}
}
