package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/bus/embedded"
	"github.com/pacewire/pacewire/telemetry"
)

// A clinic is a rig in which all is well: a config with the plugin host, an agent that runs it, and a hub that knows h1.
type clinic struct {
	rig
	agent *responder
}

// h1 is how the hub knows this host.
func h1() telemetry.HostStatus {
	return telemetry.HostStatus{Host: "h1", State: "UP", Since: ago(time.Hour), Stable: true, Beat: ago(time.Second), AgeMS: 1000, IntervalMS: 10_000, Items: 1, Held: 1}
}

func entry(plugin string, fault *telemetry.Fault) telemetry.RefreshItem {
	return telemetry.RefreshItem{InventoryItem: telemetry.InventoryItem{Plugin: plugin, Type: "info"}, Error: fault}
}

func clinicOf(t *testing.T) clinic {
	t.Helper()
	c := clinic{rig: fleetOf(t, map[string]answer{
		"status": says(wellHub()), "host": oneOf([]telemetry.HostStatus{h1()}), "hosts": pages([]telemetry.HostStatus{h1()}, 10),
		"inventory": says(telemetry.InventoryPage{Items: []telemetry.RefreshItem{entry("host", nil)}}),
	})}
	c.config(t, "collect: { host: {} }\npublish: { lines: { from: all, path: out.lp, enabled: false } }\n")
	c.agent = respond(t, c.bus, "h1", plugins(plug("host", "running", "")))
	c.agent.set("pulse", says(telemetry.PulseStatus{State: telemetry.PulseWatched, Host: "h1", Inst: "i", IntervalMS: 10_000, Received: 100}))
	return c
}

// config writes the config of the agent here.
func (c clinic) config(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(os.Getenv("HOME"), "c.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PACEWIRE_CONFIG", file)
}

// finds fails the test unless doctor finds these lines, each "where: problem → fix", and no others.
func (c clinic) finds(t *testing.T, args []string, want ...string) {
	t.Helper()
	got := c.run(append([]string{"doctor"}, args...)...)
	code := exitFailed
	if len(want) == 0 {
		code, want = 0, []string{"nothing found; looked at:"}
	}
	expect(t, got, code, want...)
	if lines := strings.Count(got.out, "\n"); code != 0 && lines != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", lines, len(want), got.out)
	}
}

func TestNothingFound(t *testing.T) {
	c := clinicOf(t)
	c.finds(t, nil)
	expect(t, c.run("doctor"), 0, "config ", "2 plugins", "run folder ", "state folder ", "bus nats://", "agent of h1, 1 plugin", "heartbeat of h1, watched", "hub a1, 12 UP")
	if got := c.run("doctor", "-o", "json"); got.out != "[]\n" || got.code != 0 {
		t.Errorf("%q", got.out)
	}
	expect(t, c.run("doctor", "host"), 0, "host works: collector x, running for 2m\n", "!looked at")
	c.finds(t, []string{"h1"})
}

// Why it is not loaded.
func TestNotLoaded(t *testing.T) {
	c := clinicOf(t)
	c.finds(t, []string{"lines"}, "c.yaml:2:12: the config says enabled: false  →  pacewire reload")
	c.config(t, "collect: { host: {}, mem: { use: host } }\n")
	c.finds(t, nil, "the agent does not have it: it has read an earlier config  →  pacewire reload")
	c.config(t, "collect: { host: {}, gone: { run: /no/such/program } }\n")
	c.agent.set("list", plugins(plug("host", "running", ""), plug("gone", "failed", "no such file"))["list"])
	c.finds(t, []string{"gone"}, "plugin gone: its program cannot be run: ", "plugin gone: it is failed: no such file  →  pacewire plugin logs gone", "plugin gone: the hub has not heard of it")
	c.config(t, "collect: { host: { every: 10 } }\nprocess: 3\n")
	c.finds(t, nil, "c.yaml:1:27: every: want a duration such as 10s, got 10: did you mean 10s?  →  pacewire validate", "c.yaml:2:10: process: ",
		"plugin gone: it is failed", "plugin gone: the hub has not heard of it")
}

