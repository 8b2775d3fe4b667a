package main

import (
	"bytes"
	"context"
	"hash/maphash"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// checkStream reads what is on the bus: a point that a plugin has put there twice must have the same id both times, or whoever
// deduplicates by id counts it twice.
func (t *trial) checkStream() {
	ctx, cancel := context.WithTimeout(t.ctx, 2*time.Minute)
	defer cancel()
	conn, _, err := t.place.Connect(ctx)
	t.must(err, "connect to the bus")
	defer conn.Close()
	view := stored{seed: maphash.MakeSeed(), ids: map[uint64]uint64{}}
	t.must(conn.Tap(ctx, bus.TapOptions{Stream: bus.StreamMetrics, From: 1, Once: true}, view.take), "read what is on the bus")
	if view.doubled > 0 {
		t.errorf("%d points are on the bus under two ids, the first: %s", view.doubled, view.first)
	}
}

// stored is the points of a stream: which id each has there.
type stored struct {
	seed    maphash.Seed
	ids     map[uint64]uint64 // by producer and point, hashed
	text    []byte
	doubled int
	first   string
}

func (s *stored) take(m bus.Tapped) error {
	var b telemetry.Batch
	if err := b.Decode(m.ContentType, "", m.Body, m.Stored); err != nil {
		return err
	}
	id := maphash.String(s.seed, m.ID)
	s.text = b.AppendLines(s.text[:0])
	for line := range bytes.Lines(s.text) {
		var h maphash.Hash
		h.SetSeed(s.seed)
		_, _ = h.WriteString(m.Subject.Plugin) // never fails
		_, _ = h.Write(line)
		if before, ok := s.ids[h.Sum64()]; ok && before != id {
			if s.doubled++; s.doubled == 1 {
				s.first = m.ID + ": " + string(line)
			}
		}
		s.ids[h.Sum64()] = id
	}
	return nil
}
