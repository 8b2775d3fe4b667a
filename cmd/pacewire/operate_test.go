package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/internal/texttest"
	"github.com/pacewire/pacewire/telemetry"
)

func TestOperations(t *testing.T) {
	agent, run := agentOf(t, map[string]answer{
		"start":   did(telemetry.Change{Plugin: "tidy", Action: "start", PID: 7, TookMS: 120}),
		"stop":    did(telemetry.Change{Plugin: "tidy", Action: "stop", OldPID: 7, TookMS: 1500}),
		"restart": did(telemetry.Change{Plugin: "tidy", Action: "start", OldPID: 7, PID: 8}),
		"unload":  did(telemetry.Change{Plugin: "tidy", Action: "stop", OldPID: 8, Reason: "unloaded"}),
		"upgrade": did(telemetry.Change{Plugin: "tidy", Action: "swap", OldPID: 8, PID: 9, TookMS: 3456}),
	})
	f := func(verb, row string) {
		t.Helper()
		r := run("plugin", verb, "tidy")
		expect(t, r, 0, "PLUGIN  ACTION  PID")
		if got := strings.Join(strings.Fields(strings.Split(r.out, "\n")[1]), " "); got != row {
			t.Errorf("%q, want %q", got, row)
		}
		agent.expect(t, verb+` {"plugin":"tidy"}`)
	}
	f("start", "tidy start 7 120ms")
	f("stop", "tidy stop 7 → - 1.5s")
	f("restart", "tidy start 7 → 8 -")
	f("unload", "tidy stop 8 → - - unloaded")
	f("upgrade", "tidy swap 8 → 9 3.456s")
}

func TestOperationAsJSON(t *testing.T) {
	_, run := agentOf(t, map[string]answer{"stop": func(map[string]any) (any, *telemetry.Fault) {
		return telemetry.ChangeList{Changes: []telemetry.Change{{Plugin: "tidy", Action: "stop", OldPID: 7}}, Warnings: []string{"it comes back"}}, nil
	}})
	r := run("plugin", "stop", "tidy", "-o", "json")
	expect(t, r, 0)
	want := `{"host":"h1","dry_run":false,"changes":[{"plugin":"tidy","action":"stop","reason":"","error":"","old_pid":7,"pid":0,"took_ms":0}],"warnings":["it comes back"]}` + "\n"
	if r.out != want || r.err != "" {
		t.Errorf("%s%s, want %s", r.out, r.err, want)
	}
	expect(t, run("plugin", "stop", "tidy"), 0, "warning: it comes back")
}

// What is so already is told, and no error.
func TestNothingToDo(t *testing.T) {
	_, run := agentOf(t, map[string]answer{
		"start": did(telemetry.Change{Plugin: "tidy", Action: "start", OldPID: 7, PID: 7}),
		"stop":  did(telemetry.Change{Plugin: "tidy", Action: "none"}),
	})
	f := func(verb, row string) {
		t.Helper()
		r := run("plugin", verb, "tidy")
		expect(t, r, 0, "!no plugin has changed", "!stays")
		if got := strings.Join(strings.Fields(strings.Split(r.out, "\n")[1]), " "); got != row {
			t.Errorf("%q, want %q", got, row)
		}
	}
	f("start", "tidy none 7 - already running")
	f("stop", "tidy none - - already stopped")
	expect(t, run("plugin", "stop", "tidy", "-o", "json"), 0, `"action":"none","reason":"already stopped"`, `!"error":{`)
}

func TestNoTimeout(t *testing.T) {
	agent, run := agentOf(t, map[string]answer{})
	for _, verb := range []string{"plugin start x", "plugin load --name x", "plugin swap x --use y", "reload"} {
		for _, limit := range []string{"0s", "-1s"} {
			expect(t, run(append(strings.Fields(verb), "--timeout", limit)...), exitUsage, "--timeout "+limit+": want more than 0")
		}
	}
	agent.expect(t)
}

