package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// of answers with plugins.
func of(list ...telemetry.PluginStatus) answer {
	return func(map[string]any) (any, *telemetry.Fault) { return telemetry.PluginList{Plugins: list}, nil }
}

func TestListShowsStates(t *testing.T) {
	now := time.Now()
	next := telemetry.PluginStatus{Name: "nginx", Kind: "collector", Program: "python3", Host: "h1", State: "backing_off", Reason: "exit code 1",
		Since: now.UnixNano(), Next: now.Add(time.Minute).UnixNano(), Restarts: 3, LastExit: "exit code 1", LastEnd: now.Add(-3 * time.Minute).UnixNano()}
	attached := telemetry.PluginStatus{Name: "cron", Kind: "collector", Program: "sh", Host: "h1", State: "lost", Reason: "silent for 30s", Since: now.UnixNano(), PID: 99, Attached: true}
	_, run := agentOf(t, map[string]answer{"list": of(next, attached), "info": of(next)})
	expect(t, run("plugin", "list"), 0, "starts again in 1m: exit code 1", "lost", "attached", "!99")
	expect(t, run("plugin", "info", "nginx"), 0, "last exit", "exit code 1, 3m ago", "backing_off for 0s: starts again in", "restarts 3", "python3\n")
	r := run("plugin", "list", "-o", "json")
	for _, key := range []string{"name", "kind", "program", "version", "host", "state", "reason", "since", "pid", "restarts"} {
		if !strings.Contains(r.out, `"`+key+`":`) {
			t.Errorf("no %s in %s", key, r.out)
		}
	}
}

func TestWhy(t *testing.T) {
	now := time.Unix(1e9, 0)
	f := func(state, reason string, next time.Duration, want string) {
		t.Helper()
		s := telemetry.PluginStatus{State: state, Reason: reason}
		if next != 0 {
			s.Next = now.Add(next).UnixNano()
		}
		if got := why(s, now); got != want {
			t.Errorf("%s: %q, want %q", state, got, want)
		}
	}
	f("running", "", 0, "")
	f("failed", "exit code 1\x07", 0, "exit code 1\uFFFD")
	f("failed", "exit code 1", time.Second, "exit code 1")
	f("backing_off", "exit code 1", 1500*time.Millisecond, "starts again in 2s: exit code 1")
	f("backing_off", "", 4*time.Second, "starts again in 4s")
	f("backing_off", "", 10*time.Second, "starts again in 10s")
	f("backing_off", "", 3*time.Minute, "starts again in 3m")
	f("backing_off", "", 20*time.Minute+10*time.Second, "starts again in 20m10s")
	f("backing_off", "", 10*time.Hour, "starts again in 10h")
	f("backing_off", "", time.Hour+5*time.Second, "starts again in 1h0m5s")
	f("backing_off", "exit code 1", -time.Second, "starts again now: exit code 1")
	f("backing_off", "exit code 1", 0, "exit code 1")
}

// Zeros that nobody has counted would say that nothing passes.
func TestListWithoutCounters(t *testing.T) {
	f := func(stats *telemetry.Stats, in, out string) {
		t.Helper()
		_, run := agentOf(t, map[string]answer{"list": of(telemetry.PluginStatus{Name: "x", Kind: "collector", Program: "sh", Host: "h1", State: "running", Stats: stats})})
		cells := strings.Fields(strings.Split(run("plugin", "list").out, "\n")[1])
		if cells[7] != in || cells[9] != out {
			t.Errorf("%q", cells)
		}
	}
	f(nil, "-", "-")
	f(&telemetry.Stats{}, "0", "0")
	f(&telemetry.Stats{PointsIn: 5, PointsOut: 7}, "5", "7")
}

// Who asks for plugins in JSON gets plugins, or an error: never the programs.
func TestJSONWithoutAgent(t *testing.T) {
	run := place(t)
	f := func(r said, code int, word string) {
		t.Helper()
		expect(t, r, code, word)
		if r.out != "" {
			t.Errorf("%s", r.out)
		}
	}
	f(run("plugin", "list", "-o", "json"), exitNoBus, "pacewire: no agent runs here")
	f(run("plugin", "info", "host", "-o", "json"), exitNoBus, "pacewire: no agent runs here")
	expect(t, run("plugin", "list"), 0, "no agent runs here; the programs that can be run", "KIND")
	expect(t, run("plugin", "list", "--programs", "-o", "json"), 0, `[{"kind":"collector"`)
	_, run = agentOf(t, map[string]answer{"info": fails(telemetry.FaultNotFound, `host h1 has no plugin "filter"`)})
	f(run("plugin", "info", "filter", "-o", "json"), exitUsage, "has no plugin")
}

