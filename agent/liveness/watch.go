package liveness

import (
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A Watch holds all that are watched. It is not safe for concurrent use, does no I/O and asks no clock.
type Watch struct {
	rules Rules
}

// New returns a Watch that begins at now and speaks.
func New(r Rules, now Instant) *Watch { return &Watch{rules: r} }

// Speak says whether the Watch gives verdicts. One that does not hears all the same and takes over by Adopt what another
// says: when it begins to speak it needs no warm-up.
func (w *Watch) Speak(speaks bool, now Instant) {}

// Speaks reports whether it does.
func (w *Watch) Speaks() bool { return false }

// Hear takes a beat that arrived at now.
func (w *Watch) Hear(b telemetry.Heartbeat, now Instant) Heard { return Heard{} }

// Sweep judges everybody; it is called each second. It returns what has changed, and whom to probe: each gets one Probed.
func (w *Watch) Sweep(self Self, now Instant) (changes []Change, probe []string) { return nil, nil }

// Probed tells the outcome of a probe.
func (w *Watch) Probed(host string, o Outcome, now Instant) []Change { return nil }

// Restore takes what was known before a restart, once, before the first beat. down is how long nobody watched.
func (w *Watch) Restore(records []telemetry.HostRecord, down time.Duration, now Instant) {}

// Adopt takes over what the hub that speaks has recorded of a host.
func (w *Watch) Adopt(r telemetry.HostRecord, now Instant) {}

// Record returns what is to be remembered of a host, without Term, Event and Items.
func (w *Watch) Record(host string) (telemetry.HostRecord, bool) {
	return telemetry.HostRecord{}, false
}

// Peer returns what is known of a host.
func (w *Watch) Peer(host string) (Peer, bool) { return Peer{}, false }

// Hosts calls f for each host, in no order, until f returns false. f must not call the Watch.
func (w *Watch) Hosts(f func(Peer) bool) {}

// Len returns how many are watched.
func (w *Watch) Len() int { return 0 }

// Blind reports why no verdict is given at now: "" when they are given.
func (w *Watch) Blind(now Instant) string { return "" }

// Silence begins maintenance of a host until a time, or ends it with the zero time.
func (w *Watch) Silence(host string, until time.Time, now Instant) []Change { return nil }

// Forget drops a host; its next beat makes it a new one.
func (w *Watch) Forget(host string, now Instant) []Change { return nil }

// Counts are events that are nobody's state: refused beats by reason, stalls, probes by outcome.
func (w *Watch) Counts() map[string]uint64 { return nil }

// Interval returns the interval that the watched should beat at so that no more than most beats come in a second: the present one
// of b while that holds.
func (w *Watch) Interval(b telemetry.Heartbeat, most float64) time.Duration { return 0 }