// Programs read one object, whatever became of it; people read the same on stderr.
func TestFailureAsJSON(t *testing.T) {
	run := place(t)
	f := func(code int, want failure, args ...string) {
		t.Helper()
		r := run(append(args, "-o", "json")...)
		var got changes
		if err := json.Unmarshal([]byte(r.out), &got); err != nil || got.Error == nil || strings.Count(r.out, "\n") != 1 {
			t.Fatalf("%s%s: %v", r.out, r.err, err)
		}
		for _, key := range []string{"host", "dry_run", "changes", "warnings"} {
			if !strings.Contains(r.out, `"`+key+`":`) {
				t.Errorf("no %s in %s", key, r.out)
			}
		}
		message := got.Error.Message
		if got.Error.Message = ""; *got.Error != want || r.code != code {
			t.Errorf("%+v, exit code %d; want %+v, %d", *got.Error, r.code, want, code)
		}
		if strings.Contains(r.out, ":null") || r.err != "pacewire: "+message+"\n" {
			t.Errorf("%q on stderr, %q on stdout", r.err, message)
		}
	}
	for _, verb := range operating {
		if !strings.HasPrefix(verb, "plugin logs") && !strings.HasPrefix(verb, "plugin env") { // they change nothing
			f(exitNoBus, failure{Code: "unavailable"}, strings.Fields(verb)...)
		}
	}
	f(exitUsage, failure{Code: "usage"}, "plugin", "load", "missing.yaml")
	f(exitUsage, failure{Code: "usage"}, "plugin", "swap", "x")
	f(exitUsage, failure{Code: "usage"}, "plugin", "stop", "x", "--timeout", "0s")
	f(exitConfig, failure{Code: "invalid"}, "plugin", "load")
	b := bustest.Bare(t, embedded.Options{})
	noted(t, b.URL, "")
	agent := respond(t, b, "h1", map[string]answer{})
	refuse := func(class, message string, code int, want failure) {
		t.Helper()
		agent.set("reload", fails(class, message))
		f(code, want, "reload", "--dry-run")
	}
	refuse(telemetry.FaultInvalid, "conf.d/my b.yaml:3:5: unknown key\n    x: 1\n    ^\nc.yaml:7:1: y", exitConfig, failure{Code: "invalid", File: "conf.d/my b.yaml", Line: 3, Column: 5})
	refuse(telemetry.FaultInvalid, "the piece has no plugin", exitConfig, failure{Code: "invalid"})
	refuse(telemetry.FaultDenied, "a:1:2: no", exitConfig, failure{Code: "denied"})
	refuse(telemetry.FaultNotFound, "no such", exitUsage, failure{Code: "not_found"})
	refuse(telemetry.FaultTimeout, "busy", exitTryAgain, failure{Code: "timeout"})
	refuse(telemetry.FaultInternal, "b is stuck", exitFailed, failure{Code: "internal"})
	expect(t, run("reload", "--dry-run", "-o", "json"), exitFailed, `"host":"h1","dry_run":true,"changes":[],"warnings":[],"error":{"code":"internal","message":"b is stuck"}}`)
	f(exitNoBus, failure{Code: "unavailable"}, "reload", "--host", "h2")
	agent.set("reload", did(telemetry.Change{Plugin: "tidy", Action: "swap", Error: "not ready"}))
	f(exitFailed, failure{Code: "internal"}, "reload")
	agent.set("reload", func(map[string]any) (any, *telemetry.Fault) { return nil, nil })
	f(exitTryAgain, failure{Code: "timeout"}, "reload", "--timeout", "50ms")
}

