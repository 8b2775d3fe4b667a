package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// try shows points, state, standard error and time, with neither a bus nor a config.
func TestTry(t *testing.T) {
	run := place(t)
	f := func(args []string, code int, want ...string) {
		t.Helper()
		r := run(append([]string{"try"}, args...)...)
		if r.code != code {
			t.Errorf("%q: exit code %d, want %d: %s", args, r.code, code, r.err)
		}
		for _, part := range want {
			if !strings.Contains(r.out+r.err, part) {
				t.Errorf("%q has no %q:\n%s%s", args, part, r.out, r.err)
			}
		}
	}
	f([]string{"--", "echo", "a,b=c d=1 5"}, 0, "a,b=c d=1 5\n", "points   1, format influx", "state    exit code 0", "time     ")
	f([]string{"--shell", "--", "echo 'OK - fine | load=1;2;3' ; echo oh >&2; echo no >&2; exit 1"}, 0,
		"check_state,check=try ", `text="OK - fine"`, "nagios_perf,check=try,label=load ", "format nagios", "state    WARNING (exit code 1)", "stderr   oh\n         no\n")
	f([]string{"--format", "influx", "--", "sh", "-c", "echo a b=1; echo bad; echo a b=NaN; exit 3"}, 0,
		"points    1, format influx", "exit code 3: points of such a run are dropped, unless ignore_error is set", "left out  1: syntax", "1: not_finite", "line 2: ")
	f([]string{"--format", "json", "--name", "disk", "--", "echo", `{"used":1}`}, 0, "disk used=1 ")
	f([]string{"--format", "json", "--settings", `{"json": {"root": "list", "tag_keys": ["n"]}}`, "--", "echo", `{"list":[{"n":"x","v":1}]}`}, 0, "try,n=x v=1 ")
	f([]string{"--settings", `{"jsom": 1}`, "--", "true"}, exitUsage, `--settings: json: unknown field "jsom"`)
	f([]string{"--format", "influx", "--", "echo", "nonsense"}, exitFailed, "no point can be read from what it prints, as influx: line 1")
	f([]string{"--timeout", "100ms", "--", "sleep", "3600"}, exitFailed, "signal SIGTERM, timed_out", "pacewire: sleep 3600: timed_out")
	f([]string{"--timeout", "100ms", "--format", "nagios", "--", "sleep", "3600"}, 0, "UNKNOWN (signal SIGTERM, timed_out)")
	f([]string{"--", "/no/such/program"}, exitFailed, "state    not_found", "write the whole path")
	f([]string{"--format", "xml", "--", "true"}, exitUsage, `format "xml": want influx`)
	f([]string{"--", "df -h"}, exitUsage, "no shell reads it")
	f(nil, exitUsage, "try --help")
}

func TestTryJSON(t *testing.T) {
	run := place(t)
	r := run("try", "-o", "json", "--format", "influx", "--", "sh", "-c", "echo a,t=u b=1 5; echo bad; echo oh >&2")
	var got trialRow
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 {
		t.Fatalf("%v, exit code %d: %s%s", err, r.code, r.out, r.err)
	}
	if len(got.Points) != 1 || !strings.Contains(string(got.Points[0]), `"series":"a"`) {
		t.Errorf("points %s", got.Points)
	}
	if got.ExitCode == nil || *got.ExitCode != 0 || got.Stderr != "oh\n" || got.Format != "influx" || !slices.Equal(slices.Collect(maps.Keys(got.Bad)), []string{"syntax"}) || got.First == "" {
		t.Errorf("%+v", got)
	}
}