// Why it is not collecting.
func TestNotCollecting(t *testing.T) {
	c := clinicOf(t)
	f := func(p telemetry.PluginStatus, about string, want ...string) {
		t.Helper()
		c.agent.set("list", plugins(p)["list"])
		c.agent.set("info", plugins(p)["list"])
		args := []string{}
		if about != "" {
			args = append(args, about)
		}
		c.finds(t, args, want...)
	}
	f(plug("host", "running", "no /proc here"), "", "plugin host: it runs, and not all is well: no /proc here  →  pacewire plugin logs host")
	f(plug("host", "idle", "no GPU"), "")
	f(plug("host", "idle", "no GPU"), "host", "plugin host: it finds nothing to do on this host: no GPU")
	f(plug("host", "stopped", ""), "", "plugin host: it is stopped: it does not say why  →  pacewire plugin start host")
	f(plug("host", "lost", ""), "", "plugin host: it is lost: somebody else is to start it (attached: true)")
	f(plug("host", "backing_off", "exit code 1"), "", "plugin host: it is backing_off: exit code 1")
	f(plug("host", "refused", "checksum_mismatch"), "", "plugin host: the agent refuses it: checksum_mismatch  →  pacewire plugin info host")
	f(plug("host", "starting", ""), "", "plugin host: it is starting for 2m: it does not say why")
	p := plug("host", "running", "")
	p.Trust, p.Denied = "not signed", 3
	f(p, "", "its program is not to be trusted: not signed", "it tried 3 times to do on the bus what it may not")
	p = plug("host", "running", "")
	p.Stats = &telemetry.Stats{Ticks: 10, Missed: 5, CallP99US: 12_000_000, Dead: 2, PointsOut: 5, LastError: &telemetry.Fault{Code: "timeout", Message: "too slow", AgeMS: 30_000}}
	f(p, "", "its last error is 30s old: timeout: too slow", "it missed 5 of 15 ticks: a call takes 12s (p99), longer than its interval")
	p.Stats = &telemetry.Stats{Dropped: map[string]uint64{"overflow": 6, "series_limit": 2, "nan": 9, "lost_unread_batches": 4}}
	f(p, "", "since its start it has lost at its bounds: overflow 6 points, series_limit 2 points, lost_unread 4 batches  →  pacewire plugin info host")
	p.Stats = &telemetry.Stats{Refused: map[string]uint64{"refused_flood": 70}, Resent: 5, LateResent: 3}
	f(p, "", "since its start it has refused points at its bounds, which their senders keep: refused_flood 70  →  pacewire plugin info host",
		"3 messages were sent to the bus again so late that they may be stored twice")
	p.Stats = &telemetry.Stats{Ticks: 10}
	f(p, "", "it was asked 10 times and gave no points  →  pacewire once host")
	p.Stats = nil
	p.Schedule, p.Due = "0 5 * * *", time.Now().Add(3*time.Hour+30*time.Minute).UnixNano()
	f(p, "")
	f(p, "host", "its schedule (0 5 * * *) has it wait: next in 3h")
	p = plug("host", "running", "")
	p.Inputs = []telemetry.Input{{Stream: "METRICS", Durable: "host"}}
	f(p, "host", "what it reads is not set up: ")
}

// Why it is not visible.
func TestNotVisible(t *testing.T) {
	c := clinicOf(t)
	pulse := telemetry.PulseStatus{State: telemetry.PulseRefused, Reason: "conflict", Host: "h1", Inst: "i", IntervalMS: 10_000, OffsetUS: -3_200_000, Received: 80, Lost: 20}
	c.agent.set("pulse", says(pulse))
	c.finds(t, nil, "agent: the hub refuses its heartbeats: conflict  →  pacewire host info h1", "agent: its clock and the hub's are 3.2s apart  →  timedatectl", "agent: of 100 heartbeats 20 were lost")
	c.agent.set("pulse", fails(telemetry.FaultNotFound, "the agent has no verb pulse"))
	c.finds(t, nil)

	h := h1()
	h.State, h.Reason, h.Flags, h.Items, h.Until = "DOWN", "silent", []string{"conflict", "flapping", "maintenance"}, 3, time.Now().Add(time.Hour).UnixNano()
	c.hub.set("host", oneOf([]telemetry.HostStatus{h}))
	c.finds(t, nil, "host h1: it is DOWN for 1h: silent  →  pacewire events --host h1", "another agent beats under its id", "it flaps", "nobody is told of it until ",
		"host h1: 2 of 3 entries of its inventory have not come  →  pacewire host refresh h1 --mode cached")

	c.hub.set("host", oneOf(nil))
	c.finds(t, nil, "host h1: the hub does not know it: no heartbeat of it has come")
	c.hub.set("host", oneOf([]telemetry.HostStatus{h1()}))
	c.hub.set("inventory", says(telemetry.InventoryPage{Items: []telemetry.RefreshItem{entry("os", &telemetry.Fault{Code: "too_large", Message: "9 MiB"})}}))
	c.finds(t, nil, "plugin os: its info is not whole: too_large: 9 MiB  →  pacewire host refresh h1", "plugin host: the hub has not heard of it")
	c.finds(t, []string{"host"}, "plugin host: the hub has not heard of it  →  pacewire host refresh h1 --mode cached")

	s := wellHub()
	s.Ready, s.Counts = false, map[string]uint64{"beats": 7, "refused_identity": 2, "refused_data": 0, "refused_unknown_host": 4, "registry_full": 1}
	c.hub.set("status", says(s))
	c.hub.set("inventory", says(telemetry.InventoryPage{Items: []telemetry.RefreshItem{entry("host", nil)}}))
	c.finds(t, nil, "hub: the hub is not ready: it does not say why  →  pacewire status --wait 2m", "hub: it refuses messages of hosts: identity (refused_identity 2 since it started)",
		"hub: the store of the bus has no room")
	c.hub.stop()
	c.finds(t, nil, `hub: no hub answers on this bus: start "pacewire hub" ("pacewire up" has one where the bus is its own)  →  pacewire hub`)
	c.agent.stop()
	c.finds(t, nil, "agent: the agent of host h1 runs here (process 1) and does not answer yet", "hub: no hub answers")
}

