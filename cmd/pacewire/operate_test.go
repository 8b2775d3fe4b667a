package main

import (
	"encoding/json"
	"strings"
	"testing"

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
	var out watched
	a := &app{err: &out}
	a.progress("waiting")()
	if out.String() != "" {
		t.Errorf("%q", out.String())
	}
}
