// Package liveness tells who is alive by the heartbeats that arrive.
package liveness

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Rules are the limits by which a Watch judges. Defaults are those of DefaultRules.
type Rules struct {
	Overdue, Down           float64       // multiples of the interval of the watched: 2.5, 4
	OverdueLeast, DownLeast time.Duration // floors of both limits: 5 s, 15 s
	Spread                  time.Duration // over which the watched come back after the bus was away: 20 s; Down is twice that at least
	WarmUp                  time.Duration // after a restart, besides the Down limit of each: 20 s
	Stall                   time.Duration // gap between two sweeps above which the watcher blames itself: 2.5 s
	MassShare               float64       // of those that are UP, overdue within one interval: one incident, 0.2
	MassLeast               int           // and so many: 3
	MassHold                time.Duration // for which their DOWN is held back: 30 s
	Upgrade                 time.Duration // after the goodbye "upgrade", until DOWN: 120 s
	Stable                  int           // beats after DOWN until UP counts as stable: 3

	ForgetLeft time.Duration // LEFT or ephemeral: 1 h
	ForgetDown time.Duration // DOWN: 7 d; 0: never

	Most     int     // watched at most: 100,000
	NewBurst int     // unknown ones admitted at once: 5,000
	NewRate  float64 // and per second: 50
}

// DefaultRules are those of liveness in the operator's documentation (docs/liveness.md).
func DefaultRules() Rules {
	return Rules{
		Overdue: 2.5, Down: 4, OverdueLeast: 5 * time.Second, DownLeast: 15 * time.Second, Spread: 20 * time.Second,
		WarmUp: 20 * time.Second, Stall: 2500 * time.Millisecond, MassShare: 0.2, MassLeast: 3, MassHold: 30 * time.Second,
		Upgrade: 120 * time.Second, Stable: 3, ForgetLeft: time.Hour, ForgetDown: 7 * 24 * time.Hour,
		Most: 100_000, NewBurst: 5_000, NewRate: 50,
	}
}

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
	Retired   Order = "retired"   // of an instance that was replaced
	Refused   Order = "refused"   // see Heard.Reason
)

// Heard is what became of a beat.
type Heard struct {
	Order   Order
	Reason  string // of a refusal, as Ack.Reason: name_taken, conflict, or busy (too many unknown hosts)
	Peer    Peer   // after it; zero when the beat was refused
	Changes []Change
}

// A Change is something that an operator may want to know: of a state, or another event of the watched.
type Change struct {
	Host     string
	Type     string // event type: up, overdue, down, left, restarted, rebooted, renamed, conflict, flapping, clock_step, clock_skew, mass_overdue, forgotten, unknown_hosts
	From, To string // states; equal for what is no transition
	Reason   string // of To
	Message  string // one sentence
	At       Instant
	LastSeen time.Duration // age of the last beat
	Missed   uint64        // beats missed meanwhile
	Count    uint64        // of hosts, for mass_overdue and unknown_hosts
	Incident string        // joins the changes of one cause
	Silenced bool          // flapping or maintenance: to be recorded, not to be alerted on
}

// Peer is what a Watch knows of one watched; a copy.
type Peer struct {
	Host, Name, State, Reason string
	From                      string // state before
	Since                     time.Time
	Changed                   uint64 // counts changes of State
	Stable                    bool
	Flags                     []string            // flapping, conflict, maintenance, ephemeral, slow, warmup; sorted
	Last                      telemetry.Heartbeat // the newest fresh one, without Manifest and Inventory; zero: none since the watcher began
	Arrived                   Instant             // of it
	Seen                      time.Time           // of the last beat, also of before a restart
	Received, Lost            uint64              // of this instance
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
