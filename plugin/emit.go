package plugin

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"

	"github.com/pacewire/pacewire/telemetry"
)

// Emit sends b, which a collector has filled, in as many messages as it needs, and returns when they are under way: b may be used
// again. What b says that has happened is sent as events. It blocks while too much is under way.
func (s *Session) Emit(b *telemetry.Batch) {
	_ = s.limit(b, s.Env.Host, false) // what is more is dropped and counted: nobody sends it again
	s.count.drops(b.Drops())
	var points telemetry.Batch
	events := s.part(b, &points)
	s.pack(&points, s.Env.Host, nil, func(error) {}, events...)
}

// EmitAbout is as Emit, for a processor that cannot tell which points its own are made of: b is about a host, and no event.
func (s *Session) EmitAbout(host string, b *telemetry.Batch) { s.emit(b, host, nil, func(error) {}) }

// emit sends of b what the limits of the plugin allow, as pack does.
func (s *Session) emit(b *telemetry.Batch, host string, id func(n int) string, done func(error)) {
	_ = s.limit(b, host, false) // what is more is dropped and counted: nobody sends it again
	s.pack(b, host, id, done)
}

// pack sends b as messages about host, and then events. done is called once, with the first error, when all are stored or one never
// will be. id names the n-th message, from 1; nil leaves it to the link.
func (s *Session) pack(b *telemetry.Batch, host string, id func(n int) string, done func(error), events ...message) {
	// One more than the messages, so that done waits for the last of them to be handed over.
	left := new(atomic.Int64)
	left.Store(1)
	var failed atomic.Pointer[error]
	settle := func(err error) {
		if err != nil {
			failed.CompareAndSwap(nil, &err)
		}
		if left.Add(-1) > 0 {
			return
		}
		if first := failed.Load(); first != nil {
			done(*first)
			return
		}
		done(nil)
	}
	for _, t := range s.tags {
		b.DefaultTag(t.Key, t.Value)
	}
	n := 0
	room := min(b.Size()+b.Size()/8+256, telemetry.TargetFrame+telemetry.TargetFrame/4)
	for f := range b.Frames(telemetry.TargetFrame, func() []byte { return s.buffers.take(room) }) {
		if f.Err != nil {
			s.count.fail(telemetry.CodeTooLarge.String(), f.Err)
			s.log.Warn("point is too large to be sent", "error", f.Err)
			failed.CompareAndSwap(nil, &f.Err)
			continue
		}
		n++
		m := message{host: host, body: f.Body}
		if id != nil {
			m.id = id(n)
		}
		left.Add(1)
		s.send(m, f.Points, settle)
	}
	for _, m := range events {
		left.Add(1)
		s.send(m, 1, settle)
	}
	s.count.drops(b.Drops())
	settle(nil)
}

// send puts m under way, or into the queue, and counts it when it is stored.
func (s *Session) send(m message, points int, settle func(error)) {
	body := m.body
	if s.queue == nil {
		s.handOver(m, points, body, settle)
		return
	}
	if n, _ := s.queue.state(); n > 0 && cap(body) > 2*len(body) { // room that is not used is memory all the same
		m.body = bytes.Clone(body)
		s.buffers.give(body)
		body = nil
	}
	s.queue.put(s.life, parcel{
		size: len(m.body),
		send: func() { s.handOver(m, points, body, settle) },
		refuse: func(err error) {
			reason := "not_sent"
			if errors.Is(err, ErrOverflow) {
				reason = dropOverflow
			}
			s.count.drop(reason, points)
			s.buffers.give(body)
			settle(err)
		},
	})
}

// handOver gives m to the link, and buffer back when it is done with.
func (s *Session) handOver(m message, points int, buffer []byte, settle func(error)) {
	size := len(m.body)
	err := s.link.send(s.life, m, func(err error) {
		if err == nil {
			s.count.pointsOut.Add(uint64(points))
			s.count.batchesOut.Add(1)
			s.count.bytesOut.Add(uint64(size))
		} else {
			s.count.fail("publish", err)
		}
		s.buffers.give(buffer)
		settle(err)
	})
	if err != nil {
		s.count.drop("not_sent", points)
		settle(err)
	}
}

// event sends b as one event and waits until it is stored.
func (s *Session) event(ctx context.Context, kind string, b *telemetry.Batch) error {
	stored := make(chan error, 1)
	m := message{host: s.Env.Host, event: kind, body: b.AppendMsgPack(nil)}
	if err := s.link.send(ctx, m, func(err error) { stored <- err }); err != nil {
		return err
	}
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
