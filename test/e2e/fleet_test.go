package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// What can happen to agents, to hubs and to the bus between them: each is told as what it is, once, and nobody else is touched.
func TestFleet(t *testing.T) {
	t.Parallel()
	sideBySide(t, map[string]func(*testing.T){
		"silence": agentsFallSilent, "freeze": agentsAreFrozen, "bus": busRestarts, "rename": agentIsRenamed,
		"hub frozen": hubIsFrozen, "hub away": hubIsAway, "hub killed": hubTakesOver, "hub stopped": hubIsStopped,
	})
}

// An agent that is stopped is DOWN as silent, one that is killed as disconnected, one behind a dead link as silent. One that ends
// has left. A refresh of all tells them apart too. When they are back, they go on as if nothing had been.
func agentsFallSilent(t *testing.T) {
	e := newEstate(t)
	hub := e.hub()
	e.awaitHub(hub)
	e.fleet(30) // so that three are no mass
	g := openGate(t, e.bus.URL)
	agents := map[string]*system{}
	for host, url := range map[string]string{"stopped": e.bus.URL, "killed": e.bus.URL, "cut": g.url, "leaving": e.bus.URL, "steady": e.bus.URL} {
		agents[host] = e.agent(url, host)
	}
	e.awaitUp("stopped", "killed", "cut", "leaving", "steady")
	plugins := map[string]map[string]plugin{}
	for host, s := range agents {
		plugins[host] = s.now()
	}
	beats := map[string]*ages{"stopped": e.ages("stopped"), "killed": e.ages("killed"), "cut": e.ages("cut")}
	await(t, readyWithin, "they beat", func() bool {
		return !slices.ContainsFunc(slices.Collect(maps.Values(beats)), func(a *ages) bool { n, _ := a.look(); return n == 0 })
	})

	faults := map[string]time.Time{"stopped": agents["stopped"].pause(), "killed": agents["killed"].kill9(), "cut": time.Now()}
	g.shut.Store(true)
	faults["leaving"] = agents["leaving"].signal(syscall.SIGTERM)
	if code := agents["leaving"].exit(endWithin); code != 0 {
		t.Errorf("drained with exit code %d", code)
	}
	left := e.awaitEvent(readyWithin, "leaving", "left", 1)
	t.Logf("left after %v", left.stored.Sub(faults["leaving"]).Round(10*time.Millisecond))
	if left.Reason != "shutdown" {
		t.Errorf("left for the reason %q", left.Reason)
	}
	e.refreshTells(hub, "killed", "cut", "stopped")

	for host, reason := range map[string]string{"stopped": "silent", "killed": "disconnected", "cut": "silent"} {
		down := e.awaitEvent(downWithin, host, "down", 1)
		took, silent := down.stored.Sub(faults[host]), down.stored.Sub(beats[host].last())
		t.Logf("%s is DOWN, %s, after %v", host, down.Reason, took.Round(10*time.Millisecond))
		if down.Reason != reason || down.To != telemetry.HostDown || silent < downLimit-time.Second || took > 2*downWithin {
			t.Errorf("%s: want %s after %v, got %+v after %v, and a silence of %v", host, reason, downLimit, down.Event, took, silent)
		}
	}
	e.tellsStale(hub, "stopped", "killed", "cut")
	for _, p := range plugins["killed"] {
		await(t, readyWithin, "the plugins of the killed agent are gone", func() bool { return !alive(p.PID) })
	}

	opened := time.Now()
	beats["cut"].forget()
	g.shut.Store(false)
	agents["stopped"].resume()
	for _, host := range []string{"stopped", "cut"} {
		t.Logf("%s is UP again after %v", host, e.awaitUpAgain(host).stored.Sub(opened).Round(10*time.Millisecond))
		agents[host].untouched(plugins[host])
	}
	await(t, readyWithin, "the cut one beats", func() bool { n, _ := beats["cut"].look(); return n >= 3 })
	if n, oldest := beats["cut"].look(); oldest > downLimit { // what had waited for the link would be as old as the outage, and more than that
		t.Errorf("of %d beats behind the link one was %v old", n, oldest)
	}
	if downs := e.since(0, "down", "conflict", "mass_overdue"); len(downs) != 3 {
		t.Errorf("events %q", downs)
	}
	agents["steady"].untouched(plugins["steady"])
}

