package shim

import (
	"bytes"
	"context"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/telemetry"
)

// flush is how long points wait for others to travel with.
const flush = 100 * time.Millisecond

// A stream is a collector whose program prints points when it has some.
type stream struct{ runner }

func newStream(r runner) (collector.Stream, error) { return stream{r}, nil }

// Stream runs the program until ctx ends, or the program does. At the end of ctx it hears of the end of its input, and what it
// prints then counts still.
func (s stream) Stream(ctx context.Context, out collector.Emitter) error {
	p, err := child.Start(s.spec)
	if err != nil {
		return err
	}
	defer p.Close()
	s.env.Log.Info("program started", "pid", p.PID())
	stop := context.AfterFunc(ctx, func() { p.Stop(s.life, streamPatience) })
	err = s.read(child.NewReader(p), out)
	if stop() { // it ends by itself, or nobody can take what it prints
		p.Stop(s.life, streamPatience)
	}
	<-p.Gone()
	switch {
	case ctx.Err() != nil, s.Once && p.Exit().Code == 0:
		return nil
	case err != nil:
		return err
	}
	return ended(p)
}

// read sends what the program prints until its output ends; the error is one of sending.
func (s stream) read(r *child.Reader, out collector.Emitter) error {
	for {
		text, first, end := r.Some()
		if len(text) > 0 {
			b := out.Batch()
			s.codec.decode(b, bytes.Clone(text), first, time.Now().Truncate(time.Microsecond)) // its strings look into the text
			if err := out.Post(b, flush); err != nil {
				return err
			}
		}
		if end != nil {
			return nil
		}
	}
}

// A ticked is a collector whose program is started at each interval.
type ticked struct{ runner }

func newTicked(r runner) (collector.Collector, error) { return ticked{r}, nil }

// Collect runs the program once. What it has printed counts even if it failed.
func (t ticked) Collect(ctx context.Context, out *telemetry.Batch) error {
	r, err := child.Run(ctx, t.spec, nil, child.MaxAnswer, 0)
	if err != nil {
		return err
	}
	unread := t.codec.answer(out, r.Stdout, time.Time{})
	if err := outcome(r, ctx.Err()); err != nil {
		return err
	}
	return unread
}