func TestFailureCode(t *testing.T) {
	f := func(err error, want string) {
		t.Helper()
		if got := failureCode(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	f(exitWith(exitConfig, &unanswered{"h1", bus.ErrDenied}), "denied")
	f(exitWith(exitFailed, &unanswered{"h1", context.Canceled}), "interrupted")
	f(exitWith(exitNoBus, &unanswered{"h1", bus.ErrNoResponders}), "unavailable")
	f(config.Faults{{Message: "x"}}, "invalid")
	f(errors.New("x"), "internal")
	if f := failureOf(nil); f != nil {
		t.Errorf("%+v", f)
	}
	several := []error{exitWith(exitUsage, errors.New("a")), &refused{telemetry.Fault{Code: "invalid", Message: "b"}}}
	if f := failureOf(several); f.Code != "usage" || f.Message != "a\nb" {
		t.Errorf("%+v", f)
	}
}

// Each plugin is told of, whatever became of the others.
func TestSeveralPlugins(t *testing.T) {
	agent, run := agentOf(t, map[string]answer{"stop": func(args map[string]any) (any, *telemetry.Fault) {
		if args["plugin"] == "b" {
			return nil, &telemetry.Fault{Code: telemetry.FaultInternal, Message: "b is stuck"}
		}
		return telemetry.ChangeList{Changes: []telemetry.Change{{Plugin: args["plugin"].(string), Action: "stop", OldPID: 5}}}, nil
	}})
	r := run("plugin", "stop", "a", "b", "c")
	expect(t, r, exitFailed, "a       stop", "c       stop", "pacewire: b is stuck")
	agent.expect(t, `stop {"plugin":"a"}`, `stop {"plugin":"b"}`, `stop {"plugin":"c"}`)
	r = run("plugin", "stop", "a", "b", "c", "-o", "json")
	var shown changes
	if err := json.Unmarshal([]byte(r.out), &shown); err != nil || len(shown.Changes) != 2 || r.code != exitFailed {
		t.Errorf("%s: %v", r.out, err)
	}
}

func TestChangeThatFailed(t *testing.T) {
	_, run := agentOf(t, map[string]answer{"reload": did(
		telemetry.Change{Plugin: "good", Action: "start", PID: 5},
		telemetry.Change{Plugin: "tidy", Action: "swap", OldPID: 7, PID: 7, Error: "not ready within 30s"},
		telemetry.Change{Plugin: "x", Action: "none"},
	)})
	expect(t, run("reload"), exitFailed, "good", "swap (failed)", "pacewire: swap of tidy came to nothing: not ready within 30s", "!stays as it is")
}

func TestReload(t *testing.T) {
	none := telemetry.Change{Plugin: "x", Action: telemetry.ChangeNone}
	f := func(flag string, list telemetry.ChangeList, words ...string) {
		t.Helper()
		agent, run := agentOf(t, map[string]answer{"reload": func(map[string]any) (any, *telemetry.Fault) { return list, nil }})
		expect(t, run(strings.Fields("reload "+flag)...), 0, words...)
		agent.expect(t, `reload {"dry_run":`+map[bool]string{true: "true", false: "false"}[flag == "--dry-run"]+`}`)
	}
	f("", telemetry.ChangeList{Changes: []telemetry.Change{}}, "no plugin has changed", "!PLUGIN")
	f("", telemetry.ChangeList{Changes: []telemetry.Change{none, none}}, "no plugin has changed")
	swap := telemetry.Change{Plugin: "tidy", Action: "swap", Reason: "run"}
	f("", telemetry.ChangeList{Changes: []telemetry.Change{swap, none}}, "1 plugin stays as it is", "tidy")
	f("--dry-run", telemetry.ChangeList{Changes: []telemetry.Change{swap, none, none}, DryRun: true},
		"dry run: nothing was done", "2 plugins stay as they are", "tidy    swap    -    -     run")
}

// A config with faults is told as validate tells it, line by line.
func TestReloadRefused(t *testing.T) {
	fault := "pacewire.yaml:3:5: unknown key \"intervall\"\n    intervall: 5s\n    ^ did you mean every?\nb.yaml:1:1: \x1b[2Jtricks"
	_, run := agentOf(t, map[string]answer{"reload": fails(telemetry.FaultInvalid, fault)})
	r := run("reload")
	expect(t, r, exitConfig, "pacewire: pacewire.yaml:3:5: unknown key", "\n    intervall: 5s\n    ^ did you mean every?\n", "!\x1b")
	if r.out != "" {
		t.Errorf("%q", r.out)
	}
}

func TestProgressIsForTerminals(t *testing.T) {
	var out texttest.Buffer
	a := &app{err: &out}
	a.progress("waiting")()
	if out.String() != "" {
		t.Errorf("%q", out.String())
	}
}
