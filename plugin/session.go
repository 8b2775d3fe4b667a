package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A Session is what the loop of a kind works with. It lives as long as one config is in force.
//
// Two contexts rule it. The one that loops are given ends when no new work is to be begun; calls in progress, and what was
// read already, have until the session's own ends.
type Session struct {
	Env Env

	work    telemetry.Work
	tags    []telemetry.Tag // of every point that does not say them itself, sorted
	link    link
	count   *counters
	life    context.Context //nolint:containedctx // the session's own life: it ends when a drain has taken too long
	log     *slog.Logger
	status  status
	suspect *suspects
	gate    *gate   // from when on it may work; nil: now
	queue   *queue  // for what the bus does not take yet; nil: who sends waits
	limits  *limits // of what it may send; nil: none
	shares  string  // the setting by which others work beside it on batches of the same sources; "": none, or it is told already

	serial   sync.Mutex // one call of the author's code at a time, whatever the number of inputs
	buffers  buffers
	noting   sync.Mutex
	noted    string        // the last error, so that one is logged once
	denied   bool          // the last call was denied
	patience time.Duration // with a call, where nobody says another and never above the interval; 0: as with all
	once     bool          // a single tick, or the input to its end; what fails is not tried again
	refresh  chan refreshOrder
}

// status is what a session tells about itself; the heartbeat shows it.
type status interface {
	running()           // the work begins
	ready(alone bool)   // New has succeeded, or waits with us for who works now; alone: it cannot work beside that one
	idle(err error)     // there is nothing to do here
	hung(bool)          // a call outlives its deadline
	failing(bool)       // the last call failed, and is or will be tried again
	alarm(err error)    // somebody has to act; nil: no more
	keeps(facts *facts) // inventory was collected
}

const (
	buildTime = 30 * time.Second // for New
	callTime  = 30 * time.Second // for Process and Publish, unless the config says otherwise
	hangTime  = 5 * time.Second  // after its deadline a call counts as hung
)

// errIdle ends a session whose New found nothing to do.
var errIdle = errors.New("idle")

// live makes the work of an author, runs loop with it and closes it.
func (s *Session) live(ctx context.Context, build func(context.Context) (any, error), loop func(context.Context, any) error) error {
	life, end := context.WithCancel(s.life)
	defer end()
	p, mine, err := s.prepare(ctx, func() (any, error) { return s.build(life, build) })
	if errors.Is(err, ErrNoData) {
		s.status.idle(err)
		return errIdle
	}
	if err != nil {
		return err
	}
	if mine {
		s.status.running()
		err = guard(func() error { return loop(ctx, p) })
	}
	if c, ok := p.(io.Closer); ok {
		err = errors.Join(err, guard(c.Close))
	}
	return err
}

func (s *Session) build(life context.Context, build func(context.Context) (any, error)) (p any, err error) {
	watch := s.watch(buildTime)
	defer watch()
	err = guard(func() error {
		p, err = build(life)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	return p, nil
}

// guard turns a panic of f into an error.
func guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v, debug.Stack()}
		}
	}()
	return f()
}

// Once reports whether the work is to be done one time, for a person who wants to see what comes of it.
func (s *Session) Once() bool { return s.once }

// troubled reports whether the last call has failed.
func (s *Session) troubled() bool {
	s.noting.Lock()
	defer s.noting.Unlock()
	return s.noted != ""
}

// Call runs f, a piece of the author's work, with the deadline of a call. It measures f, and reports it as hung when it
// does not come back.
func (s *Session) Call(f func(ctx context.Context) error) error {
	limit := s.timeout()
	ctx, cancel := context.WithTimeout(s.life, limit)
	defer cancel()
	watch := s.watch(limit)
	defer watch()
	begin := time.Now()
	err := guard(func() error { return f(ctx) })
	s.count.calls.note(time.Since(begin))
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil && s.life.Err() == nil {
		return &lateError{err, limit}
	}
	return err
}

// Pause waits for d, or until ctx ends.
func (s *Session) Pause(ctx context.Context, d time.Duration) {
	if d > 0 && !s.once {
		sleep(ctx, d)
	}
}

// timeout returns the deadline of a call: the config's, else the interval of a collector, else callTime. Of a program that has a time of
// its own it is that one, and never above the interval.
func (s *Session) timeout() time.Duration {
	set, every := time.Duration(s.work.TimeoutMS)*time.Millisecond, time.Duration(s.work.EveryMS)*time.Millisecond
	limit := cmp.Or(set, s.patience, every, callTime)
	if s.patience > 0 && every > 0 {
		return min(limit, every)
	}
	return limit
}

// watch reports a hang when the function it returns is not called within limit and hangTime.
func (s *Session) watch(limit time.Duration) (done func()) {
	var hangs atomic.Bool
	t := time.AfterFunc(limit+hangTime, func() {
		hangs.Store(true)
		s.status.hung(true)
	})
	return func() {
		if !t.Stop() && hangs.Load() {
			s.status.hung(false)
		}
	}
}

// Note takes the outcome of a call, on whatever goroutine. An error is counted, and logged when it is another than the last; one
// that promises never to go away is returned, and the loop ends with it.
func (s *Session) Note(err error) error {
	s.noting.Lock()
	defer s.noting.Unlock()
	if err == nil || errors.Is(err, ErrNoData) {
		if s.noted != "" {
			s.noted = ""
			s.status.failing(false)
		}
		if s.denied {
			s.denied = false
			s.status.alarm(nil)
		}
		return nil
	}
	s.count.fail(classOf(err), err)
	if text := err.Error(); text != s.noted && !errors.Is(err, ErrTooLarge) { // which is mended by halving
		s.noted = text
		s.status.failing(true)
		s.log.Warn("call failed", slog.Any("error", err), stackOf(err))
	}
	if IsDenied(err) {
		s.denied = true
		s.status.alarm(err)
	}
	if IsPermanent(err) {
		return err
	}
	return nil
}

// classOf names an error for counters.
func classOf(err error) string {
	v := verdictOf(err)
	_, panics := errors.AsType[*panicError](err)
	switch {
	case panics:
		return "panic"
	case v.denied:
		return "denied"
	case v.permanent:
		return "permanent"
	case errors.Is(err, ErrTooLarge):
		return "too_large"
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "error"
}

// stackOf returns the stack of a panic as an attribute.
func stackOf(err error) slog.Attr {
	if p, ok := errors.AsType[*panicError](err); ok {
		return slog.String("stack", string(p.stack))
	}
	return slog.Attr{}
}

// sleep waits for d and reports whether it passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
