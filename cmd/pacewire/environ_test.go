package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

// What env prints is what a shell then has, whatever is in it.
func TestPluginEnv(t *testing.T) {
	value := `it's "$(touch x)" \ ` + "`id`" + "\nsecond line; exit 3"
	agent, run := agentOf(t, map[string]answer{"env": func(map[string]any) (any, *telemetry.Fault) {
		return telemetry.PluginEnv{Environ: []string{"PACEWIRE_BUS=nats://127.0.0.1:4222", "PACEWIRE_PLUGIN=" + value, "EMPTY="}}, nil
	}})
	r := run("plugin", "env", "nginx")
	expect(t, r, 0, "export PACEWIRE_BUS='nats://127.0.0.1:4222'\n", "export EMPTY=''\n")
	agent.expect(t, `env {"plugin":"nginx"}`)
	out, err := exec.Command("sh", "-c", `eval "$1"; printf '%s|%s' "$PACEWIRE_BUS" "$PACEWIRE_PLUGIN"`, "sh", r.out).Output()
	if err != nil || string(out) != "nats://127.0.0.1:4222|"+value {
		t.Errorf("%q: %v", out, err)
	}
	expect(t, run("plugin", "env", "nginx", "-o", "json"), 0, `{"environ":["PACEWIRE_BUS=nats://127.0.0.1:4222",`)
}

// An agent that is not to be trusted cannot make the shell run anything.
func TestPluginEnvNames(t *testing.T) {
	for _, entry := range []string{"A;id=1", "=x", "1A=x", "A B=x", "$(id)=x", "Ä=x"} {
		_, run := agentOf(t, map[string]answer{"env": func(map[string]any) (any, *telemetry.Fault) {
			return telemetry.PluginEnv{Environ: []string{entry}}, nil
		}})
		r := run("plugin", "env", "x")
		expect(t, r, exitFailed, "which no shell has")
		if strings.TrimSpace(r.out) != "" {
			t.Errorf("%q", r.out)
		}
	}
}
