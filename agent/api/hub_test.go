package api

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/hub"
	"github.com/pacewire/pacewire/agent/liveness"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/fleet"
	"github.com/pacewire/pacewire/telemetry"
)

// TestOverHub asks a real hub about simulated hosts that beat on a real bus.
func TestOverHub(t *testing.T) {
	const hosts, soon = 3, 30 * time.Second
	b := bustest.New(t)
	streams := bus.DefaultStreams()
	streams.MetricsMaxBytes, streams.EventsMaxBytes, streams.DeadMaxBytes = 32<<20, 16<<20, 1<<20
	h := hub.New(hub.Options{URL: b.URL, Log: bustest.Log(t), Interval: 200 * time.Millisecond, Rules: liveness.DefaultRules(),
		Streams: streams, Times: hub.Times{Sweep: 50 * time.Millisecond, Renew: time.Second}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	r := start(t, nil, func(o *Options) { o.Hub, o.Conn = h, h.Data })
	bustest.Wait(t, soon, "the hub to speak", h.Speaks)
	f, err := fleet.Start(t.Context(), fleet.Options{URL: b.URL, Hosts: hosts, Interval: 200 * time.Millisecond, Owner: "ada", Inventory: 2000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)

	var list hostPage
	bustest.Wait(t, soon, "all hosts", func() bool {
		r.get("/api/v1/hosts?state=UP&owner=ada", &list)
		return len(list.Hosts) == hosts
	})
	id := list.Hosts[0].Host
	var inventory struct{ Items []item }
	bustest.Wait(t, soon, "the inventory", func() bool {
		r.get("/api/v1/hosts/"+id+"/inventory", &inventory)
		return len(inventory.Items) > 0
	})
	one := inventory.Items[0]
	var facts telemetry.PluginData
	r.get(fmt.Sprintf("/api/v1/hosts/%s/inventory/%s/%s", id, one.Plugin, one.Type), &facts)
	if facts.Plugin != one.Plugin || len(facts.Data) == 0 {
		t.Errorf("facts of %+v: %+v", one, facts)
	}

	a := r.ask("POST", "/api/v1/refresh?mode=collect", "")
	if a.StatusCode != http.StatusAccepted {
		t.Fatalf("%s %s", a.Status, a.text)
	}
	var j Job
	bustest.Wait(t, soon, "the refresh", func() bool {
		r.get(a.Header.Get("Location"), &j)
		return j.State == jobDone
	})
	if j.Refresh.Done != hosts || j.Refresh.Missing != 0 {
		t.Errorf("%+v", j.Refresh)
	}

	var events eventPage
	bustest.Wait(t, soon, "an event of each host", func() bool {
		r.get("/api/v1/events?type=up", &events)
		return len(events.Events) == hosts
	})
	if e := r.listen("/api/v1/events/stream?after=0&host=" + id).next(); e.id == "" {
		t.Errorf("%+v", e)
	}
	if a := r.ask("POST", "/api/v1/hosts/"+id+"/silence", `{"for": "2h"}`); a.StatusCode != http.StatusOK {
		t.Errorf("%s %s", a.Status, a.text)
	}
	var now telemetry.HostStatus
	if r.get("/api/v1/hosts/"+id, &now); now.Until == 0 {
		t.Errorf("%+v is not silenced", now)
	}
	f.Kill(id)
	bustest.Wait(t, soon, "its agent to be away", func() bool {
		return r.ask("POST", "/api/v1/hosts/"+id+"/plugins/tidy/start", "").code() == "not_connected"
	})
	if a := r.ask("DELETE", "/api/v1/hosts/"+id, ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if a := r.ask("GET", "/api/v1/hosts/"+id, ""); a.code() != "no_host" {
		t.Errorf("a forgotten host: %s %s", a.Status, a.text)
	}
	checkExposition(t, r.ask("GET", "/metrics", "").text)
}
