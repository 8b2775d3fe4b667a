package main

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
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
	f([]string{"--format", "influx", "--", "sh", "-c", "echo a b=1; echo bad; echo a b=NaN; exit 3"}, exitFailed,
		"points    1, format influx", "exit code 3: its points would be dropped", "left out  1: syntax", "1: not_finite", "line 2: ", "unless ignore_error is set")
	f([]string{"--settings", `{"ignore_error": true}`, "--", "sh", "-c", "echo a b=1; exit 3"}, 0, "state    exit code 3\n")
	f([]string{"-n", "2", "sh", "-c", "echo a b=1; echo a b=2; echo a b=3"}, 0, "a b=2", "... and 1 points more: -n 0 shows all", "points   3, format influx")
	f([]string{"echo", "all is well"}, 0, "a check, as it looks like none of the others (--format)")
	f([]string{"--format", "json", "--name", "disk", "--", "echo", `{"used":1}`}, 0, "disk used=1 ")
	f([]string{"--format", "json", "--settings", `{"json": {"root": "list", "tag_keys": ["n"]}}`, "--", "echo", `{"list":[{"n":"x","v":1}]}`}, 0, "try,n=x v=1 ")
	f([]string{"--settings", `{"jsom": 1}`, "--", "true"}, exitUsage, `--settings: json: unknown field "jsom"`)
	f([]string{"--format", "influx", "--", "echo", "nonsense"}, exitFailed, "no point can be read from what it prints, as influx: line 1")
	f([]string{"--timeout", "100ms", "--", "sleep", "3600"}, exitFailed, "signal SIGTERM, timed_out", "pacewire: sleep 3600: timed_out")
	f([]string{"--timeout", "100ms", "--format", "nagios", "--", "sleep", "3600"}, 0, "UNKNOWN (signal SIGTERM, timed_out)")
	f([]string{"--", "/no/such/program"}, exitFailed, "state    not_found", "write the whole path")
	f([]string{"--format", "xml", "--", "true"}, exitUsage, `format "xml": want influx`)
	f([]string{"--", "df -h"}, exitUsage, "leave the quotes round the whole out, or let a shell read it by --shell")
	f([]string{"--timeout", "0s", "true"}, exitUsage, "--timeout 0s, --count 0: want a time above 0")
	f(nil, exitUsage, "standard input is empty; to run a command: pacewire try COMMAND")
}

func TestTryJSON(t *testing.T) {
	run := place(t)
	r := run("try", "-o", "json", "--format", "influx", "--", "sh", "-c", "echo a,t=u b=1 5; echo bad; echo oh >&2")
	var got trialRow
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 {
		t.Fatalf("%v, exit code %d: %s%s", err, r.code, r.out, r.err)
	}
	if len(got.Points) != 1 || got.Count != 1 || !strings.Contains(string(got.Points[0]), `"series":"a"`) {
		t.Errorf("points %s", got.Points)
	}
	if got.ExitCode == nil || *got.ExitCode != 0 || got.Stderr != "oh\n" || got.Format != "influx" || !slices.Equal(slices.Collect(maps.Keys(got.Bad)), []string{"syntax"}) || got.First == "" {
		t.Errorf("%+v", got)
	}
}

// Text that is there already is read as well: what comes on standard input, and pages.
func TestTryText(t *testing.T) {
	place(t)
	f := func(stdin string, args []string, code int, want ...string) {
		t.Helper()
		var out, faults bytes.Buffer
		a := &app{in: strings.NewReader(stdin), out: &out, err: &faults}
		if got := a.run(t.Context(), func() {}, append([]string{"try"}, args...)); got != code {
			t.Errorf("%q: exit code %d, want %d", args, got, code)
		}
		for _, part := range want {
			if !strings.Contains(out.String()+faults.String(), part) {
				t.Errorf("%q has no %q:\n%s%s", args, part, &out, &faults)
			}
		}
	}
	f("a.b 5 1763559525\n", nil, 0, "a.b value=5 1763559525000000000\n", "text of  standard input", "format graphite")
	f("a b=1 5\n", []string{"--format", "influx", "-"}, 0, "a b=1 5\n")
	f("OK - fine | load=1;2;3\n", []string{"--format", "nagios"}, 0, "nagios_perf,check=try,label=load ")
	f("no format at all\n", []string{"-"}, exitFailed, "standard input: its first lines look like none of the formats: name one by --format")
	f("a b=1 5\n", []string{"-", "--format", "influx"}, exitUsage, "nothing may follow it: flags go before")

	kind, page := "text/plain", "# TYPE a gauge\na{b=\"c\"} 1\n"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(s.Close)
	url := s.URL + "/metrics"
	f("", []string{url}, 0, "a,b=c value=1 ", "format prometheus", "text of  "+url)
	kind = "application/openmetrics-text; version=1.0.0"
	f("", []string{url}, exitFailed, "# EOF")
	f("", []string{s.URL}, exitFailed, s.URL+" answered 404 Not Found")
	page = "<html>"
	f("", []string{url}, exitFailed, "exporters have their samples at the path /metrics")
	s.Close()
	f("", []string{url}, exitFailed, "connection refused")
}

// Lines are broken where a field begins, and nothing is lost.
func TestFolded(t *testing.T) {
	f := func(line string, width int, want string) {
		t.Helper()
		if got := string(folded([]byte(line), width)); got != want {
			t.Errorf("%q in %d columns: %q, want %q", line, width, got, want)
		}
	}
	f("a,b=c d=1,e=2 5\n", 80, "a,b=c d=1,e=2 5\n")
	f("a,b=c d=1,e=2 5\n", 10, "a,b=c d=1,\n    e=2 5\n")
	f("a,b=c d=1,e=2 5\nx,y=z v=1 5\n", 15, "a,b=c d=1,e=2 5\nx,y=z v=1 5\n")
	f("wide,as=it is=1\n", 3, "wide,\n    as=it is=1\n")
}
