package main

import (
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/pacewire/pacewire/internal/lab"
)

// rowsOfConfig are the faults that operators make, and plugins that are not what they should be.
func rowsOfConfig() []row {
	return []row{
		{name: "F24", title: "reload with an error in the config", short: true, run: badConfig,
			promise: "the old config keeps running in the same processes; the verb ends with 78 and names the line"},
		{name: "F25", title: "swaps under load: a good version, one that crashes, one that says no hello", short: true, run: swaps,
			promise: "a bad version comes to nothing and the old one goes on; the output never pauses for 10 s"},
		{name: "F28", title: "a plugin above its memory limit", run: tooMuchMemory,
			promise: "it is killed and its last exit says why; the others do not notice. By a cgroup where the agent may make one, else by looking"},
	}
}

// F24
func badConfig(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(time.Second)
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	path := t.place.Path("pacewire.yaml")
	good, err := os.ReadFile(path)
	t.must(err, "read the config")
	t.must(os.WriteFile(path, []byte(strings.Replace(string(good), "process:", "proces:", 1)), 0o600), "write a bad config") //nolint:misspell // it is the mistake
	if out := t.refused(nil, "reload"); strings.Contains(out, "pacewire.yaml:") && strings.Contains(out, "did you mean process?") {
		t.bite("the verb named the line")
	}
	begin := time.Now()
	t.must(t.system.agent.Signal(syscall.SIGHUP), "hang up")
	t.await(readyWithin, "the agent says that the config is refused", func() error {
		_, ok := t.system.agent.Log.First(begin, "", "config not taken, everything goes on as before")
		return yet(ok)
	})
	t.hold(time.Second)
	t.undisturbed(before)
	t.must(os.WriteFile(path, good, 0o600), "write the config")
	t.settle()
}

// pauseAtMost is how long the output may pause for swaps: a start takes seconds on a busy machine.
const pauseAtMost = 10 * time.Second

// F25
func swaps(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(time.Second)
	t.swap(true, "--", t.binary, "plugin", "run", "processor.filter")
	t.swap(false, "--", "/bin/false")
	if !t.short { // the handshake's time is half a minute
		t.swap(false, "--", "/bin/sleep", "1000")
	}
	t.swap(true, "--use", "filter")
	t.hold(time.Second)
	t.settle()
	t.note("the output paused for %s at most", round(t.result.gap))
	if t.result.gap > pauseAtMost {
		t.errorf("the output paused for %v", t.result.gap)
	}
}

// swap swaps the processor, and checks which of both works afterwards.
func (t *trial) swap(good bool, args ...string) {
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	_, err = t.place.Verb(t.ctx, append([]string{"plugin", "swap", "mid"}, args...)...)
	after := t.awaitPlugin("mid", readyWithin, "works", func(p lab.Plugin) bool { return p.State == "running" })
	if other := after.PID != before["mid"].PID; other != good || (err == nil) != good {
		t.errorf("plugin swap mid %v: %v, process %d instead of %d", args, err, after.PID, before["mid"].PID)
		return
	}
	t.bite("swap to %v: %v", args, err)
}

// F28
func tooMuchMemory(t *trial) {
	t.up(pipeline{})
	t.load(t.standard())
	t.hold(time.Second)
	before, err := t.place.Plugins(t.ctx)
	t.must(err, "list the plugins")
	config, err := t.place.Write("hog.yaml", `collect: { hog: { run: [sh, -c, "x=$(head -c 400000000 /dev/zero | tr '\\0' x); sleep 1000"], limits: { memory: 64MiB } } }`)
	t.must(err, "write the config of the hog")
	if _, err = t.place.Verb(t.ctx, "plugin", "load", config); err != nil {
		t.logf("plugin load: %v", err)
	}
	p := t.awaitPlugin("hog", readyWithin, "is told to have had too much memory", func(p lab.Plugin) bool { return strings.Contains(p.Reason, "memory") })
	t.bite("hog: %s", p.Reason)
	t.undisturbed(before)
	_, err = t.place.Verb(t.ctx, "plugin", "unload", "hog")
	t.must(err, "unload the hog")
	t.hold(time.Second)
	t.settle()
}
