package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/bus/bustest"
	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

const attachable = "collect: { mine: { use: numbers, attached: true, every: 20ms, journal: $J } }\npublish: { sink: { from: mine, journal: $J } }\n"

// environment asks the agent how somebody else starts a plugin.
func (r *rig) environment(name string) (telemetry.PluginEnv, *telemetry.Fault) {
	r.Helper()
	reply := command(r.T, r.b.Conn(r, "operator"), telemetry.MsgPack, "env", map[string]any{"plugin": name})
	if !reply.OK {
		return telemetry.PluginEnv{}, reply.Error
	}
	env, _, err := telemetry.DecodePluginEnv(reply.Payload)
	if err != nil {
		r.Fatal(err)
	}
	return env, nil
}

// An outsider is a plugin that the test starts.
type outsider struct {
	stop context.CancelFunc
	done chan error
}

// outside starts numbers as a plugin whose environment the agent has told.
func (r *rig) outside(name string) *outsider {
	r.Helper()
	env, fault := r.environment(name)
	if fault != nil {
		r.Fatalf("%+v", fault)
	}
	get := func(key string) string {
		for _, e := range env.Environ {
			if v, ok := strings.CutPrefix(e, key+"="); ok {
				return v
			}
		}
		r.Fatalf("no %s in %q", key, env.Environ)
		return ""
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	o := &outsider{cancel, make(chan error, 1)}
	d := programs()[0]
	go func() {
		o.done <- plugin.Serve(ctx, d, plugin.Options{Bus: get("PACEWIRE_BUS"), Host: get("PACEWIRE_HOST"), Plugin: get("PACEWIRE_PLUGIN"),
			Dir: get("PACEWIRE_DIR"), Log: bustest.Log(r), Wait: soon, LeastBeat: 50 * time.Millisecond})
	}()
	r.Cleanup(func() { _ = o.ends(r) })
	return o
}

// ends stops the plugin, and returns what it said.
func (o *outsider) ends(t testing.TB) error {
	o.stop()
	select {
	case err := <-o.done:
		o.done <- err
		return err
	case <-time.After(soon):
		t.Error("it does not end")
		return nil
	}
}

// A plugin that somebody else starts is waited for, gets its work when it comes, and may come again.
func TestAttached(t *testing.T) {
	r := rigged(t, attachable)
	if s := r.status("mine"); s.State != awaited || !s.Attached || s.PID != 0 {
		t.Errorf("%+v", s)
	}
	r.settledAttached(1)
	_, fault := r.environment("sink")
	if fault == nil || fault.Code != telemetry.FaultDenied || !strings.Contains(fault.Message, "sink is started by the agent: write attached: true") {
		t.Errorf("%+v", fault)
	}
	first := r.outside("mine")
	r.inForce("mine")
	if s := r.status("mine"); s.PID != 0 || s.Program != "numbers" || s.Beat == 0 || s.Restarts != 0 {
		t.Errorf("%+v", s)
	}
	bustest.Wait(t, soon, "its points arrive", func() bool { return strings.Contains(strings.Join(r.lines(), " "), "sink_took_") })

	second := r.outside("mine")
	if err := <-second.done; !errors.Is(err, plugin.ErrRefused) || !strings.Contains(err.Error(), "name_taken: another process beats as mine") {
		t.Errorf("%v", err)
	} else {
		second.done <- err
	}
	if s := r.status("mine"); s.State != running || s.Reason != "" {
		t.Errorf("the first is disturbed: %+v", s)
	}
	r.inForce("mine")

	if c := r.reloaded(strings.Replace(attachable, "20ms", "30ms", 1))["mine"]; c.Action != telemetry.ChangeConfigure || c.Error != "" {
		t.Errorf("%+v", c)
	}
	r.inForce("mine")
	for _, do := range []func(context.Context, string) (telemetry.ChangeList, error){r.h.Start, r.h.Restart} {
		if _, err := do(t.Context(), "mine"); err == nil || !strings.Contains(err.Error(), "somebody else") {
			t.Errorf("%v", err)
		}
	}
	if err := first.ends(t); err != nil {
		t.Error(err)
	}
	if s := r.state("mine", stopped); s.Reason != "it said goodbye: shutdown" {
		t.Errorf("%+v", s)
	}
	begun := time.Now()
	r.reloaded(attachable) // nobody is there to take it, and nobody is waited for
	if d := time.Since(begun); d > r.h.o.Times.Ready {
		t.Errorf("a reload waited for %v", d)
	}
	again := r.outside("mine")
	r.inForce("mine")
	r.reloaded("collect: { numbers: }\npublish: { sink: { from: numbers, journal: $J } }\n")
	if err := <-again.done; err != nil {
		t.Errorf("it was drained: %v", err)
	} else {
		again.done <- err
	}
	if n := len(r.lines()); r.h.find("mine") != nil || !slices.ContainsFunc(r.lines(), func(l string) bool { return strings.HasPrefix(l, "mine_end_") }) {
		t.Errorf("%d lines, %q", n, r.lines())
	}
	r.settled(2)
}

// settledAttached checks the number of processes beside one that is attached, which has credentials as well.
func (r *rig) settledAttached(n int) {
	r.Helper()
	bustest.Wait(r, soon, "processes and credentials are in order", func() bool { return len(offspring(r)) == n && r.credentials() == n+1 })
}

// One that is silent is lost, and another one may take its name.
func TestAttachedLost(t *testing.T) {
	r := rigged(t, attachable)
	p := newPulse(t, r.b, "mine", "collector", "a")
	p.Manifest.Program = "elsewhere"
	p.IntervalMS, p.State = 1000, "running"
	p.accepted()
	r.state("mine", running)
	if s := r.status("mine"); s.Program != "elsewhere" || s.Version != "1.2.3" {
		t.Errorf("%+v", s)
	}
	e := r.h.find("mine")
	e.set(func() { e.now.arrived = time.Now().Add(-silentLeast - time.Second) })
	if s := r.state("mine", lost); !strings.HasPrefix(s.Reason, "no heartbeat for ") || s.PID != 0 {
		t.Errorf("%+v", s)
	}
	page := e.journal.Page(0, 0, 0)
	if !slices.ContainsFunc(page.Lines, func(l telemetry.LogLine) bool { return strings.HasPrefix(l.Text, "plugin is lost: no heartbeat for") }) {
		t.Errorf("%+v", page.Lines)
	}
	begun := time.Now()
	if c := r.reloaded(strings.Replace(attachable, "20ms", "30ms", 1))["mine"]; c.Error != "" || time.Since(begun) > r.h.o.Times.Ready {
		t.Errorf("%+v after %v", c, time.Since(begun))
	}
	q := newPulse(t, r.b, "mine", "collector", "b")
	q.State = "running"
	if ack := q.accepted(); ack.Work == nil || ack.EveryMS != 30 {
		t.Errorf("%+v", ack)
	}
	p.refused("name_taken")
	r.state("mine", running)
	q.Bye = "shutdown"
	q.accepted()
	r.state("mine", stopped)
	if _, err := r.h.Stop(t.Context(), "mine"); err != nil {
		t.Error(err)
	}
	if s := r.status("mine"); s.State != stopped || s.Reason != stoppedBy || r.credentials() != 1 {
		t.Errorf("%+v, %d credentials", s, r.credentials())
	}
	p.refused("not_allowed: mine is not to run here: " + stoppedBy)
	if _, err := r.h.Start(t.Context(), "mine"); err != nil {
		t.Error(err)
	}
	r.state("mine", awaited)
	p.accepted()
	r.settledAttached(1)
}

// Whether somebody else starts a plugin can change.
func TestAttachedChanges(t *testing.T) {
	r := rigged(t, pair)
	pid := r.status("sink").PID
	r.reloaded("collect: { numbers: }\npublish: { sink: { from: numbers, attached: true } }\n")
	if s := r.status("sink"); s.State != awaited || s.PID != 0 || !s.Attached {
		t.Errorf("%+v", s)
	}
	r.settledAttached(1)
	r.reloaded(pair)
	if s := r.state("sink", running); s.PID == pid || s.Attached {
		t.Errorf("%+v", s)
	}
	r.settled(2)
	if state, err := r.h.conn.ConsumerInfo(t.Context(), bus.StreamMetrics, "sink"); err != nil || len(state.Filters) != 1 {
		t.Errorf("%+v, %v", state, err)
	}
}
