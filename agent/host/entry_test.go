package host

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/supervise"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/telemetry"
)

// State and process that are shown are those of one moment: what was told by a process is not shown of the next one.
func TestStateOfOneMoment(t *testing.T) {
	e := alive(t, connected(t, bustest.New(t), idler))
	e.says(telemetry.Heartbeat{Manifest: &telemetry.Manifest{API: 1, Kind: "collector"}})
	e.says(telemetry.Heartbeat{State: "running"})
	e.shows(t, running, "")
	now := e.now.process()
	f := func(child supervise.Status, state, reason string) {
		t.Helper()
		e.mu.Lock()
		defer e.mu.Unlock()
		if s, r := e.now.stateOf(child, time.Now()); s != state || r != reason {
			t.Errorf("%s, process %d: %s (%s), want %s (%s)", child.State, child.PID, s, r, state, reason)
		}
	}
	f(now, running, "")
	f(supervise.Status{State: supervise.Running, PID: now.PID + 1}, starting, "")
	f(supervise.Status{State: supervise.BackingOff, Reason: "exit code 1"}, backingOff, "exit code 1")
	if s := e.status(); s.State != running || s.PID != int64(now.PID) {
		t.Errorf("%+v", s)
	}
}

// A process that is to take over is told of, until it is given up.
func TestReasonOfNext(t *testing.T) {
	e := newHost(t, "nats://127.0.0.1:1", collectors).entries()[0]
	e.next = e.instance(e.plan(), true)
	e.next.hold = true // the old one works
	if got := e.status().Reason; got != "a new process is to take over: it is stopped" {
		t.Error(got)
	}
	e.next.stopped = "it did not take over"
	if got := e.status().Reason; got != "" {
		t.Error(got)
	}
}
