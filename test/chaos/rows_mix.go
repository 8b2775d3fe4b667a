package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"
)

// mixName is the row of a soak that is another one with each seed.
const mixName = "M"

// rowsOfMixes are several faults at once.
func rowsOfMixes() []row {
	return []row{
		{name: mixName, title: "some faults of F1 to F12 at random instants, so that they overlap", run: mixed, short: true, doubles: true,
			part:    func(s settings) bool { return s.soak > 0 },
			promise: "whatever comes together, nothing that was acknowledged is lost; the seed gives the same schedule again"},
	}
}

// A harm is a fault of a mix. Other parts may be away at its begin and at its end, so it asks nobody but the kernel.
type harm struct {
	name string
	do   func() (hit bool) // reports whether there was something to harm
	heal func()
}

// A mix is a system of which every part can be harmed: a bus, an agent and a sink, each behind a proxy or a process of its own.
type mix struct {
	*trial
	address       string // of the bus
	toBus, toSink *proxy
}

// M
func mixed(t *trial) {
	m := &mix{trial: t, toSink: t.proxyTo(strings.TrimPrefix(t.sink.URL, "http://"))}
	t.apart(pipeline{sink: "http://" + m.toSink.Address()}, func(address string) string {
		m.address, m.toBus = address, t.proxyTo(address)
		return m.toBus.Address()
	})
	t.load(t.standard())
	t.hold(3 * time.Second)
	t.play(t.schedule(m.harms(), 3+t.random.IntN(3), t.span(16*time.Second, 80*time.Second)))
	healed := time.Now()
	t.awaitRunning()
	t.oneEach()
	t.healed(healed, 2*time.Minute)
	t.settle()
}

// harms are the faults that a mix is made of.
func (m *mix) harms() []harm {
	nothing := func() {}
	kill := func(plugin string) harm {
		return harm{"kill -9 of " + plugin, func() bool { return signalAll(m.processes()[plugin], syscall.SIGKILL) }, nothing}
	}
	set := func(p *proxy, to mode) func() bool {
		return func() bool { p.Set(to); return p.Passed(there) > 0 }
	}
	var halted []int
	return []harm{
		kill("in"), kill("mid"), kill("out"),
		{"SIGSTOP of mid", func() bool { halted = m.processes()["mid"]; return signalAll(halted, syscall.SIGSTOP) }, func() { signalAll(halted, syscall.SIGCONT) }},
		{"kill -9 of the agent", func() bool { m.system.agent.Kill(); return true }, func() { m.startAgent("agent") }},
		{"kill -9 of the bus", func() bool { m.system.bus.Kill(); return true }, m.startBus},
		{"SIGSTOP of the bus", func() bool { return m.system.bus.Signal(syscall.SIGSTOP) == nil }, func() { _ = m.system.bus.Signal(syscall.SIGCONT) }},
		{"the bus is cut off", set(m.toBus, [...]mode{cut, blackhole}[m.random.IntN(2)]), func() { m.toBus.Set(pass) }},
		{"the sink is down", set(m.toSink, cut), func() { m.toSink.Set(pass) }},
		{"the sink takes 1 byte/s", func() bool { m.toSink.Slow(0, 1); return m.toSink.Passed(there) > 0 }, func() { m.toSink.Slow(0, 0) }},
	}
}

// startBus starts the bus again where it was.
func (m *mix) startBus() {
	p, _ := m.rawBus(m.address, "")
	m.system.hasBus(p)
}

// signalAll sends a signal to processes, and reports whether one of them was there.
func signalAll(pids []int, sig syscall.Signal) (hit bool) {
	for _, pid := range pids {
		hit = syscall.Kill(pid, sig) == nil || hit
	}
	return hit
}

// An act is what a schedule does at an instant after its begin.
type act struct {
	at time.Duration
	do func()
}

// schedule chooses n harms, and when each begins and ends: in the first half of the time, and after a quarter to a half of it.
func (t *trial) schedule(harms []harm, n int, lasts time.Duration) (acts []act) {
	random := func(d time.Duration) time.Duration { return time.Duration(t.random.Int64N(int64(d))) }
	for _, i := range t.random.Perm(len(harms))[:n] {
		h := harms[i]
		begin := random(lasts / 2)
		end := begin + lasts/4 + random(lasts/4)
		span := fmt.Sprintf("%s from %s to %s", h.name, round(begin), round(end))
		do := func() {
			t.note("%s", span)
			if h.do() {
				t.bite("%s", h.name)
			}
		}
		acts = append(acts, act{begin, do}, act{end, h.heal})
	}
	slices.SortStableFunc(acts, func(a, b act) int { return int(a.at - b.at) })
	return acts
}

// play does what a schedule says.
func (t *trial) play(acts []act) {
	for begin := time.Now(); len(acts) > 0; acts = acts[1:] {
		t.sleep(acts[0].at - time.Since(begin))
		acts[0].do()
	}
}
