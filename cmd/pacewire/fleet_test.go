package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/internal/golden"
	"github.com/pacewire/pacewire/telemetry"
)

// A rig is a bus with streams and, where the test says how it answers, a hub; the host here is h1.
type rig struct {
	bus    *bustest.Bus
	hub    *responder
	run    func(args ...string) said
	folder string // of golden files
}

// fleetOf starts a rig; nil for verbs: it has no hub.
func fleetOf(t *testing.T, verbs map[string]answer) rig {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r := rig{folder: filepath.Join(here, "testdata", "fleet"), run: place(t), bus: bustest.New(t)}
	noted(t, r.bus.URL, "")
	if verbs != nil {
		r.hub = respondHub(t, r.bus, verbs)
	}
	return r
}

// respondHub starts a responder in the place of the hub.
func respondHub(t testing.TB, b *bustest.Bus, verbs map[string]answer) *responder {
	t.Helper()
	r := &responder{verbs: verbs}
	conn := b.Conn(t, "hub")
	decode := func(body []byte) (telemetry.CtlRequest, error) {
		q, _, err := telemetry.DecodeCtlRequest(body)
		return q, err
	}
	s, err := bus.Handle(conn, bus.Pattern(bus.AreaHub, bus.Any), bus.Rules{Reply: true, Parallel: 4}, decode,
		func(_ context.Context, s bus.Subject, q telemetry.CtlRequest) ([]byte, error) {
			if q.Mode != "" {
				q.Args["mode"] = q.Mode // so that tests see it
			}
			return r.answer(s.Verb, q)
		})
	if err != nil {
		t.Fatal(err)
	}
	r.stop = func() {
		s.Stop()
		_ = conn.Flush(t.Context()) // the server knows that nobody listens; where it is away nobody does
	}
	if err := conn.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

// golden compares with a file; parts of got that differ from run to run are given as old, new, old, new ...
func (r rig) golden(t *testing.T, name, got string, vary ...string) {
	t.Helper()
	golden.Equal(t, filepath.Join(r.folder, name), []byte(strings.NewReplacer(vary...).Replace(got)))
}

// says answers always the same.
func says(v any) answer { return func(map[string]any) (any, *telemetry.Fault) { return v, nil } }

// ago is a moment in ns.
func ago(d time.Duration) int64 { return time.Now().Add(-d).UnixNano() }

// sampleHosts are one of each kind.
func sampleHosts() []telemetry.HostStatus {
	return []telemetry.HostStatus{
		{Host: "db1", Name: "db1", State: "OVERDUE", Since: ago(12*time.Minute + 10*time.Second), Beat: ago(28 * time.Second), AgeMS: 28_400, Flags: []string{"slow"}, Version: "0.4.0"},
		{Host: "web1", Name: "www", State: "UP", Since: ago(3*time.Hour + time.Minute), Stable: true, Owner: "ops", Site: "lab", Labels: map[string]string{"rack": "a7", "zone": "b"},
			Version: "0.4.0", OS: "linux", Arch: "amd64", Beat: ago(4 * time.Second), AgeMS: 4_200, IntervalMS: 10_000, Boot: "b00t", Inst: "1n57", Gen: 4, HostUpMS: 86_400_000,
			Received: 1200, Lost: 3, AckLost: 1, Late: 1, Saved: 2, RTTUS: 740, OffsetUS: -1500, ConfigRev: 0xab12,
			Plugins: &telemetry.PluginCounts{OK: 3, Fail: 1}, Load: map[string]float64{"load1": 0.25, "load15": 0.1, "load5": 0.2, "cpus": 2, "rss": 30 << 20, "queue": 3, "other": 1.5}, Items: 4, Held: 3, Aliases: []string{"web01"}},
		{Host: "web2", State: "DOWN", Reason: "silent", Since: ago(49 * time.Hour), Beat: ago(49 * time.Hour), AgeMS: 49 * 3_600_000, Flags: []string{"flapping", "no_inventory"}},
		{Host: "x9", State: "LEFT", Reason: "shutdown", Since: ago(5 * time.Minute), RTTUS: 12_345},
		{Host: "y9", State: "UNKNOWN"},
	}
}

// pages answers hosts in pages of n, of those that the arguments select by their state.
func pages(list []telemetry.HostStatus, n int) answer {
	return func(args map[string]any) (any, *telemetry.Fault) {
		after, _ := args["after"].(string)
		page := telemetry.HostList{Hosts: []telemetry.HostStatus{}}
		for _, h := range list {
			if h.Host <= after || args["state"] != nil && args["state"] != h.State {
				continue
			}
			if len(page.Hosts) == n {
				page.More = true
				break
			}
			page.Hosts = append(page.Hosts, h)
		}
		return page, nil
	}
}

// oneOf answers with the host that is asked for.
func oneOf(list []telemetry.HostStatus) answer {
	return func(args map[string]any) (any, *telemetry.Fault) {
		for _, h := range list {
			if h.Host == args["host"] || h.Name != "" && h.Name == args["host"] {
				return telemetry.HostList{Hosts: []telemetry.HostStatus{h}}, nil
			}
		}
		return nil, &telemetry.Fault{Code: telemetry.FaultNotFound, Message: fmt.Sprintf("no such host: %q", args["host"])}
	}
}

// The verbs that need a hub, as short as they can be.
var fleetVerbs = []string{"host list", "host info web1", "host refresh web1", "host refresh --all", "host forget web1", "host silence web1 --end"}

func TestNoHub(t *testing.T) {
	r := fleetOf(t, nil)
	for _, verb := range fleetVerbs {
		expect(t, r.run(strings.Fields(verb)...), exitNoBus, `no hub answers on this bus: start "pacewire hub" ("pacewire up" has one where the bus is its own)`)
	}
}

func TestNoBusForFleet(t *testing.T) {
	run := place(t)
	for _, verb := range append(fleetVerbs, "events", "status") {
		expect(t, run(strings.Fields(verb)...), exitNoBus, "no agent runs here", "start pacewire up, or name a bus by --bus")
	}
}

// What a hub refuses has the exit code of its class.
func TestHubRefuses(t *testing.T) {
	r := fleetOf(t, map[string]answer{})
	f := func(code string, want int) {
		t.Helper()
		for _, verb := range fleetVerbs {
			for _, asked := range []string{"hosts", "host", "refresh", "forget", "silence"} {
				r.hub.set(asked, fails(code, "it cannot be"))
			}
			expect(t, r.run(strings.Fields(verb)...), want, "pacewire: it cannot be")
		}
	}
	f(telemetry.FaultDependency, exitFailed)
	f(telemetry.FaultDenied, exitConfig)
	f(telemetry.FaultTimeout, exitTryAgain)
	f(telemetry.FaultNotFound, exitUsage)
}

func TestNearHost(t *testing.T) {
	list := sampleHosts()
	r := fleetOf(t, map[string]answer{"hosts": pages(list, 2), "host": oneOf(list)})
	expect(t, r.run("host", "info", "wbe1"), exitUsage, `no such host: "wbe1": did you mean web1?`)
	expect(t, r.run("host", "info", "WWW"), exitUsage, `no such host: "WWW": did you mean www?`)
	expect(t, r.run("host", "info", "elsewhere"), exitUsage, `no such host: "elsewhere"`, "!did you mean")
	r.hub.set("forget", fails(telemetry.FaultNotFound, `no such host: "bd1"`))
	expect(t, r.run("host", "forget", "bd1"), exitUsage, "did you mean db1?")
}

func TestCompleteHosts(t *testing.T) {
	r := fleetOf(t, map[string]answer{"hosts": pages(sampleHosts(), 3)})
	complete := func(args ...string) func() said {
		return func() said { return r.run(append([]string{"__complete"}, args...)...) }
	}
	expect(t, eventually(t, complete("host", "info", ""), "db1\n", "web1\n", "www\n"), 0)
	expect(t, r.run("__complete", "host", "info", "web1", ""), 0, "!db1")
	expect(t, eventually(t, complete("host", "refresh", "web1", ""), "db1\n"), 0, "!web1\n")
	expect(t, eventually(t, complete("events", "--host", ""), "db1\n"), 0)
	r.hub.stop()
	expect(t, r.run("__complete", "host", "info", ""), 0, "!web1", ":4\n")
}

// A second agent under an id can be looked at, and there is nothing of it to be dropped.
func TestRivals(t *testing.T) {
	rival := telemetry.HostStatus{Host: "web1~a1b2", Name: "web1", State: "UNKNOWN", Reason: "it beats under the id of another: give it one of its own", Flags: []string{"conflict"}, Inst: "a1b2"}
	list := []telemetry.HostStatus{sampleHosts()[1], rival}
	gone := fails(telemetry.FaultNotFound, "no such host")
	r := fleetOf(t, map[string]answer{"hosts": pages(list, 10), "host": oneOf(list), "plugins": gone, "inventory": gone, "forget": gone, "silence": gone})
	expect(t, r.run("host", "info", "web1~a1b2"), 0, "conflict", "It is no host by itself: ", "identity.json")
	for _, verb := range []string{"forget", "silence --end"} {
		expect(t, r.run(append(strings.Fields("host "+verb), "web1~a1b2")...), exitUsage, "web1~a1b2 is a second agent under the id of web1, and no host by itself: ", "identity.json")
	}
	expect(t, r.run("host", "forget", "web1~gone"), exitUsage, "no such host", "!second agent")
	expect(t, r.run("host", "list"), 0, "it beats under the id of another: give...", "1 UP; 1 more under the id of another")
}

func TestCutWords(t *testing.T) {
	f := func(text string, most int, want string) {
		t.Helper()
		if got := cutWords(text, most); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	f("silent", 6, "silent")
	f("it beats: loudly", 11, "it beats...")
	f("onelongword", 4, "onel...")
	f("ööö", 3, "ö...")
	f("", 3, "")
}
