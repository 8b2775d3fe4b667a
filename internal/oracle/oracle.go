// Package oracle compares what a pipeline has acknowledged with what it has delivered.
//
// Sources take numbered batches from it whose bytes follow from their numbers. An acknowledgement makes a batch an obligation,
// nothing else does: who counts what was sent instead reports losses that nobody has promised to avoid.
package oracle

import (
	"bytes"
	"slices"
	"sync"
	"time"
)

// An Oracle knows what was issued, acknowledged and delivered. All its methods may be called at once.
type Oracle struct {
	mu        sync.Mutex
	tracks    map[identity]*track
	ledger    []debt // acknowledged, in that order
	paid      int    // of the ledger, from its begin: delivered or set aside
	frozen    bool
	invented  int
	altered   int
	acked     int // points
	arrived   int // different points
	acks      Gap
	arrivals  Gap
	scratch   []byte
	firstSeen map[string]string // samples of what was wrong, by kind
	twin      *Oracle           // is owed the same
}

// identity names a source in one of its lives.
type identity struct {
	host string
	boot int
}

// A track is what is known of the points of one life of a source, by number.
type track struct {
	id        identity
	base      int64 // time of the first point, in nanoseconds
	state     []state
	highest   int // that was delivered
	reordered int
}

// state is that of a point: how often it was delivered, in its low bits, and what else is known of it.
type state uint8

const (
	times        state = 0x3f // of deliveries; more are not told apart
	acknowledged state = 0x40
	buried       state = 0x80
)

// debt is a batch that was acknowledged.
type debt struct {
	track    *track
	from, to int
}

// New returns an oracle that knows nothing yet.
func New() *Oracle {
	return &Oracle{tracks: map[identity]*track{}, firstSeen: map[string]string{}}
}

// A Source issues the points of one host in one of its lives. It belongs to one goroutine.
type Source struct {
	oracle *Oracle
	track  *track
	twin   *Source
}

// Source returns the source of a host in a life; boot tells its lives apart.
func (o *Oracle) Source(host string, boot int) *Source { return o.SourceAt(host, boot, baseTime) }

// SourceAt is Source whose points begin at a time, in nanoseconds.
func (o *Oracle) SourceAt(host string, boot int, base int64) *Source {
	o.mu.Lock()
	defer o.mu.Unlock()
	id := identity{host, boot}
	if o.tracks[id] == nil {
		o.tracks[id] = &track{id: id, base: base, highest: -1}
	}
	s := &Source{oracle: o, track: o.tracks[id]}
	if o.twin != nil {
		s.twin = o.twin.Source(host, boot)
	}
	return s
}

// A Batch is points that were issued together.
type Batch struct {
	oracle *Oracle
	debt
	twin *Batch
}

// Issue gives out the next n points.
func (s *Source) Issue(n int) Batch {
	s.oracle.mu.Lock()
	defer s.oracle.mu.Unlock()
	from := len(s.track.state)
	s.track.state = append(s.track.state, make([]state, n)...)
	b := Batch{oracle: s.oracle, debt: debt{s.track, from, from + n}}
	if s.twin != nil {
		twin := s.twin.Issue(n)
		b.twin = &twin
	}
	return b
}

// Lines appends the points of the batch as line protocol.
func (b Batch) Lines(to []byte) []byte {
	for seq := b.from; seq < b.to; seq++ {
		to = append(b.track.appendLine(to, seq), '\n')
	}
	return to
}

// Acknowledged says that the pipeline has taken the batch: from now on it owes it.
func (b Batch) Acknowledged() {
	if b.twin != nil {
		b.twin.Acknowledged()
	}
	o := b.oracle
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.frozen {
		return
	}
	for i := b.from; i < b.to; i++ {
		b.track.state[i] |= acknowledged
	}
	o.acked += b.to - b.from
	o.ledger = append(o.ledger, b.debt)
	o.acks.Came(time.Now())
}

