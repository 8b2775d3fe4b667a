package nagios

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/plugin/plugintest"
	"github.com/pacewire/pacewire/telemetry"
)

// has checks fields of a point.
func has(t *testing.T, p telemetry.Point, want telemetry.Fields) {
	t.Helper()
	for key, value := range want {
		if got := p.Fields[key]; fmt.Sprint(got) != fmt.Sprint(value) {
			t.Errorf("%s: %s is %v, want %v", p.Tags["check"], key, got, value)
		}
	}
}

// What becomes of checks, one of each kind.
func TestRuns(t *testing.T) {
	t.Parallel()
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("#!/bin/sh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	silent := shell("echo 'no module' >&2; exit 2")
	excused := silent
	excused.NoOutputState = "unknown"
	r := run(t, "", map[string]Check{
		"fine":    shell("echo 'fine|a=1;2;3 b=2kB'; echo noise >&2"),
		"bad":     shell("printf 'bad\\nlong\\nlonger|a=x'; exit 2"),
		"absent":  {Command: plugin.Strings{"no-such-check"}},
		"locked":  {Command: plugin.Strings{plain}},
		"odd":     shell("echo odd; exit 77"),
		"crashed": shell("echo soon; kill -SEGV $$"),
		"silent":  silent,
		"excused": excused,
	})
	has(t, r.first("fine"), telemetry.Fields{"state": 0, "exit_code": 0, "text": "fine", "stderr": "noise\n", "timed_out": false, "truncated": false, "perf_errors": 0, "hard_state": 0, "attempt": 1})
	has(t, r.first("bad"), telemetry.Fields{"state": 2, "exit_code": 2, "text": "bad", "long_text": "long\nlonger", "perf_errors": 1, "hard_state": 2})
	has(t, r.first("absent"), telemetry.Fields{"state": 3, "reason": "not_found", "exit_code": nil})
	has(t, r.first("locked"), telemetry.Fields{"state": 3, "reason": "not_executable", "exit_code": nil})
	has(t, r.first("odd"), telemetry.Fields{"state": 3, "reason": "exit_code", "exit_code": 77, "text": "odd"})
	has(t, r.first("crashed"), telemetry.Fields{"state": 3, "reason": "signal", "exit_code": nil, "text": "soon"})
	has(t, r.first("silent"), telemetry.Fields{"state": 2, "reason": "no_output", "text": "no module"})
	has(t, r.first("excused"), telemetry.Fields{"state": 3, "reason": "no_output", "text": "no module"})
	if perf := r.of("nagios_perf", "fine"); len(perf) < 2 || perf[0].Fields["warn_high"] != 2.0 || perf[1].Tags["unit"] != "kB" || perf[1].Fields["base_value"] != nil {
		t.Errorf("%+v", perf)
	}
	if ms := r.first("fine").Fields["duration_ms"].(float64); ms <= 0 {
		t.Errorf("it took %v ms", ms)
	}
}

// A check sees what the rules say, whatever our own environment is.
func TestEnvironment(t *testing.T) {
	t.Setenv("LC_ALL", "de_DE.UTF-8")
	t.Setenv("LANG", "de_DE.UTF-8")
	t.Setenv("PACEWIRE_CREDS", "/secret")
	t.Setenv("PACEWIRE_BUS", "nats://secret")
	folder := t.TempDir()
	const script = "#!/bin/sh\nenv | grep -E '^(LC|LANG|PACEWIRE|HOME|MINE)' | grep -v PACEWIRE_MARK | sort | tr '\\n' ' '\nprintf '|pi=%.1f' 3.5\n"
	if err := os.WriteFile(filepath.Join(folder, "check_env"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Folders: plugin.Strings{folder}, Checks: map[string]Check{
		"env": {Command: plugin.Strings{"check_env"}, Manner: Manner{Environment: map[string]string{"HOME": "/mine", "MINE": "a b"}}},
	}}
	s, err := New(t.Context(), cfg, plugintest.Env(t))
	if err != nil {
		t.Fatal(err)
	}
	got := s.(*checks).list[0].run(t.Context())
	if want := "HOME=/mine LC_ALL=C.UTF-8 MINE=a b |pi=3.5"; got.Stdout != want || got.Code != 0 {
		t.Errorf("%+v, want %q", got, want)
	}
}

// A check may run as somebody else, and has that user's home.
func TestUser(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("to run a check as somebody else takes root")
	}
	c := shell(`echo "$(id -un) $USER $HOME"`)
	c.User = "nobody"
	home, err := user.Lookup(c.User)
	if err != nil {
		t.Skip("this machine does not know nobody:", err)
	}
	r := run(t, "", map[string]Check{"who": c})
	has(t, r.first("who"), telemetry.Fields{"text": "nobody nobody " + home.HomeDir})
}

// A check that writes numbers with a comma, as those do whose own environment says so, is read all the same.
func TestGerman(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "localedef", "-i", "de_DE", "-f", "UTF-8", filepath.Join(folder, "de_DE.UTF-8")).CombinedOutput(); err != nil {
		t.Skipf("no German locale can be made, which takes the packages libc-bin and locales: %v: %s", err, out)
	}
	german := Check{Command: plugin.Strings{"/usr/bin/printf", "%.3f seconds|time=%.6fs;%.1f", "0,5", "0,000451", "1,5"}}
	german.Environment = map[string]string{"LOCPATH": folder, "LC_ALL": "de_DE.UTF-8"}
	r := run(t, "", map[string]Check{"german": german})
	has(t, r.first("german"), telemetry.Fields{"state": 0, "text": "0,500 seconds", "perf_errors": 0})
	if perf := r.of("nagios_perf", "german")[0]; perf.Fields["value"] != 0.000451 || perf.Fields["warn_high"] != 1.5 || perf.Tags["unit"] != "s" {
		t.Errorf("%+v", perf)
	}
}

