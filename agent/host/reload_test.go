package host

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// ten is a config of ten plugins; the fifth has settings of its own.
func ten(settings string) string {
	text := "collect:\n"
	for i := range 9 {
		own := ""
		if i == 5 {
			own = settings
		}
		text += fmt.Sprintf("  p%d: { use: numbers, every: 50ms%s }\n", i, own)
	}
	return text + "publish: { sink: { from: all } }\n"
}

// What did not change is not touched; a config with a fault touches nothing at all.
func TestReloadTen(t *testing.T) {
	t.Setenv("FRESH", "1")
	r := rigged(t, ten(""))
	before := r.pids()
	unchanged := func(but string) {
		t.Helper()
		for name, pid := range r.pids() {
			if (pid == before[name]) == (name == but) {
				t.Errorf("%s: process %d, was %d", name, pid, before[name])
			}
		}
		before = r.pids()
	}
	for name, c := range r.reloaded(ten("")) {
		if c.Action != telemetry.ChangeNone || c.Reason != "" {
			t.Errorf("%s: %+v", name, c)
		}
	}
	unchanged("")

	changes := r.reloaded(ten(", env: [FRESH]"))
	for name, c := range changes {
		if (c.Action == telemetry.ChangeNone) == (name == "p5") {
			t.Errorf("%+v", c)
		}
	}
	if c := changes["p5"]; c.Action != telemetry.ChangeSwap || c.Reason != "environment changed" || c.OldPID != before["p5"] || c.PID != r.status("p5").PID {
		t.Errorf("%+v", c)
	}
	unchanged("p5")

	_, err := r.reload(ten(", env: [FRESH], every: soon") + "process: { x: { use: nothing } }\n")
	faults, ok := errors.AsType[config.Faults](err)
	if !ok || len(faults) < 2 || faults[0].Line != 7 || faults[0].Column == 0 || !strings.HasPrefix(err.Error(), r.file) {
		t.Errorf("%v", err)
	}
	unchanged("")
	r.settled(10)
}

// Each change has its action, and only where it must be another process.
func TestReloadActions(t *testing.T) {
	t.Setenv("FRESH", "1")
	const around = "collect: { numbers: { every: 20ms }, more: { use: numbers, every: 20ms }%s }\npublish: { p: { use: sink, from: numbers%s } }\n"
	r := rigged(t, fmt.Sprintf(around, "", ""))
	f := func(text, plugin, action, reason string) {
		t.Helper()
		before := r.pids()
		r.write(text)
		plan, err := r.h.Reload(t.Context(), true)
		if c := byName(plan)[plugin]; err != nil || !plan.DryRun || c.Action != action || c.Reason != reason || c.PID != 0 {
			t.Errorf("%s: dry run says %+v, %v; want %s, %q", text, c, err, action, reason)
		}
		if !maps.Equal(r.pids(), before) {
			t.Errorf("%s: a dry run has changed %v to %v", text, before, r.pids())
		}
		if c := r.reloaded(text)[plugin]; c.Action != action || c.Reason != reason || c.OldPID != before[plugin] {
			t.Errorf("%s: %+v, want %s, %q", text, c, action, reason)
		}
		for name, pid := range before {
			now := r.pids()[name]
			same := name != plugin || action == telemetry.ChangeConfigure || action == telemetry.ChangeNone
			if (now == pid) != same {
				t.Errorf("%s: process of %s is %d, was %d", text, name, now, pid)
			}
		}
		if action != telemetry.ChangeStop {
			r.inForce(plugin)
		}
		r.settled(len(r.h.entries()))
	}
	p := func(settings string) string { return fmt.Sprintf(around, "", settings) }
	f(p(", journal: "+r.journal), "p", telemetry.ChangeConfigure, "config changed")
	f(p(", timeout: 3s"), "p", telemetry.ChangeConfigure, "config, timeout changed")
	f(p(", on: monitoring"), "p", telemetry.ChangeSwap, "from, timeout changed") // it reads another stream
	f(p(""), "p", telemetry.ChangeSwap, "from changed")
	f(strings.Replace(p(""), "from: numbers", "from: [numbers, more]", 1), "p", telemetry.ChangeConfigure, "from changed")
	state, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "p")
	if err != nil || !slices.Equal(slices.Sorted(slices.Values(state.Filters)), []string{"pw.metrics.*.more", "pw.metrics.*.numbers"}) {
		t.Errorf("%+v, %v", state, err)
	}
	f(p(""), "p", telemetry.ChangeConfigure, "from changed")
	f(p(", limits: { files: 512 }"), "p", telemetry.ChangeSwap, "limits changed")
	f(p(", env: [FRESH]"), "p", telemetry.ChangeSwap, "environment, limits changed")
	f(p(", env: [FRESH], parallel: 2"), "p", telemetry.ChangeSwap, "environment, parallel changed")
	f(p(""), "p", telemetry.ChangeSwap, "environment, parallel changed")

	n := func(settings string) string {
		return strings.Replace(p(""), "numbers: { every: 20ms }", "numbers: { "+settings+" }", 1)
	}
	f(n("every: 30ms"), "numbers", telemetry.ChangeConfigure, "interval changed")
	f(n("every: 30ms, tags: { a: b }"), "numbers", telemetry.ChangeConfigure, "tags changed")
	f("tags: { c: d }\n"+n("every: 30ms, tags: { a: b, c: e }"), "numbers", telemetry.ChangeConfigure, "tags changed")
	f(p(""), "numbers", telemetry.ChangeConfigure, "interval, tags changed")

	f(fmt.Sprintf(around, ", extra: { use: numbers }", ""), "extra", telemetry.ChangeStart, "it is new")
	f(fmt.Sprintf(around, ", extra: { use: other }", ""), "extra", telemetry.ChangeSwap, "program changed")
	f(fmt.Sprintf(around, "", "")+"process: { extra: { use: pass, from: numbers } }\n", "extra", telemetry.ChangeSwap, "kind, program, from, interval, tags, max_series changed")
	f(fmt.Sprintf(around, ", extra: { use: other, enabled: false }", ""), "extra", telemetry.ChangeStop, "it is not in the config any more")
	if r.h.find("extra") != nil {
		t.Error("extra is still there")
	}
	if _, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "extra"); err != nil { // it may come back, and go on where it was
		t.Errorf("its consumer: %v", err)
	}
}

