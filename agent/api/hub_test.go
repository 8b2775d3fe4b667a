package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
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
	const hosts, interval = 120, time.Second
	b := bustest.New(t)
	streams := bus.DefaultStreams()
	streams.MetricsMaxBytes, streams.EventsMaxBytes, streams.DeadMaxBytes = 32<<20, 16<<20, 1<<20
	h := hub.New(hub.Options{URL: b.URL, Log: bustest.Log(t), Interval: interval, Rules: liveness.DefaultRules(),
		Streams: streams, Times: hub.Times{Sweep: 50 * time.Millisecond}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	r := start(t, nil, func(o *Options) { o.Hub, o.Conn = h, h.Data })
	bustest.Wait(t, soon, "the hub to speak", h.Speaks)
	f, err := fleet.Start(t.Context(), fleet.Options{URL: b.URL, Hosts: hosts, Interval: interval, Owner: "ada", Inventory: 2000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Stop)

	var list hostPage
	bustest.Wait(t, soon, "all hosts", func() bool {
		r.get("/api/v1/hosts?state=UP&owner=ada", &list)
		return len(list.Hosts) == hosts
	})
	r.pages(hosts)
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

	var j Job
	bustest.Wait(t, 2*soon, "a refresh that all answer in time", func() bool {
		j = r.refreshed()
		return j.Refresh.Done == hosts && j.Refresh.Missing == 0
	})
	bustest.Wait(t, soon, "an event of each host", func() bool {
		var events eventPage
		r.get("/api/v1/events?type=up&limit=1000", &events)
		up := map[string]bool{} // twice, who was silent for a moment
		for _, e := range events.Events {
			up[e.Host] = true
		}
		return len(up) == hosts
	})
	r.asDescribed(id, one, j.ID)
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
		// The bus may not have seen yet that nobody listens: then this one would wait for an answer.
		return r.ask("POST", "/api/v1/hosts/"+id+"/plugins/tidy/start?wait=1s", "").code() == "not_connected"
	})
	if a := r.ask("DELETE", "/api/v1/hosts/"+id, ""); a.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s", a.Status, a.text)
	}
	if a := r.ask("GET", "/api/v1/hosts/"+id, ""); a.code() != "no_host" {
		t.Errorf("a forgotten host: %s %s", a.Status, a.text)
	}
	checkExposition(t, r.ask("GET", "/metrics", "").text)
}

// refreshed has all hosts collect their inventory anew.
func (r *rig) refreshed() (j Job) {
	r.t.Helper()
	a := r.ask("POST", "/api/v1/refresh?mode=collect", "")
	if a.StatusCode != http.StatusAccepted {
		r.t.Fatalf("%s %s", a.Status, a.text)
	}
	bustest.Wait(r.t, 2*soon, "the refresh", func() bool {
		r.get(a.Header.Get("Location"), &j)
		return j.State == jobDone
	})
	return j
}

// pages goes through the lists of the fleet a page at a time: everybody is there once, in order.
func (r *rig) pages(hosts int) {
	r.t.Helper()
	f := func(what string, want int, next func(after string) (ids []string, last string)) {
		r.t.Helper()
		var all []string
		pages := 0
		for after := ""; pages == 0 || after != ""; pages++ {
			var ids []string
			ids, after = next(after)
			all = append(all, ids...)
		}
		if len(all) != want || pages < 3 || !slices.IsSorted(all) || len(slices.Compact(all)) != want {
			r.t.Errorf("%d %s on %d pages, want %d", len(all), what, pages, want)
		}
	}
	f("hosts", hosts, func(after string) (ids []string, next string) {
		var p hostPage
		r.get("/api/v1/hosts?limit=40&after="+after, &p)
		for _, h := range p.Hosts {
			ids = append(ids, h.Host)
		}
		return ids, p.Next
	})
	var g Graph
	bustest.Wait(r.t, soon, "the plugins of all hosts", func() bool {
		r.get("/api/v1/graph", &g)
		return len(g.Nodes) == 2 && g.Nodes[0].Hosts == uint64(hosts) && g.Nodes[1].Hosts == uint64(hosts)
	})
	f("plugins", 2*hosts, func(after string) (ids []string, next string) {
		var p pluginPage
		r.get("/api/v1/plugins?limit=40&after="+after, &p)
		for _, one := range p.Plugins {
			ids = append(ids, place(one))
		}
		return ids, p.Next
	})
}

// asDescribed reads all that can be read, and looks whether it is as the document says.
func (r *rig) asDescribed(host string, it item, job string) {
	r.t.Helper()
	d := readDocument(r.t)
	names := strings.NewReplacer("{host}", host, "{plugin}", it.Plugin, "{type}", it.Type, "{id}", job)
	read := 0
	for path, ops := range d.Paths {
		op, reads := ops["get"]
		if !reads || strings.HasSuffix(path, "/stream") || strings.Contains(path, "/plugins/{plugin}") || strings.Contains(path, "{letter}") {
			// Simulated agents do not tell of one plugin, and set nothing aside.
			continue
		}
		where := names.Replace(path)
		a := r.ask("GET", where, "")
		busy := path == "/-/ready" && a.StatusCode == http.StatusServiceUnavailable // the hub was stopped for a moment, and looks anew
		if d.check(r.t, op, "GET "+where, a); a.StatusCode != http.StatusOK && !busy {
			r.t.Errorf("GET %s: %s %s", where, a.Status, a.text)
		}
		read++
	}
	if read < 15 {
		r.t.Errorf("%d answers were read, want more", read)
	}
}
