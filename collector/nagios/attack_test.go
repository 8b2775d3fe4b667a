package nagios

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// Whatever checks do, they are told as what they are, and none hinders another one.
func TestBadChecks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	noise := make([]byte, 300<<10)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(noise)
	if err := os.WriteFile(filepath.Join(dir, "noise"), noise, 0o600); err != nil {
		t.Fatal(err)
	}
	brief := func(line string, args ...any) Check {
		c := shell(line, args...)
		c.Timeout = plugin.Duration(time.Second)
		return c
	}
	r := run(t, "", map[string]Check{
		"fine":    shell("echo 'fine|a=1'"),
		"noise":   shell("cat %s/noise; exit 1", dir),
		"endless": brief("setsid yes 'a|b=1' & yes 'c|d=1'"),
		"grumble": brief("echo on and on; exec yes grumble >&2"),
		"frozen":  brief("echo brrr; kill -STOP $$"),
		"mute":    shell("exec >&- 2>&-; exit 1"),
		"leaves":  shell("echo 'gone|a=1'; setsid sleep 600 & exit 0"),
		"labels":  shell(`printf 'long|a=1 %%02000d=2 b=3' 0`),
		"bars":    shell(`printf '|||\n|||=|=|\n|'`),
		"lines":   shell(`yes '' | head -n 100000; echo 'end|a=1'`),
		"control": shell(`printf 'a\0b\033[31mred\a|\0x=1 y\tz=2'`),
	})
	has(t, r.first("fine"), telemetry.Fields{"state": 0})
	has(t, r.first("noise"), telemetry.Fields{"state": 1, "truncated": true})
	has(t, r.first("endless"), telemetry.Fields{"state": 3, "timed_out": true})
	has(t, r.first("grumble"), telemetry.Fields{"state": 3, "timed_out": true})
	has(t, r.first("frozen"), telemetry.Fields{"state": 3, "timed_out": true})
	has(t, r.first("mute"), telemetry.Fields{"state": 1, "reason": "no_output"})
	has(t, r.first("leaves"), telemetry.Fields{"state": 0, "timed_out": false})
	has(t, r.first("labels"), telemetry.Fields{"state": 0, "text": "long"})
	has(t, r.first("bars"), telemetry.Fields{"state": 0, "text": ""})
	has(t, r.first("lines"), telemetry.Fields{"state": 0, "truncated": true})
	has(t, r.first("control"), telemetry.Fields{"state": 0, "perf_errors": 0})
	if text, _ := r.first("grumble").Fields["stderr"].(string); len(text) > 4<<10 {
		t.Errorf("%d bytes of standard error are kept", len(text))
	}
	for _, name := range []string{"leaves", "labels", "lines"} {
		if perf := r.of("nagios_perf", name); len(perf) == 0 || perf[0].Tags["label"] != "a" || perf[0].Fields["value"] != 1.0 {
			t.Errorf("%s: %+v", name, perf)
		}
	}
	r.stop()
	for _, p := range r.points {
		for key, value := range p.Fields {
			if text, ok := value.(string); ok && (strings.ToValidUTF8(text, "") != text || len(text) > 70<<10) {
				t.Errorf("%s of %s is %d bytes: %.40q", key, p.Tags["check"], len(text), text)
			}
		}
	}
}

// A check may be put in the place of another one that is at work.
func TestCheckChanges(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "check")
	const script = "#!/bin/sh\necho old; printf '#!/bin/sh\necho new\nrm $0\nexit 1' >$0.new; chmod +x $0.new; mv $0.new $0; exit 0\n"
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", map[string]Check{"c": {Command: plugin.Strings{path}}})
	r.runs("c", 3)
	r.stop()
	for i, want := range []telemetry.Fields{{"state": 0, "text": "old"}, {"state": 1, "text": "new"}, {"state": 3, "reason": "not_found"}} {
		has(t, r.of("check_state", "c")[i], want)
	}
}

// Values are told in base units too, by what the check means by a k.
func TestUnits(t *testing.T) {
	t.Parallel()
	c := shell("echo 'fine|a=2MB b=3ms c=4 d=5KiB'")
	c.Units = unitsBase
	old := c
	old.Kilo = 1024
	r := run(t, "", map[string]Check{"new": c, "old": old})
	for check, mega := range map[string]float64{"new": 2e6, "old": 2 << 20} {
		r.runs(check, 1)
		want := map[string]any{"a": mega, "b": 0.003, "c": nil, "d": 5120.0}
		for _, p := range r.of("nagios_perf", check) {
			if label := p.Tags["label"]; p.Fields["base_value"] != want[label] {
				t.Errorf("%s: %s is %v in base units, want %v", check, label, p.Fields["base_value"], want[label])
			}
		}
	}
}
