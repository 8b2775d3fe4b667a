package process

import (
	"bytes"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
)

const (
	maxLine      = 8 << 10 // bytes; the rest of a line is thrown away
	maxPerSecond = 500     // lines that are handed on
	cutMark      = " [cut]"
)

// Lines cuts what a process prints into lines. It takes any amount, for ever, and holds one line at most. A line is valid during
// the call that gets it.
type Lines struct {
	Hand  func(line []byte) // gets the lines that do not come too fast; nil: nobody does
	Every func(line []byte) // gets all of them, before Hand; nil: nobody does
	Skip  func(n int64)     // counts what is not handed on; nil: nobody does

	line    []byte
	cutting bool // within the rest of a line that was too long
	second  time.Time
	taken   int   // lines in this second
	missing int64 // lines left out since the last one handed on
}

// Write never fails: an error would close the process's pipe.
func (l *Lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part, rest, whole := bytes.Cut(p, []byte{'\n'})
		l.take(part)
		if whole {
			l.end()
		}
		p = rest
	}
	return n, nil
}

// take adds to the line. One that gets too long is handed on now: its end may never come.
func (l *Lines) take(part []byte) {
	if l.cutting {
		return
	}
	room := maxLine - len(l.line)
	if len(part) <= room {
		l.line = append(l.line, part...)
		return
	}
	l.line = append(append(l.line, part[:room]...), cutMark...)
	l.put()
	l.cutting = true
}

func (l *Lines) end() {
	if !l.cutting {
		l.put()
	}
	l.cutting = false
}

// Flush hands on a last line that has no end.
func (l *Lines) Flush() {
	if len(l.line) > 0 {
		l.put()
	}
	l.tellMissing()
}

func (l *Lines) put() {
	line := bytes.TrimSuffix(l.line, []byte{'\r'})
	l.line = l.line[:0]
	if l.Every != nil {
		l.Every(line)
	}
	if !l.allowed(time.Now()) {
		l.missing++
		if l.Skip != nil {
			l.Skip(1)
		}
		return
	}
	l.tellMissing()
	l.hand(line)
}

func (l *Lines) hand(line []byte) {
	if l.Hand != nil {
		l.Hand(line)
	}
}

func (l *Lines) allowed(now time.Time) bool {
	if now.Sub(l.second) >= time.Second {
		l.second, l.taken = now, 0
	}
	l.taken++
	return l.taken <= maxPerSecond
}

// tellMissing puts a line in the place of those that are not there.
func (l *Lines) tellMissing() {
	if l.missing > 0 {
		l.hand(fmt.Appendf(nil, "[%s left out]", amount.Of(l.missing, "line", "lines")))
		l.missing = 0
	}
}