// What a machine has no means for is noted, and nothing is wrong with it.
func TestDoctorNotes(t *testing.T) {
	c := clinicOf(t)
	h := h1()
	h.Items, h.Held = 2, 2
	c.hub.set("host", oneOf([]telemetry.HostStatus{h}))
	c.hub.set("plugins", says(telemetry.PluginList{}))
	lacks := entry("packages", &telemetry.Fault{Code: telemetry.FaultDependency, Message: "only the program rpm can"})
	c.hub.set("inventory", says(telemetry.InventoryPage{Items: []telemetry.RefreshItem{entry("host", nil), lacks}}))
	const note = "note: plugin packages: not readable here: only the program rpm can\n"
	expect(t, c.run("doctor"), 0, note, "nothing found; looked at:")
	expect(t, c.run("doctor", "-o", "json"), 0, `"problem":"not readable here: only the program rpm can","fix":"","note":true}`)
	expect(t, c.run("host", "info", "h1"), 0, "not readable here: only the program rpm can")
	lacks.Error = &telemetry.Fault{Code: telemetry.FaultDenied, Message: "no"}
	lacks.Plugin = "os"
	items := []telemetry.RefreshItem{entry("host", nil), lacks, entry("packages", &telemetry.Fault{Code: telemetry.FaultDependency, Message: "x"})}
	c.hub.set("inventory", says(telemetry.InventoryPage{Items: items}))
	expect(t, c.run("doctor"), exitFailed, "plugin os: its info is not whole: denied: no", "note: plugin packages: not readable here: x")
}

func TestDoctorWithoutBus(t *testing.T) {
	run := place(t)
	expect(t, run("doctor"), exitFailed, "agent: no agent runs here: nothing is collected  →  pacewire up")
	noted(t, "nats://127.0.0.1:1", "")
	got := run("doctor", "-o", "json")
	var list []finding
	if err := json.Unmarshal([]byte(got.out), &list); err != nil || len(list) != 1 || list[0].Where != "bus" || !strings.Contains(list[0].Problem, "127.0.0.1:1") || list[0].Fix == "" {
		t.Errorf("%s: %v", got.out, err)
	}
	b := bustest.Bare(t, embedded.Options{})
	noted(t, b.URL, "")
	expect(t, run("doctor"), exitFailed, "bus: the bus has no stream METRICS, EVENTS, DEAD: start \"pacewire hub\" or an agent, they make them  →  pacewire hub", "agent: the agent of host h1 runs here", "hub: no hub answers")
}

func TestDoctorFolders(t *testing.T) {
	c := clinicOf(t)
	dir := os.Getenv("PACEWIRE_RUN")
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // that is what is to be found
		t.Fatal(err)
	}
	c.finds(t, nil, "run folder: "+dir+": every user of this machine may change what is in it  →  chmod o-w "+dir, "state folder: ")
	t.Setenv("PACEWIRE_STATE", filepath.Join(dir, "gone"))
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c.finds(t, nil, "state folder: "+filepath.Join(dir, "gone")+" is gone, and the agent needs it")
	t.Setenv("PACEWIRE_STATE", filepath.Join(dir, "c.yaml"))
	c.finds(t, nil, "is no folder  →  ls -ld ")
}

