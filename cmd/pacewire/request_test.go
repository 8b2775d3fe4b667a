package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// The verbs that need an agent, as short as they can be.
var operating = []string{"plugin start x", "plugin stop x", "plugin restart x", "plugin unload x", "plugin upgrade x", "plugin swap x --use filter",
	"plugin load --name x", "plugin logs x", "plugin env x", "reload"}

func TestNoAgentHere(t *testing.T) {
	run := place(t)
	for _, verb := range operating {
		expect(t, run(strings.Fields(verb)...), exitNoBus, "no agent runs here", "start pacewire up, or name a bus by --bus")
	}
}

// A bus is there, but not the agent that is meant.
func TestNoAgentOfHost(t *testing.T) {
	_, run := agentOf(t, map[string]answer{})
	for _, verb := range operating {
		expect(t, run(append(strings.Fields(verb), "--host", "h2")...), exitNoBus, "no agent of host h2 is on this bus", "--host")
	}
}

func TestNoBus(t *testing.T) {
	run := place(t)
	noted(t, "nats://127.0.0.1:1", "")
	expect(t, run("plugin", "stop", "x"), exitNoBus, "127.0.0.1:1")
}

func TestRunFolderOfSomebodyElse(t *testing.T) {
	err := unread(exitWith(exitNoBus, fmt.Errorf("%w (%w)", errNoAgent, &fs.PathError{Op: "open", Path: "/run/pacewire/agent.json", Err: fs.ErrPermission})))
	if codeOf(err) != exitNoBus || errors.Is(err, errNoAgent) || !strings.Contains(err.Error(), "/run/pacewire/agent.json is not yours to read: use the agent's user, or root") {
		t.Errorf("%d: %v", codeOf(err), err)
	}
	if missing := fmt.Errorf("%w (%w)", errNoAgent, fs.ErrNotExist); unread(missing) != missing { //nolint:errorlint // it must be the same
		t.Error("it is not the same")
	}
}

// What the agent refuses has the exit code of its class.
func TestRefused(t *testing.T) {
	agent, run := agentOf(t, map[string]answer{})
	f := func(code string, want int) {
		t.Helper()
		for _, verb := range operating {
			words := strings.Fields(verb)
			name := words[len(words)-1]
			if words[0] == "plugin" {
				name = words[1]
			}
			agent.set(name, fails(code, `host h1 has no plugin "x": did you mean y?`))
			expect(t, run(words...), want, `pacewire: host h1 has no plugin "x": did you mean y?`)
		}
	}
	f(telemetry.FaultNotFound, exitUsage)
	f(telemetry.FaultInvalid, exitConfig)
	f(telemetry.FaultDenied, exitConfig)
	f(telemetry.FaultTimeout, exitTryAgain)
	f(telemetry.FaultInternal, exitFailed)
}

func TestTimeout(t *testing.T) {
	silent := func(map[string]any) (any, *telemetry.Fault) { return nil, nil }
	agent, run := agentOf(t, map[string]answer{"stop": silent})
	r := run("plugin", "stop", "a", "b", "--timeout", "50ms")
	expect(t, r, exitTryAgain, "the agent of h1 has not answered in time (50ms)", "what it began goes on", "--timeout")
	agent.expect(t, `stop {"plugin":"a"}`) // the agent is silent: b would wait for nothing too
}

func TestInterrupted(t *testing.T) {
	asked := make(chan bool, 1)
	_, _ = agentOf(t, map[string]answer{"stop": func(map[string]any) (any, *telemetry.Fault) {
		asked <- true
		return nil, nil
	}})
	_, errs, stop := background(t, "plugin", "stop", "a")
	<-asked
	if code := stop(); code != exitFailed || !strings.Contains(errs.String(), "interrupted before the agent of h1 answered: what it began goes on") {
		t.Errorf("exit code %d, %s", code, errs.String())
	}
}

// A user whom the bus does not let ask is told at once, and what to do.
func TestDenied(t *testing.T) {
	run := place(t)
	b := bustest.Guarded(t)
	respond(t, b, "h1", map[string]answer{})
	_, creds := b.Grant(t, operator, &embedded.Rights{Publish: []string{"pw.hub.>"}, Subscribe: []string{"_INBOX.operator.>"}})
	noted(t, b.URL, creds)
	begun := time.Now()
	expect(t, run("plugin", "stop", "x"), exitConfig, "the bus does not let this user ask the agent of h1", "--creds")
	if took := time.Since(begun); took > operateTime/2 {
		t.Errorf("told after %v", took)
	}
}

func TestWrongCredentials(t *testing.T) {
	run := place(t)
	b := bustest.Guarded(t)
	if err := os.WriteFile("creds.json", []byte(`{"user":"operator","password":"no"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	noted(t, b.URL, "creds.json")
	expect(t, run("plugin", "stop", "x"), exitNoBus, "no longer, those of a user there; --creds names others")
}

// A list goes on until its last page.
func TestListPages(t *testing.T) {
	agent, run := agentOf(t, map[string]answer{"list": func(args map[string]any) (any, *telemetry.Fault) {
		var first int
		if after, ok := args["after"].(string); ok {
			_, _ = fmt.Sscanf(after, "p%d", &first)
			first++
		}
		var list telemetry.PluginList
		for i := first; i < min(first+100, 250); i++ {
			list.Plugins = append(list.Plugins, telemetry.PluginStatus{Name: fmt.Sprintf("p%d", i), Kind: "collector", Program: "x", Host: "h1", State: "running"})
		}
		list.More = first+100 < 250
		return list, nil
	}})
	r := run("plugin", "list")
	if rows := strings.Count(r.out, "\n") - 1; rows != 250 {
		t.Errorf("%d rows", rows)
	}
	agent.expect(t, "list null", `list {"after":"p99"}`, `list {"after":"p199"}`)
}

// A hub that is silent may have a successor in a moment; an error of the bus is told as what it is.
func TestUnanswered(t *testing.T) {
	f := func(host string, err error, want string) {
		t.Helper()
		if got := (&unanswered{host, err}).Error(); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("", bus.ErrTimeout, "another one takes over within 15 s: try again in 10 s")
	f("h1", bus.ErrTimeout, "the agent of h1 has not answered in time")
	f("", fmt.Errorf("%w: nats: outbound buffer limit exceeded", bus.ErrDisconnected), "the bus is away: the hub cannot be asked before it is back")
}
