package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/failpoint"
	"github.com/pacewire/pacewire/internal/lab"
)

// rowsOfProcesses are the faults of processes: killed, halted, started twice.
func rowsOfProcesses() []row {
	return []row{
		{name: "F1", title: "kill -9 of the collector, again and again", short: true, run: collectorKilled,
			promise: "restarts after 0, 1, 2, 4 ... s; the recovery is from the kill until the next process has acknowledged"},
		{name: "F2", title: "kill -9 of the processor, again and again", short: true, run: processorKilled,
			promise: "its output has the ids of its input: what is made twice is stored once"},
		{name: "F3", title: "kill -9 of the publisher between the sink's answer and its acknowledgement", run: publisherKilled, needs: []need{needsGo},
			promise: "what was in the call comes again, with the same ids: of each process at least something, and at most its last two calls"},
		{name: "F4", title: "kill -9 of the agent, beside a bus of its own", run: agentKilled,
			promise: "its plugins die with it, and there are never two of one; at most the last two calls of each publisher come again"},
		{name: "F5", title: "kill -9 of the bus and a restart", short: true, run: busKilled,
			promise: "the bus is in the agent, so all plugins die with it; what the publisher had in hand comes again, and what was settled in the last 100 ms, which the bus had not written: at most 256 batches for each kill"},
		{name: "F8", title: "SIGSTOP of the bus", run: busHalted,
			promise: "noticed by the plugins within 3.5 s by design, and 5 s with the scheduling of a busy machine; what a publisher could not acknowledge in time is given to it again, and it knows that"},
		{name: "F9", title: "SIGSTOP of the processor", run: pluginHalted,
			promise: "taken for hung after three heartbeats of 10 s, ended and started again: not before 20 s, and within 90 s"},
		{name: "F19", title: "a second plugin of the same name on a host", short: true, run: nameTaken,
			promise: "the second is refused with 78, the first goes on"},
		{name: "F30", title: "a second agent on the same store", short: true, run: storeTaken,
			promise: "refused by the lock with 78, the first goes on"},
		{name: "H1", title: "the harness itself: acknowledged before it is stored, by a failpoint, and kill -9", run: acknowledgedFirst, short: true, loses: true, needs: []need{needsGo},
			promise: "lost is to be above 0 here: the oracle sees a broken promise"},
	}
}

// F1
func collectorKilled(t *trial) { t.killAgain("in", t.times(2, 6)) }

// F2
func processorKilled(t *trial) { t.killAgain("mid", t.times(2, 6)) }

// killAgain kills the process of a plugin so many times, each time when it works again.
func (t *trial) killAgain(plugin string, kills int) {
	t.up(pipeline{})
	t.load(t.standard())
	for range kills {
		t.hold(2 * time.Second)
		old := t.kill(plugin, syscall.SIGKILL)
		t.back(plugin, old, time.Now())
	}
	t.hold(time.Second)
	t.settle()
}

// longestPause is what a plugin may have to wait for its start, and what it then needs.
const longestPause = 90 * time.Second

// back waits until the plugin has another process that works, and all that was acknowledged has arrived.
func (t *trial) back(plugin string, old lab.Plugin, killed time.Time) {
	p := t.awaitPlugin(plugin, longestPause, "works again", func(p lab.Plugin) bool { return p.State == "running" && p.PID != old.PID })
	t.bite("process %d instead of %d of %s, restarts %d", p.PID, old.PID, plugin, p.Restarts)
	t.healed(killed, longestPause)
}

// F3
func publisherKilled(t *trial) {
	die := t.withFailpoints(failpoint.SinkConfirmed)
	t.up(pipeline{})
	t.load(t.standard())
	kills := t.times(2, 6)
	for range kills {
		t.hold(2 * time.Second)
		old := t.awaitPlugin("out", readyWithin, "works", func(p lab.Plugin) bool { return p.State == "running" })
		twice := t.oracle.Count().Duplicated
		die()
		t.back("out", old, time.Now())
		t.await(time.Minute, "what was in the call comes again", func() error { return yet(t.oracle.Count().Duplicated > twice) })
	}
	t.hold(time.Second)
	t.settle()
	most := t.sink.lastWords()
	t.mayDouble(most)
	t.note("%.0f points came twice for each kill, of at most %.0f", float64(t.oracle.Count().Duplicated)/float64(kills), float64(most)/float64(kills))
}