// Items that come last are found behind more output than is kept.
func TestMuchOutput(t *testing.T) {
	t.Parallel()
	r := run(t, "", map[string]Check{"loud": shell(`echo begin; head -c 10000000 /dev/zero | tr '\0' x; echo; echo 'end|last=7s'`)})
	p := r.first("loud")
	has(t, p, telemetry.Fields{"state": 0, "truncated": true, "text": "begin", "perf_errors": 0})
	if n := len(p.Fields["long_text"].(string)); n < 60_000 || n > 64<<10 {
		t.Errorf("%d bytes of long text", n)
	}
	if perf := r.of("nagios_perf", "loud"); perf[0].Tags["label"] != "last" || perf[0].Fields["value"] != 7.0 {
		t.Errorf("%+v", perf)
	}
}

// A check that hangs is ended with all it has started, and its state is the one that the operator wants.
func TestHanging(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	c := shell(`echo $$ >>%[1]s; trap '' TERM; echo trying; setsid sh -c 'trap "" TERM; echo $$ >>%[1]s; while :; do sleep 600; done' & wait`, pids)
	c.Timeout = plugin.Duration(time.Second)
	c.TimeoutState = "critical"
	quiet := shell("sleep 600")
	quiet.Timeout = c.Timeout
	r := run(t, "", map[string]Check{"hang": c, "quiet": quiet})
	has(t, r.first("hang"), telemetry.Fields{"state": 2, "reason": "timed_out", "timed_out": true, "text": "trying"})
	has(t, r.first("quiet"), telemetry.Fields{"state": 3, "reason": "timed_out", "timed_out": true, "text": "no answer within 1s"})
	r.stop() // in the middle of its second run
	text, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	found := strings.Fields(string(text))
	if len(found) < 2 {
		t.Fatalf("its processes are %q, want 2 or more", found)
	}
	for _, pid := range found {
		if n, _ := strconv.Atoi(pid); syscall.Kill(n, 0) == nil && !isZombie(n) {
			t.Errorf("process %d is left", n)
		}
	}
}

// isZombie reports whether a process has ended and its parent, which may be nobody of ours, has not heard of it.
func isZombie(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := strings.Cut(string(stat), ") ")
	return err != nil || strings.HasPrefix(after, "Z")
}

// Two runs of one check are never at work at a time, and the times that pass meanwhile are counted.
func TestNeverTwice(t *testing.T) {
	t.Parallel()
	lock := filepath.Join(t.TempDir(), "lock")
	r := run(t, "", map[string]Check{"slow": shell("mkdir %[1]s || exit 2; sleep 0.3; rmdir %[1]s; echo done", lock)})
	r.runs("slow", 4)
	r.stop()
	for _, p := range r.of("check_state", "slow") {
		has(t, p, telemetry.Fields{"state": 0})
	}
	if n := r.dropped[missed]; n < 4 {
		t.Errorf("%d missed runs are counted", n)
	}
}

// No more checks run at a time than slots are there.
func TestSlots(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	list := map[string]Check{}
	for i := range 6 * runtime.NumCPU() {
		list[fmt.Sprint("check", i)] = shell("touch %[1]s/$$; ls %[1]s | wc -l; sleep 0.1; rm %[1]s/$$", folder)
	}
	r := run(t, "", list)
	for name := range list {
		r.runs(name, 1)
	}
	r.stop()
	most := 0
	for _, p := range r.points {
		n, err := strconv.Atoi(strings.TrimSpace(p.Fields["text"].(string)))
		if err != nil {
			t.Fatalf("%v", p.Fields)
		}
		most = max(most, n)
	}
	if limit := 2 * runtime.NumCPU(); most < 2 || most > limit {
		t.Errorf("%d at a time, want 2 to %d", most, limit)
	}
}

// A run that the end of the plugin interrupts is not told.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	begun := filepath.Join(t.TempDir(), "begun")
	r := run(t, "", map[string]Check{"long": shell("touch %s; sleep 600", begun)})
	plugintest.Until(t, "the check to begin", func() bool {
		_, err := os.Stat(begun)
		return err == nil
	})
	r.stop()
	if n := len(r.points) + len(r.events); n > 0 {
		t.Errorf("%d points and events of it", n)
	}
}

// The first time follows from the name, and is within the interval.
func TestSpread(t *testing.T) {
	const every = 10 * time.Second
	places := map[time.Duration]bool{}
	for i := range 20 {
		c := &check{name: fmt.Sprint("check", i), Check: Check{Manner: Manner{Every: plugin.Duration(every)}}, env: plugin.Env{Host: "h", Name: "n"}}
		first := c.first()
		if first < 0 || first >= every || first != c.first() {
			t.Errorf("%s: %v", c.name, first)
		}
		places[first] = true
	}
	if len(places) < 15 {
		t.Errorf("20 checks begin at %d places", len(places))
	}
}
