package host

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/pacewire/pacewire/agent/supervise"
	"github.com/pacewire/pacewire/telemetry"
)

// The states of a plugin, as others see them. DESIGN.md draws how one follows from another.
const (
	starting   = "starting"    // its process runs and has not been heard
	introduced = "introduced"  // it has said hello, and makes its work ready
	ready      = "ready"       // it could work, and waits for who works now
	running    = "running"     // it works
	idle       = "idle"        // it works, and finds nothing to do here
	draining   = "draining"    // it finishes what it has
	stopping   = "stopping"    // it is made to end
	backingOff = "backing_off" // it ended, and is started again in a while
	failed     = "failed"      // it is not started again, or cannot do its work
	refused    = "refused"     // the agent does not want it
	stopped    = "stopped"     // nobody wants it to run
	awaited    = "awaited"     // somebody else is to start it
	lost       = "lost"        // somebody else has started it, and it is silent
)

// state returns what the instance is at now, and why. The caller has the lock of the entry.
func (i *instance) state(now time.Time) (state, reason string) { return i.stateOf(i.process(), now) }

// process is the process as it is now. Of one that somebody else starts nothing is known.
func (i *instance) process() supervise.Status {
	if i.attached() {
		return supervise.Status{}
	}
	return i.child.Status()
}

// stateOf is state for a process that was looked at: it may have ended by now, and who tells of both must not mix them.
func (i *instance) stateOf(child supervise.Status, now time.Time) (state, reason string) {
	if i.attached() {
		return i.attachedState(now)
	}
	switch child.State {
	case supervise.Running:
		if child.PID != i.pid { // so new that what was told is of the one before
			return starting, ""
		}
		return i.told()
	case supervise.Starting:
		return starting, child.Reason
	case supervise.BackingOff:
		return backingOff, child.Reason
	case supervise.Failed:
		if i.refused != "" {
			return refused, i.refused
		}
		return failed, child.Reason
	case supervise.Stopping:
		if i.last.State == draining {
			return draining, child.Reason
		}
		return stopping, child.Reason
	}
	if i.stopped == agentEnds {
		return stopped, "" // it is the agent's last word, and no news
	}
	return stopped, cmp.Or(i.stopped, child.Reason)
}

// attachedState is the state of a plugin that somebody else starts.
func (i *instance) attachedState(now time.Time) (state, reason string) {
	switch {
	case i.stopped != "":
		return stopped, i.stopped
	case i.arrived.IsZero() && i.refused != "":
		return refused, i.refused
	case i.arrived.IsZero():
		return awaited, fmt.Sprintf(`somebody else starts it: eval "$(pacewire plugin env %s)" in its shell`, i.entry.name)
	case i.last.Bye != "":
		return stopped, "it said goodbye: " + i.last.Bye
	case now.Sub(i.arrived) > i.silence():
		return lost, fmt.Sprintf("no heartbeat for %v", now.Sub(i.arrived).Truncate(time.Second))
	}
	return i.told()
}

// told is what the plugin itself says of its state.
func (i *instance) told() (state, reason string) {
	h := i.last
	switch {
	case i.refused != "":
		return refused, i.refused
	case i.arrived.IsZero():
		return starting, ""
	case h.State == "" || h.State == starting:
		return introduced, ""
	}
	if h.Error != nil && (h.State == failed || slices.Contains(h.Flags, "failing")) {
		return h.State, h.Error.Message
	}
	if found := troubles(h.Flags); len(found) > 0 {
		return h.State, found[0].text
	}
	if slices.Contains(h.Flags, telemetry.FlagStandby) {
		return h.State, standsBy
	}
	return h.State, ""
}

// standsBy is why a process that works reads nothing. Nothing is wrong with that.
const standsBy = "stands by while another process reads: order: source"

// A trouble is a flag that says why not all that a plugin makes, or wants to read, gets through.
type trouble struct{ flag, text string }

// troubles returns those among the flags of a heartbeat, the worst first.
func troubles(flags []string) (found []trouble) {
	for _, t := range []trouble{
		{telemetry.FlagStorageFull, "the bus has no room: points wait"},
		{telemetry.FlagOverflow, "points are dropped: the bus does not take them, and the queue is full"},
		{telemetry.FlagUnread, "batches were dropped by the stream before they were read"},
		{telemetry.FlagFlood, "points are dropped: more a second than max_rate allows"},
		{telemetry.FlagRefused, "points are refused, and kept by their senders: more a second than max_rate allows"},
		{telemetry.FlagSeries, "points are dropped: of more series than max_series allows"},
	} {
		if slices.Contains(flags, t.flag) {
			found = append(found, t)
		}
	}
	return found
}

// silence is how long the plugin may be silent.
func (i *instance) silence() time.Duration {
	return max(silentFor*time.Duration(i.last.IntervalMS)*time.Millisecond, silentLeast)
}

// health says how far a process has come on its way to work: ready or working, or why it will do neither.
type health struct {
	ready, works bool
	err          error
}

// health returns how the instance does. The caller has the lock of the entry.
func (i *instance) health() health {
	if i.refused != "" {
		return health{err: fmt.Errorf("it is refused: %s", i.refused)}
	}
	if i.attached() {
		return i.toldHealth()
	}
	child := i.child.Status()
	if child.State == supervise.Stopped && !i.ended() {
		return health{} // it is about to begin
	}
	if child.State != supervise.Running && child.State != supervise.Starting {
		return health{err: fmt.Errorf("its process ended: %s", cmp.Or(child.Reason, child.LastExit.String()))}
	}
	return i.toldHealth()
}

// toldHealth is how the plugin says it does.
func (i *instance) toldHealth() health {
	h := i.last
	switch {
	case slices.Contains(h.Flags, "hung"):
		return health{err: fmt.Errorf("a call does not come back")}
	case h.State == failed:
		return health{err: fmt.Errorf("it has failed: %s", message(h.Error))}
	case h.Error != nil && h.Error.Code == configInvalid && h.ConfigRev != i.plan.rev && i.faultTime().After(i.planned):
		return health{err: fmt.Errorf("it cannot use its config: %s", h.Error.Message)}
	case h.State == ready:
		return health{ready: true}
	}
	works := h.ConfigRev == i.plan.rev && (h.State == running || h.State == idle)
	return health{ready: works, works: works}
}

// faultTime is when the error came up that the plugin told last.
func (i *instance) faultTime() time.Time {
	return i.arrived.Add(-time.Duration(i.last.Error.AgeMS) * time.Millisecond)
}

// configInvalid is the class of the error of a plugin that cannot use the config it was given.
const configInvalid = "config_invalid"

func message(f *telemetry.Fault) string {
	if f == nil {
		return "it does not say why"
	}
	return f.Message
}
