package host

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// shows waits until the plugin shows a state with a reason.
func (e *entry) shows(t *testing.T, state, reason string) {
	t.Helper()
	var s telemetry.PluginStatus
	for end := time.Now().Add(soon); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if s = e.status(); s.State == state && (s.Reason == reason || state == lost && strings.HasPrefix(s.Reason, reason)) {
			return
		}
	}
	t.Errorf("%s is %s (%s), want %s (%s)", e.name, s.State, s.Reason, state, reason)
}

// says lets the plugin's process say something.
func (e *entry) says(h telemetry.Heartbeat) telemetry.Ack {
	h.Inst, h.IntervalMS = "a", 1000
	var ack telemetry.Ack
	e.beat(h, time.Now(), &ack)
	return ack
}

// What a process that runs says of itself is its state, once it has been heard.
func TestStatesOfRunning(t *testing.T) {
	e := alive(t, connected(t, bustest.New(t), idler))
	fault := &telemetry.Fault{Code: "error", Message: "port in use"}
	f := func(h telemetry.Heartbeat, state, reason string) {
		t.Helper()
		before := e.status()
		e.says(h)
		e.shows(t, state, reason)
		if s := e.status(); (s.Since == before.Since) != (s.State == before.State) || s.Since < before.Since || s.PID == 0 {
			t.Errorf("%s since %d, before %s since %d", s.State, s.Since, before.State, before.Since)
		}
	}
	e.shows(t, starting, "")
	f(telemetry.Heartbeat{Manifest: &telemetry.Manifest{API: 9}}, refused, "api_version: the plugin speaks version 9, this agent version 1")
	f(telemetry.Heartbeat{State: "running"}, refused, "api_version: the plugin speaks version 9, this agent version 1")
	f(telemetry.Heartbeat{Manifest: &telemetry.Manifest{API: 1, Kind: "collector"}}, introduced, "")
	f(telemetry.Heartbeat{State: "starting"}, introduced, "")
	f(telemetry.Heartbeat{State: "ready"}, ready, "")
	f(telemetry.Heartbeat{State: "running"}, running, "")
	f(telemetry.Heartbeat{State: "running", Error: fault}, running, "") // of long ago
	f(telemetry.Heartbeat{State: "running", Error: fault, Flags: []string{"failing"}}, running, "port in use")
	f(telemetry.Heartbeat{State: "running", Flags: []string{telemetry.FlagSeries, telemetry.FlagOverflow}}, running,
		"points are dropped: the bus does not take them, and the queue is full")
	if s := e.status(); !slices.Equal(s.Flags, []string{telemetry.FlagOverflow, telemetry.FlagSeries}) {
		t.Errorf("flags %v", s.Flags)
	}
	f(telemetry.Heartbeat{State: "running", Flags: []string{telemetry.FlagRefused}}, running,
		"points are refused, and kept by their senders: more a second than max_rate allows")
	f(telemetry.Heartbeat{State: "running", Flags: []string{telemetry.FlagStorageFull}}, running, "the bus has no room: points wait")
	e.behind(lag{bus.StreamMetrics, 1 << 30, 0.9}, 0, true)
	f(telemetry.Heartbeat{State: "running"}, running, "it is behind: 1024 MiB of METRICS wait for it, 90% of what that may hold")
	if s := e.status(); !slices.Equal(s.Flags, []string{telemetry.FlagLag}) {
		t.Errorf("flags %v", s.Flags)
	}
	e.behind(lag{}, 0, true)
	f(telemetry.Heartbeat{State: "running"}, running, "")
	f(telemetry.Heartbeat{State: "idle"}, idle, "")
	f(telemetry.Heartbeat{State: "failed", Error: fault}, failed, "port in use")
	f(telemetry.Heartbeat{State: "failed"}, failed, "")
	f(telemetry.Heartbeat{State: "draining"}, draining, "")
	page := e.journal.Page(0, 0, 0)
	var told []string
	for _, l := range page.Lines {
		told = append(told, l.Text)
	}
	if text := strings.Join(told, "\n"); !slices.Contains(told, "ready") || !strings.Contains(text, "plugin works") || !strings.Contains(text, "plugin has failed: port in use") {
		t.Errorf("its lines are %q", told)
	}
}

// What a process does that nobody hears: it ends, and is or is not started again.
func TestStatesOfEnded(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(script, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h := connected(t, bustest.New(t), "collect: { p: { run: ["+script+"] } }\n")
	e := h.find("p")
	e.shows(t, stopped, "")
	write("exit 78")
	begin(t, e)
	e.shows(t, failed, "exit code 78")
	if s := e.status(); s.PID != 0 || s.LastExit != "exit code 78" || s.LastEnd == 0 || s.Next != 0 {
		t.Errorf("%+v", s)
	}
	look := func() { h.inspect(t.Context(), time.Now().Add(-watchEvery), time.Now()) }
	look()
	e.shows(t, failed, "exit code 78")
	write("echo no licence >&2; sleep 0.05; exit 1")
	look() // another program: another try
	e.shows(t, backingOff, "exit code 1: no licence")
	bustest.Wait(t, soon, "it tells when it starts again", func() bool {
		s := e.status()
		return s.State == backingOff && s.PID == 0 && s.Next > time.Now().Add(-time.Minute).UnixNano()
	})

	write("trap '' TERM; while :; do sleep 0.01; done")
	e.now.child.Retry("test")
	e.shows(t, starting, "")
	e.says(telemetry.Heartbeat{State: "running"})
	e.shows(t, running, "")
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.now.stop(t.Context(), stoppedBy)
	}()
	e.shows(t, stopping, "stop")
	e.says(telemetry.Heartbeat{State: "draining"})
	e.shows(t, draining, "stop")
	e.now.child.Kill("enough")
	<-done
	e.shows(t, stopped, stoppedBy)
	if ack := e.says(telemetry.Heartbeat{State: "running"}); ack.State == telemetry.Refused { // it is its own last word
		t.Errorf("%+v", ack)
	}
	e.shows(t, stopped, stoppedBy)
}

