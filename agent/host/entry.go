package host

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/agent/supervise"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// An entry is one plugin: what the config wants, its process, and what it tells of itself.
type entry struct {
	host   *Host
	conf   config.Plugin
	inputs []bus.Input
	work   telemetry.Work
	rev    uint64
	child  *supervise.Child

	mu       sync.Mutex
	last     telemetry.Heartbeat
	manifest *telemetry.Manifest
	arrived  time.Time // of the last heartbeat; zero: none from this process
	begun    time.Time // of this process
	pid      int
	received uint64
	lost     uint64
	refused  string // why this plugin is refused
}

const (
	helloTime   = 20 * time.Second // from the start of a process to its first heartbeat
	silentFor   = 3                // intervals without a heartbeat that make a plugin hang
	silentLeast = 15 * time.Second
)

// run keeps the process running until it is stopped.
func (e *entry) run(ctx context.Context) {
	if err := e.child.Run(ctx); err != nil {
		e.host.log.Error("plugin cannot be run", "plugin", e.conf.Name, "error", err)
	}
}

// changed follows the process: a new one introduces itself anew.
func (e *entry) changed(s supervise.Status) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s.PID != 0 && s.PID != e.pid {
		e.pid, e.begun, e.arrived = s.PID, time.Now(), time.Time{}
		e.last, e.refused = telemetry.Heartbeat{}, ""
	}
}

// drain asks the plugin to finish what it holds and end.
func (e *entry) drain(ctx context.Context) error {
	_, err := e.ask(ctx, "drain", askTime)
	return err
}

// excuse starts the plugin's silence anew: it was not its own.
func (e *entry) excuse(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.arrived.IsZero() {
		e.arrived = now
	}
	if !e.begun.IsZero() {
		e.begun = now
	}
}

// hangs returns why the process has to be replaced, "" when it has not.
func (e *entry) hangs(now time.Time) string {
	state := e.child.Status().State
	e.mu.Lock()
	defer e.mu.Unlock()
	if state != supervise.Running || e.refused != "" { // the next process would be refused too
		return ""
	}
	silent := max(silentFor*time.Duration(e.last.IntervalMS)*time.Millisecond, silentLeast)
	switch {
	case e.arrived.IsZero() && now.Sub(e.begun) > helloTime:
		return fmt.Sprintf("no heartbeat within %v of its start", helloTime)
	case !e.arrived.IsZero() && now.Sub(e.arrived) > silent:
		return fmt.Sprintf("no heartbeat for %v", silent)
	}
	if slices.Contains(e.last.Flags, "hung") {
		return "a call does not come back"
	}
	return ""
}

// status puts together what process and heartbeats say.
func (e *entry) status(host string) telemetry.PluginStatus {
	child := e.child.Status()
	usage, _ := e.child.Usage() // without a process there is none
	e.mu.Lock()
	defer e.mu.Unlock()
	s := telemetry.PluginStatus{
		Name: e.conf.Name, Kind: e.conf.Kind, Program: e.program(), Host: host, State: string(child.State),
		Reason: child.Reason, Since: child.Since.UnixNano(), PID: int64(child.PID), Restarts: uint64(child.Restarts),
		RSS: uint64(usage.RSS), CPUMS: uint64(usage.CPU.Milliseconds()), Config: e.last.ConfigRev, Stats: e.last.Stats,
	}
	if e.manifest != nil {
		s.Version = e.manifest.Version
	}
	if !e.arrived.IsZero() {
		s.Beat = e.arrived.UnixNano()
	}
	if child.State != supervise.Running {
		return s
	}
	switch {
	case e.refused != "":
		s.State, s.Reason = "refused", e.refused
	case e.arrived.IsZero() || e.last.State == "":
		s.State = string(supervise.Starting)
	default:
		s.State = e.last.State
		if (e.last.State != "running" || slices.Contains(e.last.Flags, "failing")) && e.last.Error != nil {
			s.Reason = e.last.Error.Message
		}
	}
	return s
}

// program returns what the plugin runs, as the config says it.
func (e *entry) program() string {
	if e.conf.Program != "" {
		return e.conf.Program
	}
	return e.conf.Run[0]
}
