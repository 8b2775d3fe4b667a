package host

import (
	"fmt"
	"slices"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

const (
	awayAfter   = 30 * time.Second // that a publisher delivers nothing, though something waits
	letterStays = 90 * time.Second // its flag, after a dead letter
)

// A tally is a count of a process, which begins anew with each.
type tally struct {
	inst string
	n    uint64
	at   time.Time // when it rose last; zero: not since this agent began
}

// see takes a count, and returns by how much it has risen. What a process that is older than the agent had counted by then is no rise.
func (t *tally) see(inst string, n uint64, old bool, now time.Time) (more uint64) {
	switch {
	case t.inst == inst:
	case old:
		t.n = n
	default:
		t.n = 0
	}
	t.inst = inst
	more, t.n = n-min(n, t.n), n
	if more > 0 {
		t.at = now
	}
	return more
}

// A sink is how a plugin gets on with what takes its points, and what it has lost.
type sink struct {
	done    tally // batches that are delivered, or set aside
	letters tally // batches that are set aside
	moved   time.Time
	away    time.Time // since when nothing is delivered, once that is told; zero: all is well
	untold  uint64    // letters
	told    time.Time
	losses  map[string]*tally // points that were dropped or refused, by reason, and what was sent again late
}

// lookAtSink notes how the plugin gets on, and tells when its sink is away, is back, or has refused batches for good.
func (e *entry) lookAtSink(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i, d := e.front(), &e.sink
	s := i.last.Stats
	if s == nil {
		return
	}
	old := time.Duration(i.last.UpMS)*time.Millisecond > now.Sub(e.host.begun)
	d.lose(*s, i.last.Inst, old, now)
	d.untold += d.letters.see(i.last.Inst, s.Dead, old, now)
	e.tellLetters(now)
	if i.plan.conf.Kind == config.Publisher {
		moves := d.done.see(i.last.Inst, s.BatchesOut+s.Dead, old, now) > 0
		fails := flagged(i.last.Flags, "failing") || flagged(i.last.Flags, "hung")
		e.deliver(moves || e.backlog == 0, fails, now)
	}
}

// lose notes when the plugin has lost points for which reason, or may have sent some twice.
func (d *sink) lose(s telemetry.Stats, inst string, old bool, now time.Time) {
	if d.losses == nil {
		d.losses = map[string]*tally{}
	}
	for _, counts := range []map[string]uint64{s.Dropped, s.Refused, {telemetry.LossLate: s.LateResent}} {
		for reason, n := range counts {
			if d.losses[reason] == nil {
				d.losses[reason] = &tally{}
			}
			d.losses[reason].see(inst, n, old, now)
		}
	}
}

// deliver notes whether something has moved since the last look, and tells when nothing has for too long and the plugin says that its
// calls fail, or something does again. The caller has the lock.
func (e *entry) deliver(moves, fails bool, now time.Time) {
	d := &e.sink
	works := e.shown.state == running && !e.standsBy() // what waits is for who reads
	if moves || !works || d.moved.IsZero() {
		if moves && !d.away.IsZero() {
			e.tellSink(telemetry.EventSinkUp, fmt.Sprintf("publisher %s: its sink is back after %v", e.name, now.Sub(d.away).Round(time.Second)), now)
			d.away = time.Time{}
		}
		d.moved = now
		return
	}
	if d.away.IsZero() && fails && now.Sub(d.moved) >= awayAfter {
		d.away = d.moved
		e.tellSink(telemetry.FlagSinkDown, fmt.Sprintf("publisher %s: %s; it tries on, with %s before it", e.name, e.sinkTrouble(now), batchesOf(e.backlog)), now)
	}
}

// standsBy reports whether another process of the plugin reads. The caller has the lock.
func (e *entry) standsBy() bool { return slices.Contains(e.front().last.Flags, telemetry.FlagStandby) }

// sinkTrouble says that nothing is delivered, and why. The caller has the lock.
func (e *entry) sinkTrouble(now time.Time) string {
	return fmt.Sprintf("nothing is delivered for %v: %s", now.Sub(e.sink.away).Round(time.Second), message(e.front().last.Error))
}

// tellSink tells what happens to the sink. The caller has the lock.
func (e *entry) tellSink(what, text string, now time.Time) {
	e.host.inventory.stirs(e.name)
	e.announce(telemetry.Event{Time: now.UnixNano(), Type: what, From: e.shown.state, To: e.shown.state, Message: text, Reason: message(e.front().last.Error)})
}

// tellLetters tells of dead letters, now and then. The caller has the lock.
func (e *entry) tellLetters(now time.Time) {
	d := &e.sink
	if d.untold == 0 || now.Sub(d.told) < letterEvery {
		return
	}
	e.host.inventory.stirs(e.name)
	why := message(e.front().last.Error)
	e.announce(telemetry.Event{Time: now.UnixNano(), Type: telemetry.FlagLetter, From: e.shown.state, To: e.shown.state, Reason: why, Count: d.untold,
		Message: fmt.Sprintf("%s %s has set aside %s: %s; pacewire dead list --plugin %s shows them", e.now.plan.conf.Kind, e.name, batchesOf(d.untold), why, e.plugin)})
	d.untold, d.told = 0, now
}

// batchesOf writes a number of batches.
func batchesOf(n uint64) string { return amount.Of(n, "batch", "batches") }

// addSink tells of the sink: that it is away, that it refuses for good, and when points were lost. The caller has the lock.
func (e *entry) addSink(s *telemetry.PluginStatus, now time.Time) {
	d := &e.sink
	for reason, t := range d.losses {
		if !t.at.IsZero() {
			s.NoteLoss(reason, t.at)
		}
	}
	if s.State != running {
		return
	}
	if !d.away.IsZero() && !e.standsBy() {
		s.Flags, s.Reason = append(s.Flags, telemetry.FlagSinkDown), e.sinkTrouble(now)
	}
	if at := d.letters.at; !at.IsZero() && (now.Sub(at) < letterStays || slices.Contains(e.front().last.Flags, "failing")) {
		s.Flags = append(s.Flags, telemetry.FlagLetter)
		if s.Reason == "" {
			s.Reason = fmt.Sprintf("it sets batches aside: %s", message(e.front().last.Error))
		}
	}
}
