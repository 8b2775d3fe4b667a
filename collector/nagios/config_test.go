package nagios

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/nagios"
	"github.com/pacewire/pacewire/plugin"
)

func TestValidate(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		err := Define().Check([]byte(text))
		if (err == nil) != (len(want) == 0) {
			t.Errorf("%s: %v", text, err)
		}
		for _, w := range want {
			if err != nil && !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want %q", text, err, w)
			}
		}
	}
	f(`{}`)
	f(`{"checks": {"load": {"command": ["check_load", "-w", "5"], "every": "5m", "units": "base", "kilo": 1024, "no_output_state": "unknown", "timeout_state": "critical"}}}`)
	f(`{"checks": {"load": {"command": "check_users"}}, "defaults": {"every": "5m"}, "folders": ["/opt/checks"]}`)
	f(`{"checks": {"load": {}}}`, "checks.load.command is empty: name a program")
	f(`{"checks": {"load": {"command": ["check_load -w 5"]}}}`, `checks.load.command "check_load -w 5": no shell reads it`)
	f(`{"checks": {"": {"command": ["true"]}}}`, "want a name of 1 to 1024 bytes")
	f(`{"checks": {"a": {"command": ["true"], "every": "1ms", "retry_every": "-1s", "attempts": -1, "timeout": "-1s"}}}`,
		"checks.a.every 1ms: want 1s or more", "checks.a.retry_every -1s: want 1s or more", "checks.a.attempts -1", "checks.a.timeout -1s")
	f(`{"defaults": {"units": "metric", "kilo": 7, "no_output_state": "fine", "timeout_state": "exit_code", "environment": {"PACEWIRE_BUS": "x"}}}`,
		"defaults.units metric: want as_is or base", "defaults.kilo 7", "defaults.no_output_state fine", "defaults.timeout_state exit_code", "PACEWIRE_BUS")
	f(`{"checks": {"a": {"command": ["true"], "evry": "1m"}}}`, "evry")
	f(`{"checks": [{"name": "a", "command": ["true"]}]}`, "checks")
	f(`{"checks": {"a": {"command": ["$USER1$/check_load", "-H", "$HOSTADDRESS$"]}}}`, `checks.a.command "$USER1$/check_load": this is a macro of Nagios`, "check_load is enough")
	f(`{"checks": {"a": {"command": ["check_http", "-w", "$ARG1$"]}}}`, `"$ARG1$": this is a macro`)
	f(`{"checks": {"a": {"command": ["check_x", "costs $5 or $6", "$(date)"]}}}`)
	f(`{"checks": {"a": {"command": ["true"], "timeout": "2m"}}}`, "checks.a.timeout 2m", "every (1m0s)")
	f(`{"checks": {"a": {"command": ["true"], "timeout": "2m", "every": "5m"}}, "defaults": {"timeout": "90s"}}`)
	f(`{"checks": {"a": {"command": ["true"], "kilo": 1024}}}`, "checks.a.kilo 1024: nothing is told in bytes without units: base")
	f(`{"checks": {"a": {"command": ["true"], "kilo": 1024}}, "defaults": {"units": "base"}}`)
}

// What a check does not say is what the defaults say, and what they do not say is the program's.
func TestWhole(t *testing.T) {
	var cfg Config
	text := `{"checks": {"a": {"command": ["x"], "every": "20s", "environment": {"A": "1", "B": "2"}}, "b": {"command": ["y"]}},
		"defaults": {"every": "5m", "attempts": 5, "environment": {"B": "3", "C": "4"}, "user": "nobody"}}`
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	a, b := cfg.whole("a"), cfg.whole("b")
	if a.Every.Std() != 20*time.Second || a.Timeout.Std() != 20*time.Second || a.Attempts != 5 || a.RetryEvery.Std() != 10*time.Second || a.User != "nobody" {
		t.Errorf("%+v", a)
	}
	if want := map[string]string{"A": "1", "B": "2", "C": "4"}; !maps.Equal(a.Environment, want) {
		t.Errorf("%v, want %v", a.Environment, want)
	}
	if b.Every.Std() != 5*time.Minute || b.Timeout.Std() != 30*time.Second || b.Environment["B"] != "3" || b.Command[0] != "y" {
		t.Errorf("%+v", b)
	}
}

func TestReading(t *testing.T) {
	o := Manner{Units: unitsAsIs, Kilo: 1024, NoOutputState: byCode, TimeoutState: "unknown"}.options()
	if o.Kilo != 0 || o.NoOutput != nil || *o.TimedOut != nagios.Unknown {
		t.Errorf("%+v", o)
	}
	o = Manner{Units: unitsBase, Kilo: 1024, NoOutputState: "unknown", TimeoutState: "CRITICAL"}.options()
	if o.Kilo != 1024 || *o.NoOutput != nagios.Unknown || *o.TimedOut != nagios.Critical {
		t.Errorf("%+v", o)
	}
}

// Two processes would count attempts apart.
func TestAlone(t *testing.T) {
	if err := Define().Alone([]byte("{}")); err == nil {
		t.Error("any number of processes may run the same checks")
	}
}

func TestNothingToDo(t *testing.T) {
	if _, err := New(t.Context(), Defaults(), plugin.Env{}); err == nil || !strings.Contains(err.Error(), "checks is empty") {
		t.Errorf("%v", err)
	}
	cfg := Config{Checks: map[string]Check{"a": {Command: plugin.Strings{"true"}, Manner: Manner{User: "no-such-user-anywhere"}}}}
	if _, err := New(t.Context(), cfg, plugin.Env{}); err == nil || !strings.Contains(err.Error(), "checks.a: user no-such-user-anywhere") {
		t.Errorf("%v", err)
	}
}
