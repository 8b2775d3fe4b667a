package plugin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// heldAtMost is how many deliveries a window holds unless the config says otherwise; then it is flushed early.
const heldAtMost = 256

// Window gives every batch of the inputs to f, which only remembers, and calls flush each time every has passed, and before
// the end. What was given is settled when the output of the flush after it is stored. On an error the window is thrown away:
// what it held is given again.
func (s *Session) Window(ctx context.Context, every time.Duration, f func(ctx context.Context, in, out *telemetry.Batch) error,
	flush func(ctx context.Context, out func(host string) *telemetry.Batch) error,
) error {
	if every <= 0 {
		return Permanent(fmt.Errorf("window of %v: want more than nothing", every))
	}
	if s.shares != "" {
		s.log.Warn("each instance of this processor has a window of its own, with a part of what each source sends: write order: source, or leave out the setting",
			"setting", s.shares)
	}
	w := window{Session: s, work: f, empty: flush, most: heldAtMost}
	if n := int(s.work.MaxAckPending); n > 1 {
		w.most = n - n/8 // what is on its way to us counts too
	}
	if s.once {
		w.most = math.MaxInt // one window to the end of the input
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !s.once && sleep(ctx, every) {
			if err := w.flush(); err != nil {
				stop(err)
			}
		}
	}()
	err := s.each(ctx, func(ctx context.Context, src source) error { return w.fill(ctx, src) })
	stop(nil)
	<-done
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// A window holds deliveries until their flush.
type window struct {
	*Session
	work  func(ctx context.Context, in, out *telemetry.Batch) error
	empty func(ctx context.Context, out func(host string) *telemetry.Batch) error
	most  int

	mu     sync.Mutex
	in     telemetry.Batch
	held   []*delivery
	broken bool // what it held was given back: it must not speak any more
}

// fill reads one input until it ends, and flushes once more.
func (w *window) fill(ctx context.Context, src source) error {
	for {
		if ctx.Err() != nil { // what is there already would be given on and on
			return w.flush()
		}
		d, err := src.next(ctx)
		if err != nil {
			return errors.Join(ended(err), w.flush())
		}
		if err := w.take(d); err != nil {
			return err
		}
	}
}

// take gives d to the processor and holds it.
func (w *window) take(d *delivery) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		d.again(0)
		return nil
	}
	if !w.admit(d) || !w.open(&w.in, d) {
		return nil
	}
	err := w.call([]*delivery{d}, func(ctx context.Context) error { return w.work(ctx, &w.in, nil) })
	if IsPermanent(err) {
		w.setAside(d, d.body, 0, "processor", err)
		return nil
	}
	d.body = nil // held are many, and their bodies are not needed any more
	w.held = append(w.held, d)
	if err != nil {
		w.letGo()
		return err
	}
	if len(w.held) >= w.most {
		return w.flushLocked()
	}
	return nil
}

func (w *window) flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.flushLocked()
}

// flushLocked sends what the processor has gathered, waits until it is stored and settles what it came from.
func (w *window) flushLocked() error {
	if w.broken {
		return nil
	}
	outs := map[string]*telemetry.Batch{}
	err := w.call(nil, func(ctx context.Context) error {
		return w.empty(ctx, func(host string) *telemetry.Batch {
			if outs[host] == nil {
				outs[host] = &telemetry.Batch{}
				outs[host].SetHost(host)
			}
			return outs[host]
		})
	})
	if err == nil {
		err = w.store(outs)
	}
	if err != nil {
		w.letGo()
		return err
	}
	for _, d := range w.held {
		d.ack()
	}
	w.held = w.held[:0]
	return nil
}

// store sends outs and waits until all are stored.
func (w *window) store(outs map[string]*telemetry.Batch) error {
	hosts := make([]string, 0, len(outs))
	for host := range outs {
		hosts = append(hosts, host)
	}
	slices.SortFunc(hosts, strings.Compare)
	stored := make(chan error, len(hosts))
	for _, host := range hosts {
		w.emit(outs[host], host, nil, func(err error) { stored <- err })
	}
	var first error
	for range hosts {
		select {
		case err := <-stored:
			first = errors.Join(first, err)
		case <-w.life.Done():
			return context.Cause(w.life)
		}
	}
	return first
}

// letGo gives back what is held, for another instance to make a whole window of.
func (w *window) letGo() {
	w.broken = true
	for _, d := range w.held {
		d.again(0)
	}
	w.held = w.held[:0]
}