// One that was refused, and ends for that reason, is shown with why it was refused.
func TestStateOfRefusedEnd(t *testing.T) {
	h := connected(t, bustest.New(t), "collect: { p: { run: [sh, -c, 'sleep 3; exit 78'] } }\n")
	e := h.find("p")
	begin(t, e)
	e.shows(t, starting, "")
	reason := "config_invalid: sh is a publisher, but stands among the collectors"
	bad := telemetry.Heartbeat{Manifest: &telemetry.Manifest{API: 1, Kind: "publisher"}}
	bustest.Wait(t, soon, "it has begun", func() bool { return e.status().PID != 0 })
	if ack := e.says(bad); ack.State != telemetry.Refused || ack.Reason != reason {
		t.Errorf("%+v", ack)
	}
	bustest.Wait(t, soon, "it has ended", func() bool { return e.now.child.Status().State == "failed" })
	e.shows(t, refused, reason)
}

// A plugin that somebody else starts has the states of what is heard of it.
func TestStatesOfAttached(t *testing.T) {
	h := connected(t, bustest.New(t), "collect: { p: { use: numbers, attached: true } }\n")
	e := h.find("p")
	e.now.start(t.Context())
	e.shows(t, awaited, `somebody else starts it: eval "$(pacewire plugin env p)" in its shell`)
	e.says(telemetry.Heartbeat{Manifest: &telemetry.Manifest{API: 1, Kind: "publisher"}})
	e.shows(t, refused, "config_invalid: numbers is a publisher, but stands among the collectors")
	e.says(telemetry.Heartbeat{Manifest: &telemetry.Manifest{API: 1, Kind: "collector"}})
	e.shows(t, introduced, "")
	for _, state := range []string{ready, running, idle, failed, draining} {
		e.says(telemetry.Heartbeat{State: state})
		e.shows(t, state, "")
	}
	if s := e.status(); !s.Attached || s.PID != 0 || s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
	e.says(telemetry.Heartbeat{State: "draining", Bye: "shutdown"})
	e.shows(t, stopped, "it said goodbye: shutdown")
	e.says(telemetry.Heartbeat{State: "running"})
	e.set(func() { e.now.arrived = time.Now().Add(-silentLeast - time.Second/2) })
	h.inspect(t.Context(), time.Now().Add(-watchEvery), time.Now())
	e.shows(t, lost, "no heartbeat for ")
	e.says(telemetry.Heartbeat{State: "running"})
	e.shows(t, running, "")
	e.now.stop(t.Context(), "it is not in the config any more")
	e.shows(t, stopped, "it is not in the config any more")
}

// How far a process is on its way to work, and what keeps it from there.
func TestHealth(t *testing.T) {
	e := alive(t, connected(t, bustest.New(t), idler))
	rev := e.plan().rev
	fault := func(code string, age int64) *telemetry.Fault {
		return &telemetry.Fault{Code: code, Message: "m", AgeMS: age}
	}
	f := func(h telemetry.Heartbeat, isReady, works bool, want string) {
		t.Helper()
		h.Manifest = &telemetry.Manifest{API: 1, Kind: "collector"}
		e.says(h)
		e.mu.Lock()
		got := e.now.health()
		e.mu.Unlock()
		text := ""
		if got.err != nil {
			text = got.err.Error()
		}
		if got.ready != isReady || got.works != works || text != want {
			t.Errorf("%s at %d: %+v, want ready %v, works %v, %q", h.State, h.ConfigRev, got, isReady, works, want)
		}
	}
	f(telemetry.Heartbeat{}, false, false, "")
	f(telemetry.Heartbeat{State: "starting", ConfigRev: rev}, false, false, "")
	f(telemetry.Heartbeat{State: "ready", ConfigRev: rev}, true, false, "")
	f(telemetry.Heartbeat{State: "running", ConfigRev: rev - 1}, false, false, "")
	f(telemetry.Heartbeat{State: "running", ConfigRev: rev}, true, true, "")
	f(telemetry.Heartbeat{State: "idle", ConfigRev: rev}, true, true, "")
	f(telemetry.Heartbeat{State: "running", ConfigRev: rev, Error: fault("config_invalid", 0)}, true, true, "")
	f(telemetry.Heartbeat{State: "running", ConfigRev: rev - 1, Error: fault("config_invalid", 0)}, false, false, "it cannot use its config: m")
	f(telemetry.Heartbeat{State: "running", ConfigRev: rev - 1, Error: fault("error", 0)}, false, false, "")
	f(telemetry.Heartbeat{State: "failed", ConfigRev: rev, Error: fault("error", 0)}, false, false, "it has failed: m")
	f(telemetry.Heartbeat{State: "failed"}, false, false, "it has failed: it does not say why")
	f(telemetry.Heartbeat{State: "running", ConfigRev: rev, Flags: []string{"hung"}}, false, false, "a call does not come back")
	e.set(func() { e.now.planned = time.Now() })
	f(telemetry.Heartbeat{State: "running", ConfigRev: rev - 1, Error: fault("config_invalid", 60000)}, false, false, "") // of the config before
	f(telemetry.Heartbeat{State: "running", ConfigRev: rev - 1, Error: fault("config_invalid", 0)}, false, false, "it cannot use its config: m")
	e.set(func() { e.now.refused = "no" })
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.now.health(); h.err == nil || h.err.Error() != "it is refused: no" {
		t.Errorf("%+v", h)
	}
}
