package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// info of a plugin with several processes names them all; of one process, and of a plugin with one, it tells only that.
func TestInfoOfSeveral(t *testing.T) {
	now := time.Now().UnixNano()
	is := func(name, state string) telemetry.PluginStatus {
		return telemetry.PluginStatus{Name: name, Kind: "processor", Program: "filter", Host: "h1", State: state, Since: now, PID: 7}
	}
	hot, second, other := is("hot", "running"), is("hot.2", "failed"), is("cpu", "running")
	second.Reason = "exit code 1"
	_, run := agentOf(t, map[string]answer{"info": of(hot), "list": of(hot, second, other)})
	expect(t, run("plugin", "info", "hot"), 0, "processes", "hot running for 0s, process 7", "hot.2 failed for 0s, process 7: exit code 1", "!cpu running")
	var d struct{ Processes []struct{ Name string } }
	if r := run("plugin", "info", "hot", "-o", "json"); json.Unmarshal([]byte(r.out), &d) != nil || len(d.Processes) != 2 || d.Processes[1].Name != "hot.2" {
		t.Errorf("%+v of %s", d, r.out)
	}

	_, run = agentOf(t, map[string]answer{"info": of(second), "list": of(hot, second, other)})
	expect(t, run("plugin", "info", "hot.2"), 0, "!processes")
	_, run = agentOf(t, map[string]answer{"info": of(other), "list": of(hot, second, other)})
	expect(t, run("plugin", "info", "cpu"), 0, "!processes")
	if r := run("plugin", "info", "cpu", "-o", "json"); strings.Contains(r.out, "processes") {
		t.Error(r.out)
	}
}