// A plugin that refuses its new config goes on with the one it has, and so does what it reads. One config that was refused
// does not stand in the way of the next.
func TestReloadRefusedLive(t *testing.T) {
	const text = "collect: { numbers: { every: 20ms }, more: { use: numbers, every: 20ms } }\npublish: { sink: { from: numbers, journal: $J%s } }\n"
	r := rigged(t, fmt.Sprintf(text, ""))
	pid, rev := r.status("sink").PID, r.status("sink").Config
	for _, mode := range []string{"invalid", "boom", "invalid"} {
		list, err := r.reload(strings.Replace(fmt.Sprintf(text, ", mode: "+mode), "from: numbers", "from: more", 1))
		c := byName(list)["sink"]
		if err != nil || c.Action != telemetry.ChangeConfigure || !strings.Contains(c.Error, mode) || c.PID != pid {
			t.Errorf("%s: %+v, %v", mode, c, err)
		}
		s := r.state("sink", running)
		if s.PID != pid || s.Restarts != 0 || r.h.find("sink").plan().rev != rev {
			t.Errorf("%s: %+v", mode, s)
		}
		r.inForce("sink")
		state, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink")
		if err != nil || !slices.Equal(state.Filters, []string{"pw.metrics.*.numbers"}) {
			t.Errorf("%s: %+v, %v", mode, state, err)
		}
	}
	if c := r.reloaded(fmt.Sprintf(text, ", mode: good"))["sink"]; c.Action != telemetry.ChangeConfigure || c.PID != pid {
		t.Errorf("%+v", c)
	}
	r.inForce("sink")
	if r.h.find("sink").plan().rev == rev {
		t.Error("the new config is not in force")
	}
}

