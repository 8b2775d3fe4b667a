package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// mixName is the row of a soak that is another one with each seed.
const mixName = "M"

// rowsOfMixes are several faults at once.
func rowsOfMixes() []row {
	return []row{
		{name: mixName, title: "some faults of F1 to F12 at random instants, so that they overlap", run: mixed, short: true,
			part:    func(s settings) bool { return s.soak > 0 },
			promise: "whatever comes together, nothing that was acknowledged is lost; each of the faults met somebody; the seed gives the same schedule again"},
	}
}

// A harm is a fault of a mix. Other parts may be away at its begin and at its end, so it asks nobody but the kernel.
type harm struct {
	name    string
	do      func() (done bool) // false: there was nothing to harm yet
	met     func() bool        // reports whether somebody has met it; nil: it hits as it is done
	heal    func()
	windows int // points that may come twice by it
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

// oneCall is how many points a publisher gives its sink in a call at most, and so what may come twice when it is killed, or its sink
// is cut off, in the middle of one.
const oneCall = 8000

// harms are the faults that a mix is made of.
func (m *mix) harms() []harm {
	kill := func(plugin string, windows int) harm {
		return harm{name: "kill -9 of " + plugin, do: func() bool { return signalAll(m.processes()[plugin], syscall.SIGKILL) }, windows: windows}
	}
	end := func(p *lab.Process) bool {
		if p.Ended() {
			return false
		}
		p.Kill()
		return true
	}
	var halted []int
	return []harm{
		kill("in", 0), kill("mid", 0), kill("out", oneCall),
		{name: "SIGSTOP of mid", do: func() bool { halted = m.processes()["mid"]; return signalAll(halted, syscall.SIGSTOP) },
			met: func() bool { return !slices.ContainsFunc(halted, runs) }, heal: func() { signalAll(halted, syscall.SIGCONT) }},
		{name: "kill -9 of the agent", do: func() bool { return end(m.system.agent) }, heal: func() { m.startAgent("agent") }, windows: oneCall},
		{name: "kill -9 of the bus", do: func() bool { return end(m.system.bus) }, heal: m.startBus, windows: oneCall},
		m.busHalted(),
		m.busAway(),
		during("the sink is down", oneCall, m.toSink.Refused, func() { m.toSink.Set(cut) }, func() { m.toSink.Set(pass) }),
		during("the sink takes 1 byte/s", oneCall, func() int64 { return m.toSink.Passed(there) }, func() { m.toSink.Slow(0, 1) }, func() { m.toSink.Slow(0, 0) }),
	}
}

// busHalted halts the process that the bus is then.
func (m *mix) busHalted() harm {
	var bus *lab.Process
	return harm{name: "SIGSTOP of the bus", do: func() bool { bus = m.system.bus; return bus.Signal(syscall.SIGSTOP) == nil },
		met: func() bool { return !runs(bus.PID()) }, heal: func() { _ = bus.Signal(syscall.SIGCONT) }} // of one that was killed since nobody hears
}

// busAway cuts the bus off, one way or the other.
func (m *mix) busAway() harm {
	heal := func() { m.toBus.Set(pass) }
	if m.random.IntN(2) == 0 {
		return during("the bus is cut off", 0, m.toBus.Refused, func() { m.toBus.Set(cut) }, heal)
	}
	return during("the bus is a black hole", 0, m.toBus.Held, func() { m.toBus.Set(blackhole) }, heal)
}

// during is a harm that has been met when a count has risen since its begin.
func during[N int | int64](name string, windows int, count func() N, do, heal func()) harm {
	var begin N
	return harm{name: name, windows: windows, heal: heal,
		do:  func() bool { begin = count(); do(); return true },
		met: func() bool { return count() > begin }}
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

// runs reports whether a process is there and is not halted.
func runs(pid int) bool {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)) // of none nothing
	_, after, ok := strings.Cut(string(text), ") ")
	return ok && !strings.HasPrefix(after, "T") && !strings.HasPrefix(after, "Z")
}

// An act is what a schedule does at an instant after its begin. It is done again, a little later, until it has: at last it has to.
type act struct {
	at time.Duration
	do func(at time.Duration, last bool) (done bool)
}

const (
	actAgain = time.Second / 2
	actMore  = time.Minute // after the end of a schedule, for harms that have met nobody: perhaps another one was in the way
)

// schedule chooses n harms, and when each begins and how long it lasts: it begins in the first half of the time, and lasts a
// quarter to a half of it, or longer if it has met nobody until then. It returns what it does, and when it gives that up.
func (t *trial) schedule(harms []harm, n int, lasts time.Duration) (acts []act, end time.Duration) {
	random := func(d time.Duration) time.Duration { return time.Duration(t.random.Int64N(int64(d))) }
	for _, i := range t.random.Perm(len(harms))[:n] {
		begin := random(lasts / 2)
		acts = append(acts, t.actsOf(harms[i], begin, lasts/4+random(lasts/4))...)
	}
	slices.SortStableFunc(acts, byTime)
	return acts, lasts + actMore
}

func byTime(a, b act) int { return cmp.Compare(a.at, b.at) }

// actsOf are the begin and the end of a harm.
func (t *trial) actsOf(h harm, begin, lasts time.Duration) []act {
	begun := time.Duration(-1)
	do := func(at time.Duration, last bool) bool {
		if !h.do() {
			return last
		}
		begun = at
		t.mayDouble(h.windows)
		t.note("%s from %s for %s", h.name, round(at), round(lasts))
		return true
	}
	heal := func(at time.Duration, last bool) bool {
		met := begun >= 0 && (h.met == nil || h.met())
		if !last && (!met || at < begun+lasts) {
			return false
		}
		if met {
			t.bite("%s, until %s", h.name, round(at))
		} else {
			t.missed(h.name)
		}
		if begun >= 0 && h.heal != nil {
			h.heal()
		}
		return true
	}
	return []act{{begin, do}, {begin + lasts, heal}}
}

// play does what a schedule says, until all of it is done, or the end.
func (t *trial) play(acts []act, end time.Duration) {
	for begin := time.Now(); len(acts) > 0; {
		next := acts[0]
		acts = acts[1:]
		t.sleep(next.at - time.Since(begin))
		at := time.Since(begin)
		if !next.do(at, at >= end) {
			next.at = at + actAgain
			acts = append(acts, next)
			slices.SortStableFunc(acts, byTime)
		}
	}
}