// Freeze ends the obligations: what is acknowledged later is nobody's debt.
func (o *Oracle) Freeze() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.frozen = true
}

// Delivered notes points, as line protocol, that a sink has taken.
func (o *Oracle) Delivered(text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fresh := false
	for line := range lines(text) {
		t, seq := o.find(line)
		if t == nil {
			continue
		}
		switch at := &t.state[seq]; {
		case *at&times == 0:
			fresh = true
			o.arrived++
			*at++
			if seq < t.highest {
				t.reordered++
			}
		case *at&times < times:
			*at++
		}
		t.highest = max(t.highest, seq)
	}
	if fresh {
		o.arrivals.Came(time.Now())
	}
}

// Buried notes points, as line protocol, that were set aside by name: as dead letters, with a reason. They are not lost.
func (o *Oracle) Buried(text []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for line := range lines(text) {
		if t, seq := o.find(line); t != nil {
			t.state[seq] |= buried
		}
	}
}

// find returns whose point a line is; nil when it was never issued, or is no longer what was issued.
func (o *Oracle) find(line []byte) (t *track, seq int) {
	id, seq, ok := parse(line)
	if t = o.tracks[id]; !ok || t == nil || seq >= len(t.state) {
		o.invented++
		o.sample("invented", line)
		return nil, 0
	}
	if o.scratch = t.appendLine(o.scratch[:0], seq); !bytes.Equal(line, o.scratch) {
		o.altered++
		o.sample("altered", line)
		return nil, 0
	}
	return t, seq
}

// sample keeps the first line of each kind that was wrong.
func (o *Oracle) sample(kind string, line []byte) {
	if o.firstSeen[kind] == "" {
		o.firstSeen[kind] = string(line[:min(len(line), 200)])
	}
}

// Obligations returns how many batches were acknowledged so far: a mark for Settled.
func (o *Oracle) Obligations() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.ledger)
}

// Settled reports whether the first so many acknowledged batches have been delivered.
func (o *Oracle) Settled(obligations int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.paid < len(o.ledger) && o.ledger[o.paid].settled() {
		o.paid++
	}
	return o.paid >= obligations
}

func (d debt) settled() bool {
	return !slices.ContainsFunc(d.track.state[d.from:d.to], func(s state) bool { return s&(times|buried) == 0 })
}

// Arrived returns how many different points were delivered so far.
func (o *Oracle) Arrived() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.arrived
}

// Acked returns how many points were acknowledged so far.
func (o *Oracle) Acked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.acked
}

// Restart forgets the gaps so far: what was silent until now was meant to be.
func (o *Oracle) Restart() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acks, o.arrivals = Gap{}, Gap{}
}

// Gaps returns the longest times without an acknowledgement and without a new point at the sink, up to now: a gap that has not
// ended counts too.
func (o *Oracle) Gaps() (acks, arrivals time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	return o.acks.Longest(now), o.arrivals.Longest(now)
}

// Delivers reports whether all that was acknowledged after the first so many batches has been delivered, whatever became of those.
func (o *Oracle) Delivers(after int) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return after < len(o.ledger) && !slices.ContainsFunc(o.ledger[after:], func(d debt) bool { return !d.settled() })
}

// Owed gives f each point that was acknowledged, as a line without its end.
func (o *Oracle) Owed(f func(line []byte)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var line []byte
	for _, d := range o.ledger {
		for seq := d.from; seq < d.to; seq++ {
			line = d.track.appendLine(line[:0], seq)
			f(line)
		}
	}
}

// Times returns how often the points of the batch were delivered: the one that came least often, and the one that came most.
func (b Batch) Times() (least, most int) {
	b.oracle.mu.Lock()
	defer b.oracle.mu.Unlock()
	least = int(times)
	for _, s := range b.track.state[b.from:b.to] {
		least, most = min(least, int(s&times)), max(most, int(s&times))
	}
	return least, most
}
