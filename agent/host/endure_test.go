package host

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// couple is a config of two, with % for more settings of the first.
const couple = "collect: { numbers: { every: 10ms, journal: $J%s } }\npublish: { sink: { from: numbers, journal: $J } }\n"

// probation has a rig watch new processes for so long: what goes wrong with them has to do so within.
func probation(d time.Duration) func(*Options) {
	return func(o *Options) { o.Times.Probation = d }
}

// asks asks the agent as an operator does, who does not stay for the answer.
func (r *rig) asks(verb, plugin string) {
	r.Helper()
	body, err := telemetry.EncodeControl(telemetry.CtlRequest{ID: "7", Args: map[string]any{"plugin": plugin}}, telemetry.MsgPack)
	if err != nil {
		r.Fatal(err)
	}
	conn := r.b.Conn(r, "operator")
	ctx, cancel := context.WithCancel(r.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = conn.Request(ctx, bus.CtlSubject("h1", bus.Agent, verb), body)
	}()
	r.Cleanup(func() { cancel(); <-done })
}

// drained checks that so many processes have told their end, and none was killed.
func (r *rig) drained(want map[string]int) {
	r.Helper()
	got := map[string]int{}
	for _, line := range r.lines() {
		if name, _, ok := strings.Cut(line, "_end_"); ok {
			got[name]++
		}
	}
	for name, n := range want {
		if got[name] != n || r.status(name).LastExit != "exit code 0" {
			r.Errorf("%s: %d of %d have drained, the last: %s", name, got[name], n, r.status(name).LastExit)
		}
	}
	bustest.Wait(r, soon, "no process is left", func() bool { return len(offspring(r)) == 0 })
}

// Who drains for an operator drains to its end when the agent ends meanwhile.
func TestStopWhileDraining(t *testing.T) {
	r := rigged(t, strings.Replace(couple, "%s", ", mode: slow_end", 1))
	r.asks("stop", "numbers")
	r.state("numbers", draining)
	r.stop()
	r.drained(map[string]int{"numbers": 1, "sink": 1})
}

// An agent that ends while one plugin hands over to another drains both, and all others.
func TestStopInHandOver(t *testing.T) {
	r := rigged(t, strings.Replace(chain, "every: 10ms", "every: 10ms, mode: slow_end", 1))
	r.asks("upgrade", "numbers")
	r.state("numbers", draining)
	r.stop()
	r.drained(map[string]int{"numbers": 2, "pass": 1, "sink": 1})
}

// A version that dies at work while it has to prove itself leaves its place to the old one. Meanwhile it is the one that is
// shown, and afterwards nothing is left of it that stands in the way.
func TestRelieveDies(t *testing.T) {
	r := rigged(t, strings.Replace(couple, "%s", "", 1), probation(4*diesAfter))
	old := r.status("numbers")
	seen, _, err := r.swap("numbers", entryOther("numbers", "dies"))
	if err == nil || !strings.Contains(err.Error(), "it was ready, but does not work; the old one is started again: its process ended: exit code 3") {
		t.Errorf("%v", err)
	}
	atWork := slices.DeleteFunc(slices.Clone(seen), func(s telemetry.PluginStatus) bool { return s.State != running })
	if len(atWork) != 3 {
		t.Fatalf("seen %+v", seen)
	}
	for n, program := range []string{"numbers", "other", "numbers"} {
		if s := atWork[n]; s.Program != program || s.PID == 0 || s.Reason != "" || (s.PID == old.PID) != (n == 0) {
			t.Errorf("%+v, want %s", s, program)
		}
	}
	if _, err := r.h.Stop(t.Context(), "numbers"); err != nil { // the one that has just been started again
		t.Error(err)
	}
	r.settled(1)
	if s := r.status("numbers"); s.State != stopped || s.Reason != stoppedBy || s.PID != 0 {
		t.Errorf("%+v", s)
	}
	if _, err := r.h.Start(t.Context(), "numbers"); err != nil {
		t.Error(err)
	}
	r.inForce("numbers")
	r.settled(2)
}

