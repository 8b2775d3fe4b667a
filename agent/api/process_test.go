package api

import (
	"context"
	"testing"

	"github.com/pacewire/pacewire/telemetry"
)

func TestProcessName(t *testing.T) {
	f := func(name string, want bool) {
		t.Helper()
		if got := processName(name); got != want {
			t.Errorf("processName(%q) = %v", name, got)
		}
	}
	f("hot", true)
	f("hot.2", true)
	f("hot.1", true)
	f("hot.0", false)
	f("hot.2.3", false)
	f("hot.", false)
	f("Hot.2", false)
	f(".2", false)
}

// The processes of a plugin stand in the list of a host, and each can be asked for.
func TestProcesses(t *testing.T) {
	r := start(t, nil, nil)
	one := func(name string) telemetry.PluginStatus {
		return telemetry.PluginStatus{Name: name, Kind: "processor", Host: "web1", State: "running"}
	}
	r.fleet.answer = func(_ context.Context, verb string, args map[string]any) (any, error) {
		switch {
		case verb == "list":
			return telemetry.PluginList{Plugins: []telemetry.PluginStatus{one("hot"), one("hot.2")}}, nil
		case args["plugin"] == "hot.2":
			return telemetry.PluginList{Plugins: []telemetry.PluginStatus{one("hot.2")}}, nil
		}
		return telemetry.PluginList{Plugins: []telemetry.PluginStatus{one("hot")}}, nil
	}
	f := func(path string, want ...string) {
		t.Helper()
		var page struct{ Plugins []telemetry.PluginStatus }
		r.get("/api/v1/hosts/web1/plugins"+path, &page)
		var got []string
		for _, p := range page.Plugins {
			got = append(got, p.Name)
		}
		if len(got) != len(want) || len(got) > 0 && got[len(got)-1] != want[len(want)-1] {
			t.Errorf("%s: %v, want %v", path, got, want)
		}
	}
	f("", "hot", "hot.2")
	f("/hot", "hot")
	f("/hot.1", "hot")
	f("/hot.2", "hot.2")
}
