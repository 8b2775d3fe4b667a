package statsd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
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

// visit takes what a connection to s brings, until it ends, is quiet for too long, or ctx ends.
func (l *listener) visit(ctx context.Context, c net.Conn, s listen.Socket, out collector.Emitter) {
	v := &visitor{Conn: c, idle: l.cfg.IdleTimeout.Std()}
	stop := context.AfterFunc(ctx, v.finish)
	defer stop()
	if s.Scheme == "unixstream" {
		l.readFrames(v, s, out)
	} else {
		l.readLines(v, s, out)
	}
}

// A visitor is a connection that may be quiet for a while only.
type visitor struct {
	net.Conn
	idle time.Duration // 0: for ever

	mu       sync.Mutex
	finished bool
}

// Read reads, as long as it may take.
func (v *visitor) Read(p []byte) (int, error) {
	if v.idle > 0 {
		v.wait()
	}
	return v.Conn.Read(p)
}

func (v *visitor) wait() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.finished {
		_ = v.SetReadDeadline(time.Now().Add(v.idle)) // a connection that is closed tells so when it is read
	}
}

// finish has the connection read for a moment only.
func (v *visitor) finish() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.finished = true
	_ = v.SetReadDeadline(time.Now().Add(grace))
}

// readLines takes the lines of a connection. One that does not end is none: half a number is a number too.
func (l *listener) readLines(c io.Reader, from listen.Socket, out collector.Emitter) {
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

const (
	frameHead = 4 // bytes of the length before a message, the lowest first
	maxFrame  = 64 << 10
)

// readFrames takes the messages of a connection, each of them with its length before it. A length that is too large ends it: nobody
// knows where the next message begins.
func (l *listener) readFrames(c io.Reader, from listen.Socket, out collector.Emitter) {
	r := bufio.NewReaderSize(c, maxFrame)
	lose := func(r reason, text []byte) {
		l.work(from, out, func(t *table) { t.losses.add(r, text) })
	}
	for {
		head, err := r.Peek(frameHead)
		if err != nil {
			if len(head) > 0 {
				lose(unfinished, head)
			}
			return
		}
		size := binary.LittleEndian.Uint32(head)
		if size > maxFrame {
			lose(badLength, head)
			return
		}
		_, _ = r.Discard(frameHead) // it is there
		text, err := r.Peek(int(size))
		if err != nil {
			lose(unfinished, text)
			return
		}
		l.work(from, out, func(t *table) { t.take(text) })
		_, _ = r.Discard(int(size))
	}
}

// work has f take something into the table, and tells what came of it.
func (l *listener) work(from listen.Socket, out collector.Emitter, f func(t *table)) {
	t := l.table
	t.mu.Lock()
	f(t)
	wake, losses, twin := t.waiting > 0, t.losses, t.twin
	t.losses.reset()
	t.twin = ""
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
	if twin != "" {
		l.twin(twin)
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

// twin tells of a name that has come with two types.
func (l *listener) twin(name string) {
	if more, ok := l.twins.Pass(); ok {
		l.log.Warn("a metric has two types, and most databases keep one of them", "metric", name, "hint", "set type_tag, such as metric_type", "unreported", more)
	}
}