// The old one is started again from the file that it ran: the one of its name is the bad version.
func TestRelieveProgram(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "program")
	if err := os.Symlink(self, file); err != nil {
		t.Fatal(err)
	}
	r := rigged(t, "collect: { numbers: { run: ["+file+", plugin, run, collector.numbers], every: 20ms } }\npublish: { sink: { from: numbers } }\n")
	old := r.status("numbers").PID
	if err := os.WriteFile(file+".new", []byte("#!/bin/sh\nexec "+self+" plugin run collector.doomed\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	_, err = r.h.Upgrade(t.Context(), "numbers")
	if err == nil || !strings.Contains(err.Error(), "the old one is started again: its process ended: exit code 3") {
		t.Errorf("%v", err)
	}
	s := r.state("numbers", running)
	e := r.h.find("numbers")
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.PID == old || e.now.manifest.Program != "numbers" || e.now.program != nil {
		t.Errorf("%s runs, %v is held: %+v", e.now.manifest.Program, e.now.program, s)
	}
}

// Of a script nothing is held: what runs is its interpreter, which would not know what to do.
func TestHoldProgram(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nread line\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := func(command string, want bool) {
		t.Helper()
		i := alive(t, connected(t, bustest.New(t), "collect: { idle: { run: ["+command+"] } }\n")).now
		i.holdProgram()
		file := i.held()
		if (file != nil) != want {
			t.Errorf("%s: held is %v", command, file)
		}
		if file != nil {
			file.Close()
		}
		i.dropProgram()
		if file := i.held(); file != nil {
			t.Errorf("%s: %v is held still", command, file)
		}
	}
	f("sh, -c, 'read line'", true)
	f(script, false)
}

// A version whose calls fail is no better than one that does not start, unless those of the old one failed as well.
func TestSwapFailing(t *testing.T) {
	r := rigged(t, strings.Replace(couple, "%s", "", 1), probation(soon))
	f := func(name, entry string) {
		t.Helper()
		_, _, err := r.swap(name, entry)
		if err == nil || !strings.Contains(err.Error(), "its calls fail: no luck") {
			t.Errorf("%s: %v", entry, err)
		}
		if s := r.status(name); s.State != running || s.Reason != "" || s.Program == "other" {
			t.Errorf("%+v", s)
		}
		r.inForce(name)
		r.settled(2)
	}
	sink := r.status("sink").PID
	f("sink", "publish: { sink: { use: other, from: numbers, journal: $J, mode: fails } }")
	if r.status("sink").PID != sink {
		t.Error("the old one was stopped")
	}
	r.h.o.Times.Probation = 5 * time.Second // the whole of it passes, before it works
	f("numbers", entryOther("numbers", "fails"))
	r.h.o.Times.Probation = 250 * time.Millisecond

	r.reloaded(strings.Replace(couple, "%s", ", mode: fails", 1))
	bustest.Wait(t, soon, "its calls fail", func() bool { return r.status("numbers").Reason == "no luck" })
	if _, _, err := r.swap("numbers", entryOther("numbers", "fails")); err != nil {
		t.Error(err)
	}
	if s := r.status("numbers"); s.Program != "other" {
		t.Errorf("%+v", s)
	}
	r.inForce("numbers")
	r.settled(2)
}

// queued waits until so many wait for the turn of a plugin.
func queued(t *testing.T, n int) {
	t.Helper()
	bustest.Wait(t, soon, "they wait for their turn", func() bool {
		buf := make([]byte, 1<<20)
		return strings.Count(string(buf[:runtime.Stack(buf, true)]), "(*entry).take(") == n
	})
}

// Who waits for a plugin that is unloaded meanwhile does not bring it back.
func TestRestartUnloaded(t *testing.T) {
	r := rigged(t, pair)
	release, err := r.h.find("sink").take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unload, restart := make(chan error, 1), make(chan error, 1)
	go func() { _, err := r.h.Unload(t.Context(), "sink"); unload <- err }()
	queued(t, 1)
	go func() { _, err := r.h.Restart(t.Context(), "sink"); restart <- err }()
	queued(t, 2)
	release()
	if err := <-unload; err != nil {
		t.Error(err)
	}
	fails(t, <-restart, telemetry.FaultNotFound, `no plugin "sink"`)
	r.settled(1)
}

// So many operations take place at a time, and one more is refused at once; who only looks is answered all the same.
func TestManyOperations(t *testing.T) {
	r := rigged(t, pair)
	release, err := r.h.find("sink").take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn := r.b.Conn(t, "operator")
	for range operators {
		r.asks("start", "sink")
	}
	queued(t, operators)
	begun := time.Now()
	reply := command(t, conn, telemetry.MsgPack, "start", map[string]any{"plugin": "numbers"})
	if reply.OK || reply.Error == nil || reply.Error.Code != telemetry.FaultTimeout || !strings.HasPrefix(reply.Error.Message, "8 operations are under way") {
		t.Errorf("%+v", reply)
	}
	if list := listed(t, command(t, conn, telemetry.MsgPack, "list", nil)); len(list) != 2 {
		t.Errorf("%+v", list)
	}
	if listed(t, command(t, conn, telemetry.MsgPack, "info", map[string]any{"plugin": "sink"}))[0].State != running || time.Since(begun) > soon/2 {
		t.Error("the answer took its time")
	}
	release()
	bustest.Wait(t, soon, "there is room again", func() bool {
		return command(t, conn, telemetry.MsgPack, "start", map[string]any{"plugin": "numbers"}).OK
	})
}
