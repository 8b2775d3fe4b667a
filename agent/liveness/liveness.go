// Package liveness tells who is alive by the heartbeats that arrive.
package liveness

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// An Instant is a moment of the watcher. Verdicts use Mono alone; Wall is for people and for clock steps.
type Instant struct {
	Mono time.Duration // monotonic, since the watcher began
	Wall time.Time
}

// Order says what a beat was against those before it.
type Order string

// The orders of a beat. Only a Fresh one changes a state.
const (
	Fresh     Order = "fresh"
	Late      Order = "late"      // an older one of the same instance came after a newer
	Duplicate Order = "duplicate" // came twice
	Retired   Order = "retired"   // of an instance that was replaced; Heard.Reason is conflict when it plainly lives on
	Refused   Order = "refused"   // see Heard.Reason
)

// Reasons of a refusal, for Ack.Reason.
const (
	ReasonNameTaken  = "name_taken"  // one started by hand, while another beats
	ReasonConflict   = "conflict"    // of a cloned or restored state folder
	ReasonBusy       = "busy"        // too many unknown hosts
	ReasonNotAllowed = "not_allowed" // an id that is empty or too long
)

// Heard is what became of a beat.
type Heard struct {
	Order   Order
	Reason  string // of a refusal
	Gen     uint64 // highest known of the host, also for a refused beat: Ack.Gen
	Peer    Peer   // after it; zero when the beat was refused
	Changes []Change
}

// Types of changes, which are types of events.
const (
	TypeUp          = "up"
	TypeOverdue     = "overdue"
	TypeDown        = "down"
	TypeLeft        = "left"
	TypeRestarted   = "restarted"
	TypeRebooted    = "rebooted"
	TypeRenamed     = "renamed"
	TypeConflict    = "conflict"
	TypeFlapping    = "flapping"
	TypeMaintenance = "maintenance"
	TypeClockStep   = "clock_step"
	TypeClockSkew   = "clock_skew"
	TypeMass        = "mass_overdue"
	TypeForgotten   = "forgotten"
	TypeUnknown     = "unknown_hosts"
)

// Reasons of states, besides those that a goodbye brings.
const (
	ReasonDisconnected = "disconnected"           // DOWN: nobody listens there
	ReasonSilent       = "silent"                 // DOWN: nobody answers
	ReasonNotSeen      = "not_seen_since_restart" // DOWN: not heard since the watcher began
	ReasonUpgrade      = "upgrade"                // LEFT for it, or DOWN because it did not come back
	ReasonProbe        = "probe"                  // UP: it does not beat, but it answers
	ReasonResumed      = "resumed"                // UP: it was suspended
	ReasonSelf         = "self"                   // UNKNOWN: the watcher is cut off; also of a change that is its own fault
	ReasonBegun        = "begun"                  // of flapping and maintenance
	ReasonEnded        = "ended"                  // of flapping and maintenance
)

// A Change is something that an operator may want to know: of a state, or another event of the watched.
type Change struct {
	Host     string // "": about the watcher or several of the watched
	Type     string // TypeUp ...
	From, To string // states; equal for what is no transition
	Reason   string // of To
	Message  string // one sentence
	At       Instant
	LastSeen time.Duration // age of the last beat; of the one before, when a beat brought the host back
	Missed   uint64        // beats missed meanwhile
	Count    uint64        // of hosts, for mass_overdue, unknown_hosts and a clock_skew of the watcher's own
	Incident string        // joins the changes of one cause
	Silenced bool          // flapping or maintenance: to be recorded, not to be alerted on
}

// Flags of the watched.
const (
	FlagConflict    = "conflict"
	FlagEphemeral   = "ephemeral"
	FlagFlapping    = "flapping"
	FlagMaintenance = "maintenance"
	FlagSlow        = "slow"
	FlagWarmUp      = "warmup"
)

// Peer is what a Watch knows of one watched; a copy, whose slices and maps are not to be changed.
type Peer struct {
	Host, Name, State, Reason string
	Inst                      string // of the instance whose beats count
	From                      string // state before
	Since                     time.Time
	Changed                   uint64 // counts changes of State
	Stable                    bool
	Flags                     []string            // FlagConflict ...; sorted
	Last                      telemetry.Heartbeat // the newest fresh one, without Manifest and Inventory; zero: none since the watcher began
	Arrived                   Instant             // of it
	Seen                      time.Time           // of the last beat, also of before a restart
	Received, Lost            uint64              // of this instance
	AckLost                   uint64              // answers that this instance has missed since its first beat here
	Late, Duplicate, Retired  uint64
	Saved                     uint64  // times a probe found it alive
	Gen                       uint64  // highest known
	Rivals                    []Rival // others that beat under its id
	Aliases                   []string
	Incident                  string
	Until                     time.Time // end of maintenance
}

// Rival is another instance that beats under the id of a watched, shown as <id>~<inst>.
type Rival struct {
	Inst, Name string
	Seen       time.Time
}

// Self is how the watcher itself is at a sweep.
type Self struct {
	Connected bool // to the bus, since the sweep before too
	Behind    bool // more than one interval's worth of beats waits to be taken
	Bus       bool // a ping of the bus came back, as far as one was sent
}

// An Outcome is what came of a probe.
type Outcome string

// The outcomes of a probe, a direct question to one that is OVERDUE.
const (
	Alive        Outcome = "alive"
	Disconnected Outcome = "disconnected" // nobody listens there
	Silent       Outcome = "silent"       // somebody listens, nobody answers
	Unclear      Outcome = "unclear"      // the question could not be asked
)
