package plugin

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// alone runs the program once between the standard streams: points, or facts, as JSON lines to standard output; lines of
// points from standard input.
func (c *command) alone(ctx context.Context) error {
	if c.flags.Changed("bus") || c.flags.Changed("wait") {
		return c.misused("--once knows no bus")
	}
	s := solo{command: c, in: c.stdin}
	s.points = func(b *telemetry.Batch) error {
		s.text = b.AppendPoints(s.text[:0])
		_, err := c.stdout.Write(s.text)
		return err
	}
	s.facts = func(f telemetry.Facts) error {
		text, err := f.Encode(telemetry.JSON)
		if err == nil {
			_, err = c.stdout.Write(append(text, '\n'))
		}
		return err
	}
	return s.run(ctx)
}

// stdio is the name of the input of a plugin that works without a bus.
const stdio = "stdin"

// A solo is a plugin that works once, without a bus: the link of its session, and what hears of its state.
type solo struct {
	*command
	in     interface{ Read([]byte) (int, error) }
	points func(b *telemetry.Batch) error // takes what it sends
	facts  func(f telemetry.Facts) error
	count  counters
	works  bool          // New has succeeded
	built  time.Duration // how long New took

	mu        sync.Mutex
	begun     time.Time
	batch     telemetry.Batch
	text      []byte
	unsettled int // deliveries that were given back
}

// run leads the work to its end: one tick, the end of the input, or the end of ctx.
func (s *solo) run(ctx context.Context) error {
	if err := s.def.check([]byte(s.config)); err != nil {
		return &usageError{exitConfig, fmt.Errorf("settings: %w", err)}
	}
	if s.o.Dir == "" {
		dir, err := os.MkdirTemp("", "pacewire-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		s.o.Dir = dir
	}
	life, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(drainTime, giveUp) })
	defer stop()
	s.begun = time.Now()
	err := s.def.run(ctx, s.session(life), []byte(s.config))
	return s.outcome(ctx, err)
}

func (s *solo) session(life context.Context) *Session {
	session := &Session{
		link: s, count: &s.count, life: life, suspect: remember(""), log: s.o.Log, status: s,
		once: true,
	}
	session.work.TimeoutMS = s.timeout.Milliseconds()
	if s.def.Kind != Collector {
		session.work.Inputs = []telemetry.Input{{Stream: stdio, Durable: stdio}}
	}
	session.Env = Env{Log: s.o.Log, Host: s.o.Host, Name: s.o.Plugin, Dir: s.o.Dir, Event: session.event}
	return session
}

// outcome returns what went wrong. Errors were logged when they occurred; the last of them tells why the work is not whole.
func (s *solo) outcome(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, errIdle), ctx.Err() != nil && errors.Is(err, context.Canceled):
		err = nil
	case err != nil && IsPermanent(err) && !s.works:
		return &usageError{exitConfig, err}
	case err != nil:
		return err
	}
	if s.unsettled > 0 {
		err = errors.New(amount.Of(s.unsettled, "batch of points was", "batches of points were") + " not finished")
	}
	if f := s.count.lastFault(); f != nil {
		err = errors.Join(err, errors.New(f.Message))
	}
	return err
}

// send hands the points of m to whoever takes them. There is nothing to wait for.
func (s *solo) send(_ context.Context, m message, done func(error)) error {
	s.mu.Lock()
	err := s.take(m)
	s.mu.Unlock()
	done(err)
	return nil
}

func (s *solo) take(m message) error {
	if err := s.batch.DecodeMsgPack(m.body); err != nil {
		return err
	}
	if m.event != "" {
		s.o.Log.Info("event", "kind", m.event, "points", string(s.batch.AppendLines(nil)))
		return nil
	}
	s.batch.DefaultTag("host", m.host) // as every reader of the bus does
	return s.points(&s.batch)
}

func (s *solo) flush(context.Context) error { return nil }

func (s *solo) data(telemetry.PluginData) error { return nil }

func (s *solo) read(ctx context.Context, _ telemetry.Input) (source, error) {
	return readLines(ctx, s.in, s), nil
}

// gaveBack counts a delivery that was not finished: without a bus it is not given again.
func (s *solo) gaveBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsettled++
}

func (s *solo) running() { s.works, s.built = true, time.Since(s.begun) }

func (s *solo) ready(bool) {} // nobody holds it back

func (s *solo) idle(err error) { s.o.Log.Info("nothing to do here", "reason", err) }

func (*solo) failing(bool) {}

func (s *solo) hung(hangs bool) {
	if hangs {
		s.o.Log.Error("a call does not come back")
	}
}

func (s *solo) alarm(error) {} // whoever is to act reads the log

func (s *solo) keeps(f *facts) {
	if err := s.facts(f.data); err != nil {
		s.count.fail("output", err)
	}
}