func TestDoctorOfAnotherHost(t *testing.T) {
	c := clinicOf(t)
	h2 := h1()
	h2.Host, h2.Name, h2.OffsetUS, h2.Received, h2.AckLost = "h2", "two", 5_000_000, 100, 30
	both := []telemetry.HostStatus{h1(), h2}
	c.hub.set("host", oneOf(both))
	c.hub.set("hosts", pages(both, 10))
	c.config(t, "collect: { broken: 3 }\n")
	other := respond(t, c.bus, "h2", plugins(plug("app", "failed", "exit code 1")))
	want := []string{"plugin app: it is failed: exit code 1", "host h2: its clock and the hub's are 5s apart", "host h2: of 100 heartbeats 0 were lost, and 30 answers", "plugin app: the hub has not heard of it"}
	c.finds(t, []string{"two"}, want...)
	other.expect(t, "list null", "pulse null")
	expect(t, c.run("doctor", "h3"), exitUsage, `neither a plugin of h1 nor a host is called "h3": did you mean h1?`)
	expect(t, c.run("doctor", "hsot"), exitUsage, "did you mean host?")
}

func TestCompleteDoctor(t *testing.T) {
	c := clinicOf(t)
	expect(t, eventually(t, func() said { return c.run("__complete", "doctor", "") }, "host\n", "h1\n"), 0)
	expect(t, c.run("__complete", "doctor", "host", ""), 0, "!h1\n")
}

// From a machine without an agent one looks at the fleet.
func TestDoctorFromElsewhere(t *testing.T) {
	run := place(t)
	b := bustest.New(t)
	h2, h3, left, rival := h1(), h1(), h1(), h1()
	h2.Host, h2.State, h2.Reason = "b", "DOWN", "silent"
	h3.Host, h3.Flags, left.Host, left.State, rival.Host, rival.State = "c", []string{"conflict"}, "d", "LEFT", "c~1", "UNKNOWN"
	list := []telemetry.HostStatus{h2, h3, rival, left, h1()}
	well := []telemetry.HostStatus{h1()}
	hub := respondHub(t, b, map[string]answer{"status": says(wellHub()), "hosts": pages(list, 10), "host": oneOf(list), "inventory": says(telemetry.InventoryPage{Items: []telemetry.RefreshItem{entry("os", nil)}})})
	at := []string{"--bus", b.URL}
	got := run(append(at, "doctor")...)
	expect(t, got, exitFailed, "this machine, is on the bus: these are its hosts", "host b: it is DOWN for 1h: silent  →  pacewire events --host b",
		"host c: another agent beats under its id: ", "remove identity.json in its state folder, or change host: in its config", "!pacewire up", "!host d", "!host c~1")
	if n := strings.Count(got.out, "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, got.out)
	}
	expect(t, run(append(at, "doctor", "b")...), exitFailed, "host b: it is DOWN for 1h: silent", "!pacewire up", "!no agent of host b")
	expect(t, run(append(at, "doctor", "h1")...), exitFailed, "host h1: no agent of host h1 is on this bus", "→  pacewire events --host h1")
	expect(t, run(append(at, "doctor", "tidy")...), exitUsage, `no host of this bus is called "tidy", and no agent of `)
	respond(t, b, "h1", plugins(plug("host", "running", "")))
	expect(t, run(append(at, "doctor", "h1")...), exitFailed, "plugin host: the hub has not heard of it")
	hub.set("hosts", pages(well, 10))
	expect(t, run(append(at, "doctor")...), 0, "nothing found on any host; looked at:", "hub a1")
	hub.stop()
	expect(t, run(append(at, "doctor")...), exitFailed, "hub: no hub answers on this bus")
}

// Of many hosts that are not well some are told, and that there are more.
func TestDoctorOfLargeFleet(t *testing.T) {
	run := place(t)
	b := bustest.New(t)
	var list []telemetry.HostStatus
	for i := range mostHosts + 10 {
		h := h1()
		h.Host, h.State = fmt.Sprintf("h%03d", i), "DOWN"
		list = append(list, h)
	}
	respondHub(t, b, map[string]answer{"status": says(wellHub()), "hosts": pages(list, 100)})
	got := run("doctor", "--bus", b.URL)
	expect(t, got, exitFailed, "host h049: ", "!host h050: ", "hub: that was not all: 60 DOWN  →  pacewire host list")
}
