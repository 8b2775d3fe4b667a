package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// A system is the pacewire of a trial: an agent with the bus in it, or a bus, an agent and a hub of their own.
type system struct {
	agent, bus, hub *lab.Process // bus is the agent where that has the bus in it

	mu      sync.Mutex
	servers []int            // processes of a cluster
	peak    map[string]int64 // memory by role, bytes
}

const (
	readyWithin = 60 * time.Second // a loaded machine; a fifth of a second is usual
	stopWithin  = 40 * time.Second
)

// A pipeline is what a row wants otherwise than usual. Its zero value is usual: lines over HTTP, a filter that keeps all, and a
// publisher to the sink.
type pipeline struct {
	sync    string // of the bus; empty: always
	store   string // of the bus; empty: in the state folder
	busURL  string // empty: the bus is embedded
	process string // what stands in process:
	sink    string // URL; empty: that of the trial
}

// config writes the config of the pipeline and returns its path.
func (t *trial) config(p pipeline) string {
	bus := fmt.Sprintf("bus: { sync: %s, store: %q }", cmp.Or(p.sync, "always"), cmp.Or(p.store, t.place.Path("state/bus")))
	if p.busURL != "" {
		bus = "bus: { urls: " + p.busURL + " }"
	}
	env := ""
	if len(t.passed) > 0 {
		env = "env: [ " + strings.Join(t.passed, ", ") + " ]"
	}
	path, err := t.place.Write("pacewire.yaml", fmt.Sprintf(`host: chaos
%s
collect: { in: { use: lines, listen: %q, %s } }
process: { %s }
publish: { out: { use: influxdb, from: mid, url: %q, database: chaos, compression: none, %s } }
web: off
`, bus, t.source.url, env, cmp.Or(p.process, "mid: { use: filter, from: in, drop: 'tags.keep == \"no\"' }"), cmp.Or(p.sink, t.sink.URL), env))
	t.must(err, "write the config")
	return path
}

// up starts one machine with the bus in its agent, and returns when its plugins work.
func (t *trial) up(p pipeline) {
	t.begin(p)
	t.startAgent("up", "--plain")
	t.awaitRunning()
}

// apart starts a bus, and an agent that finds it at the address that via makes of its own: through a proxy, or straight.
func (t *trial) apart(p pipeline, via func(address string) string) {
	bus, address := t.rawBus("", p.sync)
	if via != nil {
		address = via(address)
	}
	p.busURL = "nats://" + address
	t.begin(p)
	t.system.bus = bus
	t.startAgent("agent")
	t.awaitRunning()
}

// rawBus starts a bus with no agent around it, on a free port or where it was before, and returns its address.
func (t *trial) rawBus(listen, sync string) (p *lab.Process, address string) {
	p, url, err := lab.RawBus{Dir: t.place.Path("bus"), Listen: listen, Sync: sync}.Start(t.ctx)
	t.must(err, "start the bus")
	t.cleanup(p.Kill)
	return p, strings.TrimPrefix(url, "nats://")
}

// hasBus tells whoever watches memory which process the bus is.
func (s *system) hasBus(p *lab.Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bus = p
}

// begin prepares a system of which nothing runs yet.
func (t *trial) begin(p pipeline) {
	t.system = &system{peak: map[string]int64{}}
	t.source = newSource(fmt.Sprintf("http://127.0.0.1:%d", lab.FreePort()), t.oracle)
	t.config(p)
	t.observe()
}

// observe looks at the memory of the system's processes until the row ends.
func (t *trial) observe() {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		t.system.watch(stop)
	}()
	t.cleanup(func() {
		close(stop)
		<-done
		t.result.peak = t.system.peak
	})
}

// startAgent starts the agent, again after it has ended.
func (t *trial) startAgent(verb ...string) {
	p, err := lab.Start(t.place.Command(t.ctx, append(verb, t.place.Path("pacewire.yaml"))...))
	t.must(err, "start the agent")
	t.system.mu.Lock()
	t.system.agent = p
	if verb[0] == "up" {
		t.system.bus = p
	}
	t.system.mu.Unlock()
	t.cleanup(func() {
		if err := p.Stop(stopWithin); err != nil {
			t.errorf("at the end: %v", err)
		}
	})
}

// awaitRunning waits until every plugin works, and returns how long it took.
func (t *trial) awaitRunning() time.Duration {
	return t.await(readyWithin, "every plugin is running", func() error {
		if t.system.agent.Ended() {
			t.fatalf("the agent has ended with %d", t.system.agent.ExitCode())
		}
		return lab.AllRunning(t.place.Plugins(t.ctx))
	})
}

// awaitPlugin waits until a plugin is as ok says, and returns it.
func (t *trial) awaitPlugin(name string, limit time.Duration, what string, ok func(lab.Plugin) bool) (p lab.Plugin) {
	t.await(limit, name+" "+what, func() error {
		all, err := t.place.Plugins(t.ctx)
		if err != nil {
			return err
		}
		if p = all[name]; p.Name == "" || !ok(p) {
			return fmt.Errorf("it is %+v", p)
		}
		return nil
	})
	return p
}

// kill sends a signal to the process of a plugin, and returns which it was.
func (t *trial) kill(name string, sig syscall.Signal) lab.Plugin {
	p := t.awaitPlugin(name, readyWithin, "has a process", func(p lab.Plugin) bool { return p.PID > 0 && p.State == "running" })
	t.must(syscall.Kill(p.PID, sig), "signal "+name)
	return p
}

// logs are the ends of what was logged.
func (s *system) logs() string {
	var all []string
	for _, p := range []*lab.Process{s.agent, s.hub, s.bus} {
		if p != nil && !slices.Contains(all, p.Log.Tail()) {
			all = append(all, p.Log.Tail())
		}
	}
	return strings.Join(all, "\n")
}

// watchEvery is how often memory is looked at.
const watchEvery = 250 * time.Millisecond

// watch notes the most memory that each role has had.
func (s *system) watch(stop <-chan struct{}) {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			s.look()
		}
	}
}

func (s *system) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	note := func(role string, pid int) { s.peak[role] = max(s.peak[role], lab.Memory(pid, "status", "VmRSS:")) }
	if s.bus != nil && s.bus != s.agent {
		note("bus", s.bus.PID())
	}
	for _, pid := range s.servers {
		note("bus", pid)
	}
	if s.hub != nil {
		note("hub", s.hub.PID())
	}
	if s.agent == nil {
		return
	}
	role := "agent"
	if s.bus == s.agent {
		role = "agent with bus"
	}
	note(role, s.agent.PID())
	for _, pid := range lab.Below(s.agent.PID()) {
		note("plugin", pid)
	}
}
