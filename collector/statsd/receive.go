package statsd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/listen"
)

// grace is how long what was sent before the end may still be read.
const grace = 100 * time.Millisecond

// receive takes the datagrams of s until ctx ends, and closes it. What the kernel has by then is taken too, as far as that is
// quick.
func (l *listener) receive(ctx context.Context, s listen.Socket, out collector.Emitter) error {
	b, err := s.Packets.Batcher()
	if err != nil {
		return errors.Join(fmt.Errorf("listen at %s: %w", s.Name(), err), s.Close())
	}
	defer b.Close()
	var end time.Time
	for {
		datagrams, long, err := b.Next()
		if err != nil {
			return fmt.Errorf("receive at %s: %w", s.Name(), err)
		}
		if lost := b.Lost(); lost > 0 {
			l.overflow(s, lost, out)
		}
		l.work(s, out, func(t *table) {
			for _, text := range datagrams {
				t.take(text)
			}
			for range long {
				t.losses.add(tooLong, nil)
			}
		})
		if ctx.Err() == nil {
			continue
		}
		if end.IsZero() {
			end = time.Now().Add(grace)
		}
		if len(datagrams) == 0 || time.Now().After(end) {
			return nil
		}
	}
}

// overflow counts datagrams that the kernel had no room for.
func (l *listener) overflow(s listen.Socket, n int, out collector.Emitter) {
	out.Drop("udp_overflow", n)
	if more, ok := l.datagrams.Pass(); ok {
		l.log.Warn("datagrams lost: more came than were taken; raise net.core.rmem_max, or send fewer and larger ones",
			"listen", s.Name(), "datagrams", n, "unreported", more)
	}
}

// accept takes the lines of the connections of s until ctx ends, and returns when they have ended too.
func (l *listener) accept(ctx context.Context, s listen.Socket, out collector.Emitter) {
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	g := l.gate.Before(ctx, s.Streams)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := g.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer c.Close()
			stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Now().Add(grace)) }) // it fails once c is closed
			defer stop()
			l.read(c, s, out)
		})
	}
}

// read takes the lines of a connection. One that does not end is none: half a number is a number too.
func (l *listener) read(c io.Reader, from listen.Socket, out collector.Emitter) {
	r := bufio.NewReaderSize(c, l.cfg.MaxLine+1)
	for skipping := false; ; {
		text, err := r.ReadSlice('\n')
		full := errors.Is(err, bufio.ErrBufferFull)
		l.work(from, out, func(t *table) {
			switch {
			case skipping || len(text) == 0:
			case full:
				t.losses.add(tooLong, text)
			case err != nil:
				t.losses.add(unfinished, text)
			default:
				t.take(text)
			}
		})
		if err != nil && !full {
			return
		}
		skipping = full
	}
}

// work has f take something into the table, and tells what came of it.
func (l *listener) work(from listen.Socket, out collector.Emitter, f func(t *table)) {
	t := l.table
	t.mu.Lock()
	f(t)
	wake, losses := t.waiting > 0, t.losses
	t.losses.reset()
	var line string
	if losses.first != fine {
		line = strings.ToValidUTF8(string(losses.line), "\uFFFD")
	}
	t.mu.Unlock()
	if wake {
		select {
		case l.wake <- struct{}{}:
		default: // it is going to be looked at
		}
	}
	if losses.first == fine {
		return
	}
	for r, n := range losses.counts {
		if n > 0 {
			out.Drop(reason(r).String(), n)
		}
	}
	if more, ok := l.lines.Pass(); ok {
		l.log.Warn("line refused", "listen", from.Name(), "reason", losses.first.String(), "line", line, "unreported", more)
	}
}
