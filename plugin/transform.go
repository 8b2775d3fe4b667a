package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// tries is how often a processor is given a batch before it goes to the dead letters.
const tries = 5

// Transform gives every batch of the inputs to f, one at a time, and sends what f puts into out. A batch is settled when
// its output is stored; its messages get ids derived from its own, so one given twice is stored once.
func (s *Session) Transform(ctx context.Context, f func(ctx context.Context, in, out *telemetry.Batch) error) error {
	return s.each(ctx, func(ctx context.Context, src source) error {
		t := transformer{Session: s, work: f}
		for {
			if ctx.Err() != nil { // what is there already would be given on and on
				return nil
			}
			d, err := src.next(ctx)
			if err != nil {
				return ended(err)
			}
			t.one(ctx, d)
		}
	})
}

// each runs loop for every input, and afterwards gives back what was not settled.
func (s *Session) each(ctx context.Context, loop func(ctx context.Context, src source) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, in := range s.work.Inputs {
		g.Go(func() error {
			src, err := s.link.read(ctx, in)
			if err != nil {
				return fmt.Errorf("read %s of %s: %w", in.Durable, in.Stream, err)
			}
			err = loop(ctx, src)
			return errors.Join(err, s.link.flush(s.life), src.close(s.life))
		})
	}
	if len(s.work.Inputs) == 0 {
		<-ctx.Done()
	}
	return g.Wait()
}

// ended returns nil for the errors by which a source says that no more is to come.
func ended(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) || errors.Is(err, bus.ErrStopped) {
		return nil
	}
	return err
}

// A transformer brings batches of one input through a processor.
type transformer struct {
	*Session
	work    func(ctx context.Context, in, out *telemetry.Batch) error
	in, out telemetry.Batch
	hand    [1]*delivery
}

// one brings d through, or sets it aside.
func (t *transformer) one(ctx context.Context, d *delivery) {
	if !t.admit(d) {
		return
	}
	if !t.open(&t.in, d) {
		return
	}
	for try := 1; ; try++ {
		if try > 1 {
			_ = decode(&t.in, d) // it was taken before, and the try before may have changed it
		}
		t.out = telemetry.Batch{} // one used before would remember, and cut its messages elsewhere: ids must fit contents
		t.hand[0] = d
		err := t.call(t.hand[:], func(ctx context.Context) error { return t.work(ctx, &t.in, &t.out) })
		switch {
		case err == nil:
			t.forward(d)
			return
		case IsPermanent(err) || try == tries:
			t.setAside(d, d.body, 0, "processor", err)
			return
		case !t.wait(ctx, err, try):
			d.again(0)
			return
		}
	}
}

// forward sends what was made of d.
func (t *transformer) forward(d *delivery) {
	t.out.SetHost(d.host)
	id := func(n int) string { return bus.DerivedID(d.id, t.Env.Name, n) }
	if d.id == "" {
		id = nil
	}
	t.emit(&t.out, d.host, id, func(err error) {
		switch {
		case err == nil:
			d.ack()
		case errors.Is(err, telemetry.CodeTooLarge): // the other points of it are stored
			go t.setAside(d, d.body, 0, telemetry.CodeTooLarge.String(), err) // not on the goroutine of the acknowledgements
		default:
			d.again(nakDelay)
		}
	})
}

// nakDelay is how long a batch waits whose output was refused for good by the bus: for permissions to be mended.
const nakDelay = 30 * time.Second

// call runs a call for ds. Those that have been given before are marked as suspects meanwhile: should the process die of
// one, the next process knows.
func (s *Session) call(ds []*delivery, f func(ctx context.Context) error) error {
	again := func(d *delivery) bool { return d.deliveries > 1 }
	if slices.ContainsFunc(ds, again) {
		defer s.suspect.turn()()
	}
	for _, d := range ds {
		if again(d) {
			s.suspect.begin(d)
			defer s.suspect.end(d)
		}
	}
	s.serial.Lock()
	defer s.serial.Unlock()
	err := s.Call(f)
	_ = s.Note(err)
	return err
}

// admit counts d, and sets it aside when this plugin has died of it again and again.
func (s *Session) admit(d *delivery) bool {
	s.count.batchesIn.Add(1)
	s.count.bytesIn.Add(uint64(len(d.body)))
	if d.deliveries > 1 {
		s.count.redelivered.Add(1)
		if n := s.suspect.deaths(d) + 1; n >= tries { // the first time it was not suspected yet
			s.setAside(d, d.body, 0, "crash", fmt.Errorf("the plugin has died %d times while it worked on this batch", n))
			return false
		}
	}
	return true
}

// open makes b the batch in d, and sets d aside when it is none.
func (s *Session) open(b *telemetry.Batch, d *delivery) bool {
	if d.fault != nil {
		s.count.fail("subject", d.fault)
		s.setAside(d, d.body, 0, "subject", d.fault)
		return false
	}
	if err := decode(b, d); err != nil {
		s.count.fail("decode", err)
		s.setAside(d, d.body, 0, codeOf(err), err)
		return false
	}
	s.count.drops(b.Drops())
	*b.Drops() = telemetry.Drops{}
	s.count.pointsIn.Add(uint64(b.Len()))
	return true
}

// decode makes b the batch in d, about the host that its subject names.
func decode(b *telemetry.Batch, d *delivery) error {
	if err := b.Decode(d.contentType, d.contentEncoding, d.body, d.stored); err != nil {
		return err
	}
	b.SetHost(d.host)
	b.DefaultTag("host", d.host)
	return nil
}

// codeOf returns the code of a decoder's error.
func codeOf(err error) string {
	if e, ok := errors.AsType[*telemetry.DecodeError](err); ok {
		return e.Code.String()
	}
	return "decode"
}

// setAside puts body, all of d or a part of it, into the dead letters, and settles d if it is all. What even they cannot take
// whole is cut. When they take nothing for long, d is given again later: nobody behind it waits for ever.
func (s *Session) setAside(d *delivery, body []byte, part int, code string, reason error) {
	for try := 1; ; try++ {
		err := d.bury(s.life, body, part, code, reason)
		if err == nil {
			break
		}
		s.count.fail("dead_letter", err)
		switch {
		case errors.Is(err, bus.ErrTooLarge) && len(body) > cutLetter:
			reason = fmt.Errorf("%w (cut: the first %d of %d bytes)", reason, cutLetter, len(body))
			body = body[:cutLetter]
		case try == tries || !s.wait(s.life, err, try):
			d.again(nakDelay)
			return
		}
	}
	s.count.dead.Add(1)
	s.log.Warn("batch set aside", "code", code, "error", reason, "id", d.id, "seq", d.seq)
	if part == 0 {
		s.suspect.end(d)
		d.ack()
	}
}

// cutLetter is what is kept of a body that is too large for a dead letter.
const cutLetter = 64 << 10

// wait waits before the next try, as long as err asks or else longer each time, and reports whether there is to be one.
func (s *Session) wait(ctx context.Context, err error, try int) bool {
	return !s.once && sleep(ctx, pause(verdictOf(err), try))
}
