package embedded

import (
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

func (l *logger) Noticef(format string, v ...any) { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l *logger) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(format string, v ...any)  { l.log.Debug(fmt.Sprintf(format, v...)) }
func (l *logger) Tracef(string, ...any)           {}

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error(text)
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
