package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/lab"
	"github.com/pacewire/pacewire/internal/oracle"
	"github.com/pacewire/pacewire/telemetry"
)

// connect is a connection to the bus of the trial.
func (t *trial) connect(ctx context.Context) *bus.Conn { return t.connectAt(ctx, t.place) }

// connectAt is a connection to the bus of the agent that runs in a place.
func (t *trial) connectAt(ctx context.Context, place lab.Place) *bus.Conn {
	conn, _, err := place.Connect(ctx)
	t.must(err, "connect to the bus")
	return conn
}

// calm waits until every reader has settled all that the streams have for it: what is given again comes later than what is owed.
func (t *trial) calm() {
	for _, place := range append([]lab.Place{t.place}, t.beyond...) {
		t.calmAt(place)
	}
}

func (t *trial) calmAt(place lab.Place) {
	conn := t.connectAt(t.ctx, place)
	defer conn.Close()
	t.await(drainPatience, "everything is settled", func() error {
		states, err := conn.ConsumerStates(t.ctx, bus.StreamMetrics)
		for name, state := range states {
			if state.Pending > 0 || state.AckPending > 0 {
				return fmt.Errorf("%s has %d to read and %d to settle", name, state.Pending, state.AckPending)
			}
		}
		return err
	})
}

// checkStream reads what is on each bus: a point that a plugin has put there twice must have the same id both times, or whoever
// deduplicates by id counts it twice. The last bus, which is that of the fleet where there are two, must have all that was acknowledged.
func (t *trial) checkStream() {
	var last *stored
	for _, place := range append([]lab.Place{t.place}, t.beyond...) {
		last = t.checkStreamAt(place)
	}
	if !t.row.loses {
		t.checkWhole(last)
	}
}

// checkWhole checks that a view has all that was acknowledged: one that sees nothing finds no fault.
func (t *trial) checkWhole(view *stored) {
	switch {
	case !t.row.limited && view.begins > 1:
		t.errorf("the stream begins at %d, though no limit was to be met", view.begins)
	case view.begins <= 1:
		if lacks, first := view.lacks(t.oracle); lacks > 0 {
			t.errorf("%d acknowledged points are not on the bus as a collector has sent them, the first: %s", lacks, first)
		}
	}
}

func (t *trial) checkStreamAt(place lab.Place) *stored {
	ctx, cancel := context.WithTimeout(t.ctx, 2*time.Minute)
	defer cancel()
	conn := t.connectAt(ctx, place)
	defer conn.Close()
	view := newStored()
	state, err := conn.StreamInfo(ctx, bus.StreamMetrics)
	t.must(err, "ask for the stream")
	view.begins = state.FirstSeq
	err = conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamMetrics, From: 1, Once: true}, view.take)
	t.must(cmp.Or(err, ctx.Err()), "read what is on the bus") // a part of the stream is no view of it
	if view.garbage != t.garbage {
		t.errorf("%d messages on the bus are no batches, want %d", view.garbage, t.garbage)
	}
	if view.doubled > 0 {
		t.errorf("%d points are on the bus under two ids, the first: %s", view.doubled, view.first)
	}
	return view
}

// stored is the points of a stream: which id each has there.
type stored struct {
	seed    maphash.Seed
	ids     map[uint64]uint64 // by producer and point, hashed
	from    map[string]bool   // producers
	begins  uint64            // sequence of the first message
	text    []byte
	doubled int
	garbage int // messages that are no batches
	first   string
}

func newStored() *stored {
	return &stored{seed: maphash.MakeSeed(), ids: map[uint64]uint64{}, from: map[string]bool{}}
}

// theProcessor is the only plugin of this table that stores what others have stored before.
const theProcessor = "mid"

// lacks returns how many acknowledged points no collector has stored, and the first of them.
func (s *stored) lacks(o *oracle.Oracle) (n int, first string) {
	o.Owed(func(line []byte) {
		for plugin := range s.from {
			if _, has := s.ids[s.key(plugin, line)]; has && plugin != theProcessor {
				return
			}
		}
		if n++; n == 1 {
			first = string(line)
		}
	})
	return n, first
}

// key tells a point of a producer from all others.
func (s *stored) key(plugin string, line []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	_, _ = h.WriteString(plugin) // never fails
	_, _ = h.Write(line)
	return h.Sum64()
}

func (s *stored) take(m bus.Tapped) error {
	var b telemetry.Batch
	if b.Decode(m.ContentType, "", m.Body, m.Stored) != nil {
		s.garbage++
		return nil
	}
	id := maphash.String(s.seed, m.ID)
	s.text = b.AppendLines(s.text[:0])
	s.from[m.Subject.Plugin] = true
	for line := range bytes.Lines(s.text) {
		key := s.key(m.Subject.Plugin, bytes.TrimSuffix(line, []byte("\n")))
		if before, ok := s.ids[key]; ok && before != id {
			if s.doubled++; s.doubled == 1 {
				s.first = m.ID + ": " + string(line)
			}
		}
		s.ids[key] = id
	}
	return nil
}
