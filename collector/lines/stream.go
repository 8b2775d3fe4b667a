package lines

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/telemetry"
)

// bite is how much text is read before points are made of it: little enough to be in the processor's cache still.
const bite = 64 << 10

// grace is how long what was sent before the end may still be read.
const grace = 100 * time.Millisecond

// A source is what text comes from, piece by piece.
type source interface {
	Read(p []byte) (int, error)
	SetReadDeadline(t time.Time) error
}

// A stream reads the text of one source. Text waits up to half of flush for more, so that many small writes make one batch.
//
// A source that is quiet has a small buffer only. A busy one reads into the memory of a batch, which leaves with the text
// its strings look into; only the begin of a line at the end of it is copied to the next one. The longer a source is busy,
// the more memory a batch has, up to what fills a message. Points are made of the text bite by bite, while the processor
// has it at hand.
type stream struct {
	intake
	src  source
	idle time.Duration // how long the source may be quiet; 0: for ever
	room int           // what a read needs at least

	text       []byte // small, or memory of batch
	start, end int    // what was read and is no points yet
	batch      *telemetry.Batch
	size       int       // of the next piece of memory
	weighed    int       // where text ended when the size of batch was looked at
	weight     int       // what it was
	lingering  bool      // the read deadline is the one of what has been read, else the one of the next byte
	last       time.Time // after which nothing is read any more; zero: not known yet
	small      [4 << 10]byte
}

// accept takes the connections of s until ctx ends, and returns when they have ended too.
func (l *listener) accept(ctx context.Context, s net.Listener, out collector.Emitter) {
	l.gate.Visits(ctx, s, func(c net.Conn) {
		s := &stream{intake: l.intake(out, nameOf(c)), src: c, room: 1, idle: l.cfg.IdleTimeout.Std()}
		s.answerTo(c)
		s.run(ctx)
	})
}

// nameOf says who is at the other end of c.
func nameOf(c net.Conn) string {
	if name := c.RemoteAddr().String(); name != "" && name != "@" {
		return c.RemoteAddr().Network() + "://" + name
	}
	return c.LocalAddr().Network() + "://" + c.LocalAddr().String()
}

// run reads until the source ends, is quiet for too long, or ctx ends.
func (s *stream) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = s.src.SetReadDeadline(time.Now()) })
	defer stop()
	s.text = s.small[:]
	s.quiet(ctx)
	for s.step(ctx) {
	}
	if s.end > 0 || s.cut.skipping {
		s.unfinished()
	}
	s.release()
}

// step reads once, and posts what is due. It reports whether to go on.
func (s *stream) step(ctx context.Context) (more bool) {
	if len(s.text)-s.end < s.room && !s.makeRoom(ctx) {
		return false
	}
	n, err := s.src.Read(s.text[s.end:min(len(s.text), s.end+bite)])
	s.end += n
	switch {
	case err == nil:
		if !s.lingering {
			s.linger(ctx)
		}
		if s.apart {
			s.decodeText(true)
		}
		if s.answers() {
			s.decodeNow()
		}
		return s.end-s.weighed < bite || s.chew(ctx)
	case !errors.Is(err, os.ErrDeadlineExceeded):
		s.flush()
		return false
	case !s.lingering && ctx.Err() == nil:
		s.l.log.Debug("connection closed: it was idle", "from", s.from)
		return false
	}
	if !s.flush() || s.over() {
		return false
	}
	s.quiet(ctx)
	return true
}

// linger has what was read posted when its time has come.
func (s *stream) linger(ctx context.Context) {
	s.lingering = true
	s.deadline(ctx, time.Now().Add(s.l.linger()))
}

// quiet waits for the next byte.
func (s *stream) quiet(ctx context.Context) {
	s.lingering = false
	var t time.Time
	if s.idle > 0 {
		t = time.Now().Add(s.idle)
	}
	s.deadline(ctx, t)
}

