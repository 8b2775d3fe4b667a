package journal

import (
	"bytes"
	"log/slog"
)

// trace follows what a process prints to stderr when it dies or fails: a panic of Go and a traceback of Python are one error
// of many lines, and an indented line goes on with the one before it.
type trace struct {
	pid   int
	dump  dump
	above slog.Level // of the line before
}

type dump int

const (
	none      dump = iota
	panicking      // Go: until the process ends
	traceback      // Python: to the first line that is not indented
)

// level returns the level of a line that r was read from.
func (t *trace) level(pid int, r Record, line []byte) slog.Level {
	if t.pid != pid {
		*t = trace{pid: pid, above: r.Level}
	}
	t.above = t.judge(r, line)
	return t.above
}

func (t *trace) judge(r Record, line []byte) slog.Level {
	begins := func(text string) bool { return bytes.HasPrefix(line, []byte(text)) }
	indented := begins(" ") || begins("\t")
	switch {
	case begins("panic: "), begins("fatal error: "), begins("SIGSEGV: "):
		t.dump = panicking
		return slog.LevelError
	case begins("Traceback (most recent call last):"):
		t.dump = traceback
		return slog.LevelError
	case r.told:
		t.dump = none
		return r.Level
	case t.dump == panicking:
		return slog.LevelError
	case t.dump == traceback:
		if !indented {
			t.dump = none
		}
		return slog.LevelError
	case indented:
		return t.above
	case begins("thread '") && bytes.Contains(line, []byte("' panicked at ")), begins("Exception in thread "): // Rust, Java
		return slog.LevelError
	}
	return r.Level
}
