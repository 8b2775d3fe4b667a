package plugin

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// Stream runs f, which speaks through out when it has something, until ctx ends.
func (s *Session) Stream(ctx context.Context, f func(ctx context.Context, out *Outlet) error) error {
	if s.queue != nil && s.queue.blocks() {
		s.queue = nil // sources are to wait, and not their points here
	}
	o := &Outlet{session: s, wake: make(chan struct{}, 1), room: make(chan struct{}, 1), done: make(chan struct{})}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		o.run()
	}()
	var err error
	for try := 1; ; try++ {
		begun := time.Now()
		err = guard(func() error { return f(ctx, o) })
		if ctx.Err() != nil || s.once || o.note(err) != nil || !s.wait(ctx, err, try) {
			break
		}
		if time.Since(begun) > time.Minute {
			try = 0
		}
	}
	close(o.done)
	<-sent
	if ctx.Err() != nil && !IsPermanent(err) {
		return s.link.flush(s.life)
	}
	return errors.Join(err, s.link.flush(s.life))
}

// An Outlet takes the batches of a stream. What waits together travels in one message.
type Outlet struct {
	session *Session
	wake    chan struct{} // something waits
	room    chan struct{} // something was taken
	done    chan struct{} // no more comes

	mu      sync.Mutex
	waiting []entry
	bytes   int
	due     time.Time          // when the first of those posted must leave; zero: none is posted
	hurry   bool               // somebody waits for an answer, or a message is full
	free    []*telemetry.Batch // posted before and sent

	merged telemetry.Batch // what leaves together; of run alone

	failed atomic.Bool // it has, and has not spoken since
}

// An entry is a batch that waits to be sent.
type entry struct {
	batch  *telemetry.Batch
	stored chan error    // who waits; nil: the batch was posted
	left   chan struct{} // closed when the batch is encoded and under way; nil: the batch was posted
}

// outletBytes is how much may wait: two messages, one to be filled while the other leaves.
const outletBytes = 2 * telemetry.TargetFrame

// Emit sends b and returns nil when it is stored; b is the caller's again. ErrOverflow, ErrFlood and a
// SeriesLimitError say which bound is in the way.
func (o *Outlet) Emit(b *telemetry.Batch) error {
	if b.Len() == 0 {
		o.session.count.drops(b.Drops())
		return nil
	}
	e := entry{b, make(chan error, 1), make(chan struct{})}
	if err := o.put(e, 0); err != nil {
		return err
	}
	select {
	case err := <-e.stored:
		return err
	case <-o.session.life.Done():
		<-e.left // b is not the caller's before
		return fmt.Errorf("stopped before the points were stored: %w", context.Cause(o.session.life))
	}
}

// Post hands b over; it leaves within wait. Post blocks while the bus does, unless the queue drops what that does not take.
func (o *Outlet) Post(b *telemetry.Batch, wait time.Duration) error {
	return o.put(entry{batch: b}, wait)
}

// Batch returns an empty batch.
func (o *Outlet) Batch() *telemetry.Batch {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := len(o.free); n > 0 {
		b := o.free[n-1]
		o.free = o.free[:n-1]
		return b
	}
	return &telemetry.Batch{}
}

// Drop counts n points that were lost, by reason.
func (o *Outlet) Drop(reason string, n int) { o.session.count.drop(reason, n) }

// note is Note, and remembers that something is to be taken back.
func (o *Outlet) note(err error) error {
	o.failed.Store(err != nil)
	return o.session.Note(err)
}

// put adds e to what waits, and blocks while too much does.
func (o *Outlet) put(e entry, wait time.Duration) error {
	if o.failed.Load() {
		_ = o.note(nil) // who speaks works again
	}
	size := e.batch.Size()
	o.mu.Lock()
	for o.bytes > 0 && o.bytes+size > outletBytes {
		o.hurry = true
		o.mu.Unlock()
		nudge(o.wake)
		select {
		case <-o.room:
		case <-o.session.life.Done():
			return fmt.Errorf("stopped before the points were sent: %w", context.Cause(o.session.life))
		}
		o.mu.Lock()
	}
	if o.ended() {
		o.mu.Unlock()
		return errEnded
	}
	o.waiting = append(o.waiting, e)
	o.bytes += size
	o.hurry = o.hurry || e.stored != nil || o.bytes >= telemetry.TargetFrame
	if due := time.Now().Add(wait); o.due.IsZero() || due.Before(o.due) {
		o.due = due
	}
	more := o.bytes < outletBytes
	o.mu.Unlock()
	nudge(o.wake)
	if more {
		nudge(o.room) // for another one that waits
	}
	return nil
}

// errEnded tells who speaks after Stream has returned that nobody listens any more.
var errEnded = errors.New("the stream has ended")

func (o *Outlet) ended() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run sends what waits, until done.
func (o *Outlet) run() {
	var entries []entry
	for {
		last := o.await()
		entries = o.collect(entries[:0])
		if len(entries) > 0 {
			o.send(entries)
		}
		clear(entries)
		if last {
			return
		}
	}
}

// await returns when something is due. It reports whether it is the last time.
func (o *Outlet) await() (last bool) {
	for {
		o.mu.Lock()
		n, hurry, left := len(o.waiting), o.hurry, time.Until(o.due)
		o.mu.Unlock()
		if n > 0 && (hurry || left <= 0) {
			return false
		}
		var timer <-chan time.Time
		if n > 0 {
			timer = time.After(left)
		}
		select {
		case <-o.wake:
		case <-timer:
		case <-o.done:
			return true
		}
	}
}

// collect appends all that waits to dst.
func (o *Outlet) collect(dst []entry) []entry {
	o.mu.Lock()
	defer o.mu.Unlock()
	dst = append(dst, o.waiting...)
	clear(o.waiting)
	o.waiting, o.bytes, o.hurry, o.due = o.waiting[:0], 0, false, time.Time{}
	nudge(o.room)
	return dst
}

// send brings entries out in as few messages as possible.
func (o *Outlet) send(entries []entry) {
	waiters := make([]waiter, 0, len(entries))
	var events []message
	out := &o.merged // not the batch of one of them: it is its owner's again, without the points of others
	for _, e := range entries {
		refused := o.session.limit(e.batch, o.session.Env.Host, e.stored != nil)
		o.session.count.drops(e.batch.Drops())
		*e.batch.Drops() = telemetry.Drops{}
		if e.stored != nil && errors.Is(refused, ErrFlood) {
			e.stored <- refused
			continue
		}
		if e.stored != nil {
			waiters = append(waiters, waiter{e.stored, refused})
		}
		events = append(events, o.session.part(e.batch, out)...)
	}
	o.session.pack(out, o.session.Env.Host, nil, func(err error) {
		for _, w := range waiters {
			w.hear(err)
		}
	}, events...)
	out.Reset()
	for _, e := range entries {
		if e.left != nil {
			close(e.left)
		}
	}
	o.recycle(entries)
}

// A waiter wants to know what has become of its batch.
type waiter struct {
	stored  chan error
	refused error // what was not sent of it
}

// hear tells it what has become of what was sent. That a part was not is news only if the rest is stored: else all of it may come
// again.
func (w waiter) hear(err error) {
	if err == nil {
		err = w.refused
	}
	w.stored <- err
}

// keptBatches bounds the memory that idle batches hold.
const keptBatches = 16

// recycle takes the posted batches back, once they are encoded.
func (o *Outlet) recycle(entries []entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, e := range entries {
		if e.stored == nil && len(o.free) < keptBatches {
			e.batch.Reset()
			o.free = append(o.free, e.batch)
		}
	}
}
