package main

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// wellHub is how a hub is that is well.
func wellHub() telemetry.HubStatus {
	return telemetry.HubStatus{ID: "a1", Version: "0.4.0", Term: 5, Voice: true, Speaker: "a1", Ready: true, Begun: ago(time.Hour),
		Listen: "127.0.0.1:8470", States: map[string]uint64{"UP": 12, "OVERDUE": 1, "DOWN": 2}}
}

// plug is a plugin of h1.
func plug(name, state, reason string) telemetry.PluginStatus {
	return telemetry.PluginStatus{Name: name, Kind: "collector", Program: "x", Host: "h1", State: state, Reason: reason, Since: ago(2 * time.Minute)}
}

// plugins answers list.
func plugins(list ...telemetry.PluginStatus) map[string]answer {
	return map[string]answer{"list": says(telemetry.PluginList{Plugins: append([]telemetry.PluginStatus{}, list...)})}
}

func TestStatus(t *testing.T) {
	r := fleetOf(t, map[string]answer{"status": says(wellHub())})
	agent := respond(t, r.bus, "h1", plugins(
		plug("host", "running", ""), plug("gpu", "idle", ""), plug("old", "stopped", "")))
	got := r.run("status")
	expect(t, got, 0)
	before, after, _ := strings.Cut(got.out, "NATS ")
	_, after, _ = strings.Cut(after, "\n")
	r.golden(t, "status.txt", before+"NATS VERSION, answers in TIME\n"+after, r.bus.URL, "URL")

	full := plug("host", "running", "the bus has no room: points wait")
	full.Flags = []string{telemetry.FlagStorageFull}
	agent.set("list", plugins(full, plug("sink", "running", "sink answers 500"))["list"])
	expect(t, r.run("status"), exitFailed, "agent  2 ok", "  sink: sink answers 500\n", "not well: plugin host (storage_full): the bus has no room: points wait")

	agent.set("list", plugins(plug("host", "running", ""), plug("app", "failed", "exit code 1"), plug("sensor", "lost", ""), plug("tidy", "starting", ""))["list"])
	waits := wellHub()
	waits.Ready, waits.Waits = false, []string{"registry is being loaded"}
	waits.WarmUp = time.Now().Add(time.Minute).UnixNano()
	r.hub.set("status", says(waits))
	expect(t, r.run("status"), exitFailed, "agent  1 ok, 2 fail, 0 late", "1 more on their way", "not well: plugin app is failed: exit code 1; plugin sensor is lost; plugin tidy is starting",
		"the hub is not ready: registry is being loaded (warm-up for another")
	expect(t, r.run("status", "--wait", "50ms"), exitTryAgain, "after 50ms: not well: ")

	r.hub.stop()
	agent.stop()
	expect(t, r.run("status"), exitFailed, "no hub answers on this bus", "the agent of host h1 runs here (process 1) and does not answer yet", "none answers")
}

func TestStatusAsJSON(t *testing.T) {
	r := fleetOf(t, map[string]answer{"status": says(wellHub())})
	agent := respond(t, r.bus, "h1", plugins(plug("host", "running", "")))
	got := r.run("status", "-o", "json")
	var s standing
	if err := json.Unmarshal([]byte(got.out), &s); err != nil || got.code != 0 {
		t.Fatalf("%s%s: %v", got.out, got.err, err)
	}
	if !s.Well || len(s.Wrong) != 0 || !s.Bus.Reachable || len(s.Bus.Streams) != 3 || s.Agent.OK != 1 || s.Hub.Hosts["UP"] != 12 || s.Hub.API != "http://127.0.0.1:8470" {
		t.Errorf("%+v", s)
	}
	agent.set("list", plugins(plug("mortal", "running", "the program has ended"))["list"])
	expect(t, r.run("status", "-o", "json"), 0, `"says":["mortal: the program has ended"]`) // and all is well else
	r.hub.stop()
	expect(t, r.run("status", "-o", "json"), exitFailed, `"well":false,"wrong":["no hub answers`, `!"hub":`)
}

// A wait ends when all is well.
func TestStatusWait(t *testing.T) {
	var asked atomic.Int64
	r := fleetOf(t, map[string]answer{"status": func(map[string]any) (any, *telemetry.Fault) {
		s := wellHub()
		s.Ready = asked.Add(1) > 1
		return s, nil
	}})
	respond(t, r.bus, "h1", plugins())
	expect(t, r.run("status", "--wait", "5m"), 0, "hub    ready", "!not well")
	expect(t, r.run("status", "--wait", "-1s"), exitUsage, "--wait -1s")
}

func TestStatusWithoutBus(t *testing.T) {
	run := place(t)
	expect(t, run("status"), exitNoBus, "not reachable", "no agent runs here")
	expect(t, run("status", "--wait", "50ms"), exitTryAgain, "after 50ms: ")
	expect(t, run("status", "-o", "json"), exitNoBus, `{"well":false,"wrong":["the bus cannot be reached: no agent runs here`)
	b := bustest.Bare(t, embedded.Options{})
	noted(t, b.URL, "")
	expect(t, run("status"), exitFailed, `the bus has no stream METRICS, EVENTS, DEAD: start "pacewire hub" or an agent, they make them`)
}

// On a bus of others there need not be an agent on this machine.
func TestStatusElsewhere(t *testing.T) {
	run := place(t)
	b := bustest.New(t)
	respondHub(t, b, map[string]answer{"status": says(wellHub())})
	expect(t, run("status", "--bus", b.URL), 0, "agent  none answers  of ", ", this machine")
}

func TestHubWaits(t *testing.T) {
	f := func(want string, waits ...string) {
		t.Helper()
		if got := hubWaits(telemetry.HubStatus{Waits: waits}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	f("the hub is not ready: it does not say why")
	f("the hub is not ready: bus is not connected; no verdicts are given for now: it was cut off from the bus", "bus is not connected", "no verdicts are given for now: disconnected")
	f("the hub is not ready: no verdicts are given for now: its clock was set, or its machine slept", "no verdicts are given for now: clock")
}

func TestServersOfAStream(t *testing.T) {
	f := func(st streamStanding, fault, text string) {
		t.Helper()
		st.Name = "METRICS"
		if got := st.fault(); got != fault {
			t.Errorf("%+v: %q; want %q", st, got, fault)
		}
		if got := st.text(); got != text {
			t.Errorf("%+v: %q; want %q", st, got, text)
		}
	}
	f(streamStanding{}, "", "0 messages, 0 B")
	f(streamStanding{Replicas: 1}, "", "0 messages, 0 B")
	f(streamStanding{Replicas: 3, Leader: "n1"}, "", "0 messages, 0 B, on 3 servers, n1 leads")
	f(streamStanding{Replicas: 3, Leader: "n1", Away: []string{"n2"}}, "stream METRICS: server n2 is away: start it", "0 messages, 0 B, on 3 servers, n1 leads; away: n2")
	f(streamStanding{Replicas: 3, Leader: "n1", Behind: []string{"n2", "n3"}}, "", "0 messages, 0 B, on 3 servers, n1 leads; behind: n2, n3")
	f(streamStanding{Replicas: 3, Away: []string{"n1", "n2"}}, "stream METRICS has no leader: nothing is stored until most of its 3 servers are there", "0 messages, 0 B; away: n1, n2")
}