func TestInfoAsJSON(t *testing.T) {
	at := time.Date(2026, 11, 20, 16, 0, 0, 0, time.UTC)
	s := telemetry.PluginStatus{Name: "n", Kind: "collector", Program: "sh", Version: "1.2", Host: "h1", State: "running", Since: at.UnixNano(), PID: 7, Config: 9,
		Beat: at.Add(time.Second).UnixNano(), LastEnd: at.Add(-time.Hour).UnixNano(), LastExit: "exit code 1", Schedule: "cron @daily", Due: at.Add(8 * time.Hour).UnixNano(),
		Trust: "no signature", Denied: 3, Stats: &telemetry.Stats{PointsOut: 5}, Stderr: []string{`{"level":"warn","msg":"late"}`, "plain"},
		Inputs: []telemetry.Input{{Stream: "METRICS", Durable: "n", Filters: []string{"pw.metrics.*.cpu"}}}}
	agent, run := agentOf(t, map[string]answer{"info": of(s)})
	r := run("plugin", "info", "n", "-o", "json")
	expect(t, r, 0, `"beat":"2026-11-20T16:00:01Z"`, `"last_end":"2026-11-20T15:00:00Z"`, `"due":"2026-11-21T00:00:00Z"`, `"stderr":["warn: late","plain"]`,
		`"stats":{"points_out":5}`, `"trust":"no signature"`, `"denied":3`, `"schedule":"cron @daily"`, `!"next"`)
	list := `{"name":"n","kind":"collector","program":"sh","version":"1.2","host":"h1","state":"running","reason":"","since":"2026-11-20T16:00:00Z","pid":7,"restarts":0,`
	if !strings.HasPrefix(r.out, list) {
		t.Errorf("%s, want first %s", r.out, list)
	}
	agent.set("info", of(telemetry.PluginStatus{Name: "n", Kind: "collector", Host: "h1", State: "stopped"}))
	expect(t, run("plugin", "info", "n", "-o", "json"), 0, `"stderr":[]`, `!"beat"`, `!"due"`, `!"stats"`, `!null`)
}

func TestInfoSchedule(t *testing.T) {
	now := time.Now()
	f := func(schedule string, due time.Duration, want string) {
		t.Helper()
		s := telemetry.PluginStatus{Schedule: schedule}
		if due != 0 {
			s.Due = now.Add(due).UnixNano()
		}
		if got := dueText(s, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("", 0, "")
	f("every 5s, 3 times", 0, "every 5s, 3 times")
	f("cron */5 * * * *", 3*time.Minute, "cron */5 * * * *, next in 3m")
	f("", time.Second, "next in 1s")
	s := telemetry.PluginStatus{Name: "n", Kind: "collector", Host: "h1", State: "idle", Schedule: "cron @daily", Due: now.Add(10 * time.Hour).UnixNano(), Trust: "no signature", Denied: 2}
	agent, run := agentOf(t, map[string]answer{"info": of(s)})
	expect(t, run("plugin", "info", "n"), 0, "schedule  cron @daily, next in", "trust     no signature", "denied    2 attempts")
	agent.set("info", of(telemetry.PluginStatus{Name: "n", Kind: "collector", Host: "h1", State: "idle"}))
	expect(t, run("plugin", "info", "n"), 0, "!schedule", "!trust", "!denied")
}

// A program is described only where no plugin of that name was looked for in vain.
func TestInfoOfProgram(t *testing.T) {
	agent, run := agentOf(t, map[string]answer{"info": fails(telemetry.FaultNotFound, `host h1 has no plugin "filter"`)})
	expect(t, run("plugin", "info", "filter"), 0, `"program": "filter"`, "!no agent")
	expect(t, run("plugin", "info", "fliter"), exitUsage, `host h1 has no plugin`, "did you mean filter?")
	agent.set("info", fails(telemetry.FaultNotFound, `host h1 has no plugin "hot.9": did you mean hot.3?`))
	expect(t, run("plugin", "info", "hot.9"), exitUsage, "did you mean hot.3?", "!built-in")
	agent.set("info", fails(telemetry.FaultInternal, "it is broken"))
	expect(t, run("plugin", "info", "filter"), exitFailed, "it is broken", `!"program"`)
}

func TestVerbsComplete(t *testing.T) {
	host := telemetry.PluginStatus{Name: "host", Kind: "collector", Program: "host", Host: "h1", State: "running"}
	tidy := telemetry.PluginStatus{Name: "tidy", Kind: "processor", Program: "filter", Host: "h1", State: "running"}
	_, run := agentOf(t, map[string]answer{"list": of(host, tidy)})
	f := func(args, want string) {
		t.Helper()
		r := eventually(t, func() said { return run(append([]string{"__complete"}, append(strings.Fields(args), "")...)...) }, strings.Fields(want)...)
		got, _, noFiles := strings.Cut(r.out, ":4\n")
		if got = strings.Join(strings.Fields(got), " "); got != want || !noFiles {
			t.Errorf("%s: %q, want %q", args, got, want)
		}
	}
	for _, verb := range []string{"start", "stop", "restart", "unload", "upgrade"} {
		f("plugin "+verb, "host tidy")
		f("plugin "+verb+" tidy", "host")
		f("plugin "+verb+" --host", "h1")
	}
	for _, verb := range []string{"logs", "env", "swap"} {
		f("plugin "+verb, "host tidy")
	}
	f("plugin logs host", "")
	f("plugin logs --level", "debug info warn error")
	f("plugin load --kind", "collector processor publisher")
	f("plugin load --from", "host tidy")
	f("plugin start --host nobody", "")
}

func TestEveryVerbHasTwoExamples(t *testing.T) {
	run := place(t)
	for _, verb := range []string{"plugin start", "plugin stop", "plugin restart", "plugin load", "plugin unload", "plugin swap", "plugin upgrade", "plugin logs", "plugin env", "reload"} {
		r := run(append(strings.Fields(verb), "--help")...)
		_, examples, _ := strings.Cut(r.out, "Examples:\n")
		examples, _, _ = strings.Cut(examples, "\n\n")
		if n := strings.Count(examples, "pacewire "+verb); n != 2 || r.code != 0 {
			t.Errorf("%s: %d examples\n%s", verb, n, r.out)
		}
		for line := range strings.Lines(r.out) {
			if columns(line) > 130 {
				t.Errorf("%s: %s", verb, line)
			}
		}
	}
}