// deadline sets the time at which a read gives up, but not behind the end.
func (s *stream) deadline(ctx context.Context, t time.Time) {
	_ = s.src.SetReadDeadline(t) // a source that is closed tells so when it is read
	if ctx.Err() == nil {        // it may end from here on: then the read is woken
		return
	}
	if s.last.IsZero() {
		s.last = time.Now().Add(grace)
	}
	_ = s.src.SetReadDeadline(s.last)
}

// over reports whether nothing is to be read any more.
func (s *stream) over() bool { return !s.last.IsZero() && !time.Now().Before(s.last) }

// makeRoom makes room for more text: a larger piece of memory, or a new one after the text that fills it is posted.
func (s *stream) makeRoom(ctx context.Context) bool {
	if s.batch == nil {
		s.batch, s.text = s.piece(s.text[:s.end])
		return true
	}
	return s.next(ctx)
}

// chew makes points of what was read, and posts them when the next bite might not fit into their message.
func (s *stream) chew(ctx context.Context) bool {
	s.decodeText(s.apart)
	size := s.batch.Size()
	more := size - s.weight
	s.weighed, s.weight = s.end, size
	return size+more <= telemetry.TargetFrame || s.next(ctx)
}

// next posts what was read and goes on with another batch.
func (s *stream) next(ctx context.Context) bool {
	if !s.post(true) {
		return false
	}
	if s.end > 0 {
		s.linger(ctx)
	} else {
		s.quiet(ctx)
	}
	return true
}

// decodeText makes points of what was read, but for the begin of a line at its end.
func (s *stream) decodeText(last bool) {
	rest, _ := s.take(s.batch, s.text[s.start:s.end], last)
	s.start = s.end - len(rest)
}

// decodeNow makes points of what was read before more has come: somebody waits for the answers.
func (s *stream) decodeNow() {
	if s.batch == nil {
		s.batch, s.text = s.piece(s.text[:s.end])
	}
	s.decodeText(false)
	s.other.send()
}

// piece returns an empty batch, and memory of it that begins with text.
func (s *stream) piece(text []byte) (*telemetry.Batch, []byte) {
	first, largest := s.l.cfg.pieces()
	s.size = min(max(s.size, first), largest)
	b := s.out.Batch()
	p := b.Text(s.size)
	copy(p, text)
	return b, p
}

// flush posts what was read, if there is anything.
func (s *stream) flush() bool { return s.end == 0 || s.post(false) }

// post makes points of what was read and hands them over. A busy source gets another piece of memory, a larger one.
func (s *stream) post(busy bool) bool {
	b := s.batch
	if b == nil {
		b = s.out.Batch()
		s.batch, s.text = b, append(b.Text(s.end)[:0], s.text[:s.end]...)
	}
	s.decodeText(!busy)
	rest := s.text[s.start:s.end]
	s.start, s.end = 0, len(rest)
	s.weighed, s.weight = 0, 0
	s.size *= 2
	if !busy {
		s.size = 0
	}
	if busy || len(rest)+s.room > len(s.small) {
		s.batch, s.text = s.piece(rest)
	} else {
		s.batch, s.text = nil, s.small[:]
		copy(s.text, rest)
	}
	n := b.Len()
	if err := s.out.Post(b, s.l.linger()); err != nil {
		s.lost(n, err)
		return false
	}
	return true
}

// lost counts points that nobody takes any more.
func (s *stream) lost(n int, err error) {
	s.out.Drop("not_sent", n)
	if more, ok := s.l.reports.bus.Pass(); ok {
		s.l.log.Warn("points lost", "from", s.from, "points", n, "error", err, "unreported", more)
	}
}

// unfinished counts a line whose end has not come: half a number is a number too, and a wrong one.
func (s *stream) unfinished() {
	s.out.Drop("unfinished", 1)
	if more, ok := s.l.reports.lines.Pass(); ok {
		s.l.log.Warn("line refused: the connection ended before the line did", "from", s.from, "line", s.lines+1, "unreported", more)
	}
}

// release gives back a batch that was not needed.
func (s *stream) release() {
	if s.batch != nil {
		s.batch.Reset()
		_ = s.out.Post(s.batch, 0)
	}
}
