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
	expect(t, run("plugin", "list"), 0, "starts again in 1m0s: exit code 1", "lost", "attached", "!99")
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
	f("backing_off", "exit code 1", -time.Second, "starts again now: exit code 1")
	f("backing_off", "exit code 1", 0, "exit code 1")
}

// A program is described only where no plugin of that name was looked for in vain.
func TestInfoOfProgram(t *testing.T) {
	agent, run := agentOf(t, map[string]answer{"info": fails(telemetry.FaultNotFound, `host h1 has no plugin "filter"`)})
	expect(t, run("plugin", "info", "filter"), 0, `"program": "filter"`, "!no agent")
	expect(t, run("plugin", "info", "fliter"), exitUsage, `host h1 has no plugin`, "did you mean filter?")
	agent.set("info", fails(telemetry.FaultInternal, "it is broken"))
	expect(t, run("plugin", "info", "filter"), exitFailed, "it is broken", `!"program"`)
}

func TestVerbsComplete(t *testing.T) {
	host := telemetry.PluginStatus{Name: "host", Kind: "collector", Program: "host", Host: "h1", State: "running"}
	tidy := telemetry.PluginStatus{Name: "tidy", Kind: "processor", Program: "filter", Host: "h1", State: "running"}
	_, run := agentOf(t, map[string]answer{"list": of(host, tidy)})
	f := func(args, want string) {
		t.Helper()
		r := run(append([]string{"__complete"}, append(strings.Fields(args), "")...)...)
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