// refreshTells checks what a refresh of all says of those who do not answer. One who is only slow answers another time.
func (e *estate) refreshTells(hub *system, gone string, mute ...string) {
	e.t.Helper()
	hub.await(readyWithin, "a refresh of all tells who does not answer", func() bool {
		begin := time.Now()
		r := hub.verb("host", "refresh", "--all", "--mode", "cached", "--bus", e.bus.URL, "-o", "json")
		var job struct {
			Total, Missing uint64
			NotConnected   []string `json:"not_connected"`
			Timeout        []string
			Failed         []string
		}
		if err := json.Unmarshal([]byte(r.out), &job); err != nil || r.code != 1 {
			e.t.Fatalf("host refresh: exit code %d, %v\n%s%s", r.code, err, r.out, r.err)
		}
		e.t.Logf("refresh of all: %+v in %v", job, time.Since(begin).Round(10*time.Millisecond))
		return slices.Contains(job.NotConnected, gone) && slices.Equal(job.Timeout, mute) && len(job.Failed) == 0
	})
	hub.await(readyWithin, "a refresh of three tells who does not answer", func() bool {
		text := hub.verb("host", "refresh", "--mode", "cached", "--bus", e.bus.URL, gone, mute[0], "steady")
		if text.code != 1 {
			e.t.Errorf("host refresh: exit code %d", text.code)
		}
		contains(e.t, "host refresh", text.out, "not connected:\n  "+gone, "timeout:\n  "+mute[0])
		return strings.Contains(text.out, "1 of 3 hosts answered")
	})
}

// tellsStale checks that nothing is said of the plugins of hosts that are not heard.
func (e *estate) tellsStale(hub *system, hosts ...string) {
	e.t.Helper()
	for _, host := range hosts {
		var h struct{ Plugins []plugin }
		if err := json.Unmarshal([]byte(hub.do("host", "info", host, "--bus", e.bus.URL, "-o", "json")), &h); err != nil {
			e.t.Error(err)
		}
		if len(h.Plugins) != 1 || h.Plugins[0].State != "stale" {
			e.t.Errorf("plugins of %s, which is DOWN: %+v", host, h.Plugins)
		}
	}
}

// ages are those of the beats of a host when they come.
type ages struct {
	mu     sync.Mutex
	n      int
	oldest time.Duration
	newest time.Time // when the last was sent
}

// ages listens to the beats of a host.
func (e *estate) ages(host string) *ages {
	e.t.Helper()
	nc := rawConn(e.t, e.bus.URL)
	a := new(ages)
	_, err := nc.Subscribe(bus.HeartbeatSubject(host, bus.Agent, bus.HTB), func(m *nats.Msg) {
		b, _, err := telemetry.DecodeHeartbeat(m.Data)
		if err != nil {
			e.t.Error(err)
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.newest = time.Unix(0, b.T1)
		a.n, a.oldest = a.n+1, max(a.oldest, time.Since(a.newest))
	})
	if err == nil {
		err = nc.Flush()
	}
	if err != nil {
		e.t.Fatal(err)
	}
	return a
}

func (a *ages) look() (n int, oldest time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n, a.oldest
}

// last returns when the last beat was sent.
func (a *ages) last() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.newest
}

// forget begins anew.
func (a *ages) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n, a.oldest = 0, 0
}