// A swap that fails in a reload leaves what else has changed as the config says.
func TestReloadPart(t *testing.T) {
	r := rigged(t, chain)
	before := r.pids()
	list, err := r.reload("collect: { numbers: { every: 30ms, journal: $J }, more: { use: numbers } }\n" +
		"process: { pass: { use: other, from: numbers, mode: boom } }\npublish: { sink: { use: other, from: pass, journal: $J } }\n")
	if err != nil {
		t.Fatal(err)
	}
	changes := byName(list)
	if c := changes["pass"]; c.Action != telemetry.ChangeSwap || !strings.Contains(c.Error, "boom") || c.PID != before["pass"] {
		t.Errorf("%+v", c)
	}
	delete(changes, "pass")
	for name, c := range changes {
		if c.Error != "" {
			t.Errorf("%+v", c)
		}
		r.inForce(name)
	}
	if s := r.status("sink"); s.Program != "other" || s.PID == before["sink"] || r.status("numbers").PID != before["numbers"] {
		t.Errorf("%+v", s)
	}
	r.inForce("pass")
	r.settled(4)
	if c := r.reloaded(chain)["pass"]; c.Action != telemetry.ChangeNone {
		t.Errorf("back again: %+v", c)
	}
	r.settled(3)
}

// Who was stopped by an operator stays so through a reload, and can be stopped, started and removed all the same.
func TestReloadStopped(t *testing.T) {
	r := rigged(t, chain)
	stop := func() {
		t.Helper()
		if _, err := r.h.Stop(t.Context(), "pass"); err != nil {
			t.Fatal(err)
		}
		if s := r.status("pass"); s.State != stopped || s.Reason != stoppedBy || s.PID != 0 {
			t.Errorf("%+v", s)
		}
	}
	stop()
	stop()
	r.settled(2)
	r.reloaded(strings.Replace(chain, "pass: {", "pass: { use: other,", 1))
	if s := r.status("pass"); s.State != stopped || s.Reason != stoppedBy {
		t.Errorf("%+v", s)
	}
	stop()
	if _, err := r.h.Start(t.Context(), "pass"); err != nil {
		t.Error(err)
	}
	if s := r.state("pass", running); s.Program != "other" {
		t.Errorf("%+v", s)
	}
	stop()
	r.reloaded(chain)
	without := "collect: { numbers: { every: 10ms, journal: $J } }\npublish: { sink: { from: numbers, journal: $J } }\n"
	if c := r.reloaded(without)["pass"]; c.Action != telemetry.ChangeStop {
		t.Errorf("%+v", c)
	}
	r.settled(2)
}

// Operations on one plugin come one after the other; an agent that is about to end begins none.
func TestOperations(t *testing.T) {
	r := rigged(t, chain)
	for range 2 {
		was := r.status("pass").PID
		list, err := r.h.Restart(t.Context(), "pass")
		if err != nil || len(list.Changes) != 1 || list.Changes[0].OldPID != was || list.Changes[0].PID == was {
			t.Errorf("%+v, %v", list, err)
		}
		r.inForce("pass")
	}
	if s := r.status("pass"); s.Restarts != 0 || s.LastExit == "" || s.LastEnd == 0 {
		t.Errorf("%+v", s)
	}
	pid := r.status("pass").PID
	if _, err := r.h.Start(t.Context(), "pass"); err != nil || r.status("pass").PID != pid {
		t.Errorf("a start of one that runs: %v", err)
	}
	errs := make(chan error, 4)
	for _, do := range []func() error{
		func() error { _, err := r.h.Upgrade(t.Context(), "pass"); return err },
		func() error { _, err := r.h.Restart(t.Context(), "pass"); return err },
		func() error { _, err := r.h.Upgrade(t.Context(), "pass"); return err },
		func() error { _, err := r.h.Reload(t.Context(), false); return err },
	} {
		go func() { errs <- do() }()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	r.settled(3)
	r.inForce("pass")
	for _, do := range []func() error{
		func() error { _, err := r.h.Stop(t.Context(), "pas"); return err },
		func() error { _, err := r.h.Swap(t.Context(), "pas", Target{}); return err },
		func() error { _, err := r.h.Unload(t.Context(), "pas"); return err },
	} {
		if err := do(); err == nil || err.Error() != `host h1 has no plugin "pas": did you mean pass?` || faultOf(err).Code != telemetry.FaultNotFound {
			t.Errorf("%v", err)
		}
	}
	r.stop()
	for _, do := range []func() error{
		func() error { _, err := r.h.Start(t.Context(), "pass"); return err },
		func() error { _, err := r.h.Load(t.Context(), "collect: { x: { use: numbers } }", false); return err },
		func() error { _, err := r.h.Reload(t.Context(), false); return err },
	} {
		if err := do(); !errors.Is(err, errEnds) {
			t.Errorf("after the end: %v", err)
		}
	}
	r.settled(0)
}
