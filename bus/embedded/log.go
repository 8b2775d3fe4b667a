package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// logger gives the server's messages to slog, and its fatal ones to who waits for
// the start: the server only logs them.
type logger struct {
	log   *slog.Logger
	fatal chan string
}

func newLogger(log *slog.Logger) *logger {
	return &logger{log: log.With("part", "nats"), fatal: make(chan string, 1)} // 1: the first one counts
}

func (l *logger) Noticef(format string, v ...any) { l.pass(slog.LevelDebug, format, v) }
func (l *logger) Warnf(format string, v ...any)   { l.pass(slog.LevelWarn, format, v) }
func (l *logger) Errorf(format string, v ...any)  { l.pass(slog.LevelError, format, v) }
func (l *logger) Debugf(format string, v ...any)  { l.pass(slog.LevelDebug, format, v) }
func (l *logger) Tracef(string, ...any)           {}

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