// An agent that was stopped for longer than it waits for plugins blames none of them when it goes on: neither on a bus elsewhere,
// nor on its own, which was stopped with it. A plugin that is stopped is replaced meanwhile, and told of.
func agentsAreFrozen(t *testing.T) {
	e := newEstate(t)
	e.awaitHub(e.hub())
	frozen, watching := e.agent(e.bus.URL, "frozen"), e.agent(e.bus.URL, "watching")
	own := up(t, oneCollector+"publish: { file: { use: lines, from: all, path: points.lp } }\n")
	e.awaitUp("frozen", "watching")
	before := map[*system]map[string]plugin{frozen: frozen.now(), own: own.now()}
	hung := watching.now()["load"]

	begin := time.Now()
	frozen.pause()
	own.pause()
	if err := syscall.Kill(hung.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	fresh := watching.awaitPlugin("load", lostWithin+readyWithin, "is replaced", func(p plugin) bool { return p.State == "running" && p.PID != hung.PID })
	t.Logf("a plugin that hung was replaced after %v", time.Since(begin).Round(100*time.Millisecond))
	if fresh.Restarts != hung.Restarts+1 || alive(hung.PID) {
		t.Errorf("it was %+v, is %+v; the first process is alive: %v", hung, fresh, alive(hung.PID))
	}
	told := func(v happening) bool {
		return v.Host == "watching" && v.Plugin == "load" && v.Time >= begin.UnixNano()
	}
	e.awaitEvents(readyWithin, "an event tells of it", func(all []happening) bool { return slices.ContainsFunc(all, told) })

	hold(t, time.Until(begin.Add(lostWithin))) // longer than any plugin may be silent
	e.awaitEvent(downWithin, "frozen", "down", 1)
	frozen.resume()
	own.resume()
	e.awaitUpAgain("frozen")
	hold(t, 5*time.Second) // for verdicts that are wrong
	for s, was := range before {
		s.untouched(was)
	}
	for _, v := range e.events() {
		if v.Host == "frozen" && v.Plugin != bus.Agent && v.Time > begin.UnixNano() {
			t.Errorf("event of a plugin of the frozen agent: %+v", v.Event)
		}
	}
}

// A bus that is started again costs nobody anything: no host is DOWN, no plugin is started again.
func busRestarts(t *testing.T) {
	hosts := 30
	if long {
		hosts = 1000
	}
	e := newEstate(t)
	e.awaitHub(e.hub())
	e.fleet(hosts)
	agents := []*system{e.agent(e.bus.URL, "one"), e.agent(e.bus.URL, "two")}
	e.awaitUp("one", "two")
	before := [2]map[string]plugin{agents[0].now(), agents[1].now()}
	had := len(e.events())
	for i := range 2 {
		e.bus.Stop(t)
		hold(t, 3*time.Second)
		for _, s := range agents {
			s.await(readyWithin, "it has lost the bus", func() bool { return strings.Count(s.text(), `"bus disconnected"`) > i })
		}
		e.bus.Start(t)
		hold(t, 3*time.Second)
		for _, s := range agents {
			s.now()
		}
	}
	hold(t, span(downLimit+5*time.Second, time.Minute))
	if events := e.since(had, "up", "down", "conflict", "restarted", "mass_overdue", "left"); len(events) > 0 {
		t.Errorf("two restarts of the bus: %q", events)
	}
	for i, s := range agents {
		s.untouched(before[i])
	}
	agents[0].await(readyWithin, "all hosts are UP", func() bool {
		states := map[string]int{}
		for _, h := range e.hosts(agents[0]) {
			states[h.State]++
		}
		return states[telemetry.HostUp] == hosts+len(agents) && len(states) == 1
	})
}

// hosts asks as place does for all hosts.
func (e *estate) hosts(as *system) (list []beating) {
	e.t.Helper()
	out := as.do("host", "list", "--bus", e.bus.URL, "-o", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		e.t.Fatal(err)
	}
	return list
}

// A machine that is called otherwise is the host it was, under its new name.
func agentIsRenamed(t *testing.T) {
	e := newEstate(t)
	e.limits = "hub: { interval: 1s, spread: 0, warmup: 1s, down: 300 }\n" // it may be away for as long as a busy machine needs to start it
	hub := e.hub()
	e.awaitHub(hub)
	p := newPlace(t)
	p.write("pacewire.yaml", "bus: { urls: "+e.bus.URL+" }\n"+e.limits+oneCollector)
	first := p.called("former-name")
	first.awaitRunning()
	e.awaitUp("former-name")
	first.kill9()
	second := p.called("later-name")
	v := e.awaitEvent(readyWithin, "former-name", "renamed", 1)
	contains(t, "the event", v.Message, "former-name", "later-name")
	if v.Name != "later-name" || len(e.since(0, "down", "conflict")) > 0 {
		t.Errorf("event %+v, and %q", v.Event, e.since(0, "down", "conflict"))
	}
	for _, name := range []string{"former-name", "later-name"} {
		var h struct {
			Host, Name, State string
			Aliases           []string
		}
		hub.await(readyWithin, "host info "+name+" tells both names", func() bool {
			err := json.Unmarshal([]byte(hub.do("host", "info", name, "--bus", e.bus.URL, "-o", "json")), &h)
			return fmt.Sprint(h, err) == "{former-name later-name UP [former-name]} <nil>"
		})
	}
	second.drain()
}

// called starts an agent on a machine of this name: in a namespace of its own, which others than root need a second one for.
func (p place) called(name string) *system {
	p.t.Helper()
	c := p.command(context.Background(), "agent", "pacewire.yaml")
	c.Path, c.Args = "/bin/sh", append([]string{"sh", "-c", `hostname "$0" && exec "$@"`, name, binary}, c.Args[1:]...)
	c.SysProcAttr.Cloneflags = syscall.CLONE_NEWUTS
	if uid := os.Geteuid(); uid != 0 {
		if text, _ := os.ReadFile("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"); strings.TrimSpace(string(text)) == "1" {
			p.t.Skip("this machine lets only root give a process a host name of its own: run as root")
		}
		c.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: uid, Size: 1}}
	}
	return p.launch(c, "agent")
}
