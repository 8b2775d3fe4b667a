package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// logger gives the server's messages to slog, and its fatal ones to who waits for
// the start: the server only logs them.
type logger struct {
	log   *slog.Logger
	fatal chan string
	told  oncePerMinute // by connection

	denied func(connection uint64)
	hurt   func() // a write has failed
}

func newLogger(log *slog.Logger, denied func(connection uint64), hurt func()) *logger {
	return &logger{denied: denied, hurt: hurt, log: log.With("part", "nats"), fatal: make(chan string, 1)} // 1: the first one counts
}

func (l *logger) Noticef(format string, v ...any) { l.pass(slog.LevelDebug, format, v) }
func (l *logger) Warnf(format string, v ...any)   { l.pass(slog.LevelWarn, format, v) }
func (l *logger) Debugf(format string, v ...any)  { l.pass(slog.LevelDebug, format, v) }
func (l *logger) Tracef(string, ...any)           {}

// Errorf leaves out what clients could flood the log with.
func (l *logger) Errorf(format string, v ...any) {
	if strings.Contains(format, "Critical write error") {
		l.hurt()
	}
	client, denied := violation(format)
	if id, ok := connection(client); ok && denied {
		l.denied(id)
	}
	switch {
	case refusal(format, v):
		l.pass(slog.LevelDebug, format, v) // the doorman says it
	case denied && l.told.first(client):
		l.pass(slog.LevelWarn, format, v)
	case !denied:
		l.pass(slog.LevelError, format, v)
	}
}

// refusal recognises the message that a client is not let in. What a client calls
// itself stands in front of it, and so hides nothing.
func refusal(format string, v []any) bool {
	if len(v) == 0 {
		return strings.HasSuffix(format, server.ErrAuthentication.Error())
	}
	err, ok := v[0].(error)
	return ok && errors.Is(err, server.ErrAuthentication)
}

// violation recognises the message that a client may not use a subject.
func violation(format string) (client string, ok bool) {
	at := strings.LastIndex(format, " Violation - ")
	return format[:max(at, 0)], at >= 0
}

// connection returns the number of a connection by what a message of it begins with, "127.0.0.1:4222 - cid:7 - ...". What the
// client calls itself comes later.
func connection(client string) (id uint64, ok bool) {
	_, rest, _ := strings.Cut(client, " - cid:")
	number, _, _ := strings.Cut(rest, " ")
	id, err := strconv.ParseUint(number, 10, 64)
	return id, err == nil
}

// pass logs what the server says as an attribute: our own messages are constant.
func (l *logger) pass(level slog.Level, format string, v []any) {
	if ctx := context.Background(); l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "server says", "text", fmt.Sprintf(format, v...))
	}
}

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("server gives up", "text", text)
	select {
	case l.fatal <- text:
	default:
	}
}

// oncePerMinute lets the first of each kind through, and remembers no more than a
// flood of kinds may take.
type oncePerMinute struct {
	mu    sync.Mutex
	since time.Time
	seen  map[string]struct{}
}

const maxKinds = 1024

func (o *oncePerMinute) first(kind string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := time.Now(); o.seen == nil || now.Sub(o.since) >= time.Minute {
		o.since, o.seen = now, make(map[string]struct{})
	}
	if _, again := o.seen[kind]; again || len(o.seen) >= maxKinds {
		return false
	}
	o.seen[kind] = struct{}{}
	return true
}

// explain turns what the server says before it gives up into what to do.
func (s *Server) explain(text string) error {
	switch {
	case strings.Contains(text, "address already in use"):
		return fmt.Errorf("%s is in use by another program: stop that one or set another bus.listen", s.addr)
	case strings.Contains(text, "Error listening"):
		return fmt.Errorf("cannot listen on %s: %s: set another bus.listen", s.addr, text)
	case strings.Contains(text, "JetStream"):
		return fmt.Errorf("store %s: %s", s.opts.Dir, text)
	}
	return errors.New(text)
}