// withFailpoints makes the trial use a program that has failpoints, and returns what makes one of them active.
func (t *trial) withFailpoints(name string) (activate func()) {
	t.place.Binary = t.buildWithFailpoints()
	dir := t.place.Path("failpoints")
	t.must(os.Mkdir(dir, 0o755), "make the folder of the failpoints")
	t.place.Env = append(t.place.Env, "PACEWIRE_FAILPOINTS="+dir)
	t.passed = append(t.passed, "PACEWIRE_FAILPOINTS")
	return func() { t.must(os.WriteFile(dir+"/"+name, nil, 0o600), "activate the failpoint") }
}

// F4
func agentKilled(t *trial) {
	t.apart(pipeline{}, nil)
	t.load(t.standard())
	for range t.times(1, 5) {
		t.hold(t.span(2*time.Second, 8*time.Second))
		killed, old := time.Now(), t.system.agent
		children := lab.Below(old.PID())
		old.Kill()
		t.await(5*time.Second, "the plugins are gone with their agent", func() error {
			return yet(!slices.ContainsFunc(children, func(pid int) bool { return lab.Memory(pid, "status", "VmRSS:") > 0 }))
		})
		t.startAgent("agent")
		ready := t.awaitRunning()
		if len(children) >= 3 {
			t.bite("%d processes died with agent %d, all plugins work after %v", len(children), old.PID(), ready)
		}
		t.oneEach()
		t.healed(killed, time.Minute)
	}
	t.settle()
	t.mayDouble(t.sink.lastWords())
}

// processes are those of the plugins, by name, as the kernel knows them.
func (t *trial) processes() map[string][]int {
	byName := map[string][]int{}
	for _, pid := range lab.Below(t.system.agent.PID()) {
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // one that has ended has none
		for entry := range strings.SplitSeq(string(environ), "\x00") {
			if name, ok := strings.CutPrefix(entry, "PACEWIRE_PLUGIN="); ok {
				byName[name] = append(byName[name], pid)
			}
		}
	}
	return byName
}

// oneEach checks that each plugin has one process.
func (t *trial) oneEach() {
	all := t.processes()
	if len(all) != 3 || len(all["in"]) != 1 || len(all["mid"]) != 1 || len(all["out"]) != 1 {
		t.errorf("processes of the plugins: %v, want one of each", all)
	}
}

// inHand is how many batches of a reader the bus gives out before they are settled: what comes again when all of that is forgotten.
const inHand = 256

// F5
func busKilled(t *trial) {
	t.up(pipeline{})
	l := t.standard()
	t.load(l)
	for range t.times(2, 5) {
		t.hold(t.span(2*time.Second, 8*time.Second))
		killed, old := time.Now(), t.system.agent
		old.Kill()
		t.mayDouble(inHand * l.points)
		t.startAgent("up", "--plain")
		ready := t.awaitRunning()
		t.bite("process %d instead of %d, all plugins work after %v", t.system.agent.PID(), old.PID(), ready)
		t.healed(killed, time.Minute)
	}
	t.hold(time.Second)
	t.settle()
}

