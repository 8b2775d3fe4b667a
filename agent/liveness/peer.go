package liveness

import (
	"slices"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// never is a moment that does not come.
const never = time.Duration(1<<63 - 1)

// A peer is one watched. All moments are monotonic times of the watcher; those of before it began are negative.
type peer struct {
	host string
	slot int // in Watch.peers and Watch.due

	state, was, reason string
	since              time.Time
	changed            uint64

	track    Track
	inst     string // whose beats count
	gen      uint64 // highest known
	retired  []string
	rivals   []rival
	interval time.Duration // of its beats
	least    time.Duration // interval that it had before it was asked for a longer one
	rate     int64         // beats in a million seconds that it is good for, while it is UP or OVERDUE

	from   time.Duration // from when its silence is counted: beat, answer to a probe, restart, record of another hub
	gap    time.Duration // between the last beat and the one before
	beaten bool          // by a fresh beat since the watcher began
	fresh  bool          // one came that no verdict has looked at
	warm   bool          // restored, and not heard since
	beats  int           // since it was DOWN or new, up to Rules.Stable
	seen   time.Time     // last beat
	last   telemetry.Heartbeat

	name    string
	aliases []string
	renamed time.Duration // 0: never
	told    told

	probe      probe
	saved      uint64
	oldBeats   uint64 // of retired instances
	held       time.Duration
	incident   string
	flaps      Flaps
	unseen     bool          // not heard since the restart, and judged for it
	until      time.Time     // end of maintenance
	quietUntil time.Duration // the same; 0: none
	ephemeral  bool
	missesAcks bool
	acksBefore uint64 // answers that it had missed by its first beat here
	clock      clock
}

// told is what operators know of a peer besides its state. What is and what they know is compared, so that a watcher that takes
// over, or begins anew, tells the difference and nothing twice.
type told struct {
	inst, boot, name string
	conflict         bool
	at               time.Duration // when there was last a sign of the conflict
}

// probe is how far the question is whether an OVERDUE one lives.
type probe struct {
	begun   bool
	first   time.Duration // question
	open    bool          // asked, no outcome yet
	at      time.Duration // of the question or its outcome
	outcome Outcome
	silent  int // tries without an answer
}

// settled reports whether a DOWN may rest on the outcome.
func (q *probe) settled() bool {
	return q.outcome == Disconnected || q.outcome == Silent && q.silent >= probeSilent
}

// vain is for how long nothing came of asking.
func (q *probe) vain(now time.Duration) time.Duration {
	if !q.begun || q.settled() {
		return 0
	}
	return now - q.first
}

// alive reports whether p is thought to live.
func (p *peer) alive() bool { return p.state == telemetry.HostUp || p.state == telemetry.HostOverdue }

// ended reports whether p does not beat as far as known, so that another instance may.
func (p *peer) ended() bool { return p.state == telemetry.HostDown || p.state == telemetry.HostLeft }

// bits of the flags, in the order of their names.
const (
	bitConflict = 1 << iota
	bitEphemeral
	bitFlapping
	bitMaintenance
	bitSlow
	bitWarmUp
	allBits
)

var flagNames = [...]string{FlagConflict, FlagEphemeral, FlagFlapping, FlagMaintenance, FlagSlow, FlagWarmUp}

// flagSets makes the list of names of each combination, so that none is made for each beat.
func flagSets() [][]string {
	sets := make([][]string, allBits)
	for set := 1; set < allBits; set++ {
		for n, name := range flagNames {
			if set&(1<<n) != 0 {
				sets[set] = append(sets[set], name)
			}
		}
		sets[set] = slices.Clip(sets[set])
	}
	return sets
}

func (p *peer) bits() int {
	bits := 0
	set := func(bit int, is bool) {
		if is {
			bits |= bit
		}
	}
	set(bitConflict, p.contested())
	set(bitEphemeral, p.ephemeral)
	set(bitFlapping, p.flaps.damped)
	set(bitMaintenance, p.quietUntil != 0)
	set(bitSlow, p.slow())
	set(bitWarmUp, p.warm)
	return bits
}

// slow reports whether p lives, and not well: its acknowledgements come late or not at all, it has more to do than it can, or it
// answers without beating.
func (p *peer) slow() bool {
	if !p.alive() || p.warm {
		return false
	}
	cpus := p.last.Load["cpus"]
	return p.missesAcks || p.last.RTTUS >= time.Second.Microseconds() || cpus > 0 && p.last.Load["load1"] > 4*cpus ||
		p.reason == ReasonProbe && p.state == telemetry.HostUp
}

// peerOf copies what is known of p. It allocates for rivals alone.
func (w *Watch) peerOf(p *peer) Peer {
	v := Peer{
		Host: p.host, Inst: p.inst, Name: p.name, State: p.state, Reason: p.reason, From: p.was, Since: p.since, Changed: p.changed,
		Stable: p.alive() && p.beats >= w.rules.Stable, Flags: w.flags[p.bits()], Last: p.last, Seen: p.seen,
		Received: p.track.Received, Lost: p.track.Lost, AckLost: p.last.AckLost - min(p.acksBefore, p.last.AckLost), Late: p.track.Late, Duplicate: p.track.Duplicate, Retired: p.oldBeats,
		Saved: p.saved, Gen: p.gen, Aliases: p.aliases, Incident: p.incident, Until: p.until,
	}
	if p.beaten {
		v.Arrived = Instant{p.track.Heard, p.seen}
	}
	for _, r := range p.rivals {
		v.Rivals = append(v.Rivals, r.Rival)
	}
	return v
}
