package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// ended returns the pid of a process that is no more.
func ended(t *testing.T) int {
	t.Helper()
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

// The note of an agent that was killed outlives it.
func TestAgentIsGone(t *testing.T) {
	run := place(t)
	leave(t, note{URL: "nats://127.0.0.1:1", Host: "h1", PID: ended(t), Embedded: true})
	for _, verb := range []string{"plugin list", "status", "status -o json", "plugin info host", "plugin stop x", "reload", "tap"} {
		expect(t, run(strings.Fields(verb)...), exitNoBus, "the agent (process ", ") is gone: start it, or name a bus by --bus", "!refused")
	}
}

// A process that we do not see may be there all the same, in a container that shares our network.
func TestAgentOutOfSight(t *testing.T) {
	run := place(t)
	b := bustest.Bare(t, embedded.Options{})
	leave(t, note{URL: b.URL, Host: "h1", PID: ended(t), Embedded: true})
	respond(t, b, "h1", map[string]answer{"list": of(telemetry.PluginStatus{Name: "tidy", Kind: "processor", Host: "h1", State: "running"})})
	expect(t, run("plugin", "list"), 0, "tidy")
}

// A bus of others does not end with the agent.
func TestBusOfOthersIsAway(t *testing.T) {
	run := place(t)
	leave(t, note{URL: "nats://127.0.0.1:1", Host: "h1", PID: ended(t)})
	expect(t, run("plugin", "list"), exitNoBus, "dial bus nats://127.0.0.1:1", "does not run either: start both", "!is gone")
}

// Credentials that are named and cannot be read are told of, whoever names the bus, and whether there is one.
func TestCredentialsUnreadable(t *testing.T) {
	run := place(t)
	f := func(args string) {
		t.Helper()
		expect(t, run(append(strings.Fields(args), "--creds", "missing.json")...), exitUsage, "credentials: open missing.json: no such file", "--creds")
	}
	f("plugin list")
	f("plugin stop x")
	noted(t, "nats://127.0.0.1:1", "")
	f("plugin list")
	f("plugin stop x --bus nats://127.0.0.1:1")
}

// Credentials that are named go before those of the note.
func TestCredentialsOfFlag(t *testing.T) {
	run := place(t)
	b := bustest.Guarded(t)
	respond(t, b, "h1", map[string]answer{"list": of()})
	_, good := b.Grant(t, operator, &embedded.Rights{Publish: []string{"pw.>"}, Subscribe: []string{"_INBOX_operator.>"}})
	if err := os.WriteFile("old.json", []byte(`{"user":"operator","password":"no"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	noted(t, b.URL, "old.json")
	expect(t, run("plugin", "list", "--creds", good), 0, "NAME")
}