// F8
func busHalted(t *trial) {
	t.apart(pipeline{}, nil)
	t.load(t.standard())
	for range t.times(1, 3) {
		t.hold(3 * time.Second)
		halted := time.Now()
		t.must(t.system.bus.Signal(syscall.SIGSTOP), "halt the bus")
		var noticed lab.Record
		t.await(10*time.Second, "the collector notices", func() (err error) {
			var ok bool
			noticed, ok = t.system.agent.Log.First(halted, "in", "bus disconnected")
			return yet(ok)
		})
		t.bite("the collector noticed after %v", noticed.Time.Sub(halted))
		if took := noticed.Time.Sub(halted); took > 5*time.Second {
			t.errorf("noticed after %v", took)
		}
		t.hold(t.span(4*time.Second, 12*time.Second))
		t.must(t.system.bus.Signal(syscall.SIGCONT), "let the bus go on")
		t.healed(time.Now(), time.Minute)
	}
	t.settle()
}

// F9
func pluginHalted(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(2 * time.Second)
	halted := time.Now()
	old := t.kill("mid", syscall.SIGSTOP)
	t.back("mid", old, halted)
	took := time.Since(halted)
	t.note("the halted process was replaced, and what waited for it had arrived, %s after the signal", round(took))
	if took < 20*time.Second {
		t.errorf("a process that was silent for %v was taken for hung", took)
	}
	t.settle()
}

// F19
func nameTaken(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(2 * time.Second)
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	of := fmt.Sprintf("/proc/%d/", before["mid"].PID)
	line, err := os.ReadFile(of + "cmdline")
	t.must(err, "read how the first was started")
	environ, err := os.ReadFile(of + "environ")
	t.must(err, "read the environment of the first")
	args := strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	own := slices.DeleteFunc(strings.Split(string(environ), "\x00"), func(entry string) bool { return strings.HasPrefix(entry, "PACEWIRE_INST=") })
	if out := t.refused(own, args[1:]...); strings.Contains(out, "name_taken") {
		t.bite("the second was told name_taken")
	}
	t.undisturbed(before)
	t.hold(time.Second)
	t.settle()
}

// F30
func storeTaken(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(2 * time.Second)
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	second, err := lab.NewPlace(t.place.Path("second"), t.place.Binary)
	t.must(err, "make a folder")
	_, err = second.Write("pacewire.yaml", fmt.Sprintf("bus: { store: %q }\ncollect: { host: }\npublish: { out: { use: lines, from: host } }\n", t.place.Path("state/bus")))
	t.must(err, "write the second config")
	first := t.place
	t.place = second
	out := t.refused(nil, "up", "--plain", second.Path("pacewire.yaml"))
	t.place = first
	if strings.Contains(out, "in use") {
		t.bite("the second was told who has the store")
	}
	t.undisturbed(before)
	t.hold(time.Second)
	t.settle()
}

// refused runs the program, with an environment of its own if that is not nil. It has to end with 78; what it said is returned.
func (t *trial) refused(environ []string, args ...string) string {
	ctx, cancel := context.WithTimeout(t.ctx, time.Minute)
	defer cancel()
	c := t.place.Command(ctx, args...)
	if environ != nil {
		c.Env = environ
	}
	out, err := c.CombinedOutput()
	if !strings.Contains(fmt.Sprint(err), "exit status 78") {
		t.errorf("pacewire %s: %v, want exit code 78\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// undisturbed checks that all plugins have the processes that they had.
func (t *trial) undisturbed(before map[string]lab.Plugin) {
	after, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	for name, p := range before {
		if now := after[name]; now.PID != p.PID || now.State != "running" || now.Restarts != p.Restarts {
			t.errorf("%s was %+v, and is %+v", name, p, now)
		}
	}
}

// H1
func acknowledgedFirst(t *trial) {
	activate := t.withFailpoints(failpoint.AckFirst)
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(time.Second)
	activate()
	for range 2 {
		t.hold(2 * time.Second)
		old := t.kill("in", syscall.SIGKILL)
		p := t.awaitPlugin("in", longestPause, "works again", func(p lab.Plugin) bool { return p.State == "running" && p.PID != old.PID })
		t.bite("process %d instead of %d", p.PID, old.PID)
	}
	t.hold(2 * time.Second)
	t.settle()
	if t.oracle.Count().Lost == 0 {
		t.errorf("what was acknowledged before it was stored is not seen as lost: the harness is blind")
	}
}
