package supervise

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxLine      = 8 << 10 // bytes; the rest of a line is thrown away
	maxPerSecond = 500     // lines of a stream that are handed on
	cutMark      = " [cut]"
	tailLines    = 20
	tailBytes    = 1 << 10 // of each line in the tail
)

// lines cuts what a process prints into lines. It takes any amount, for ever,
// and holds one line at most.
type lines struct {
	hand func(line []byte) // a line that is within the rate
	keep *tail             // gets every line; may be nil
	skip func(n int64)     // counts what is not handed on

	line    []byte
	cutting bool // within the rest of a line that was too long
	second  time.Time
	taken   int   // lines in this second
	missing int64 // lines left out since the last one handed on
}

func (c *Child) lines(stream string, keep *tail) *lines {
	l := &lines{
		hand: func([]byte) {},
		keep: keep,
		skip: func(n int64) { c.leftOut.Add(n) },
	}
	if c.spec.Line != nil {
		l.hand = func(line []byte) { c.spec.Line(stream, line) }
	}
	return l
}

// Write never fails: an error would close the child's pipe.
func (l *lines) Write(p []byte) (int, error) {
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
func (l *lines) take(part []byte) {
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

func (l *lines) end() {
	if !l.cutting {
		l.put()
	}
	l.cutting = false
}

// flush hands on a last line that has no end.
func (l *lines) flush() {
	if len(l.line) > 0 {
		l.put()
	}
	l.tellMissing()
}

func (l *lines) put() {
	line := bytes.TrimSuffix(l.line, []byte{'\r'})
	l.line = l.line[:0]
	if l.keep != nil {
		l.keep.add(line)
	}
	if !l.allowed(time.Now()) {
		l.missing++
		l.skip(1)
		return
	}
	l.tellMissing()
	l.hand(line)
}

func (l *lines) allowed(now time.Time) bool {
	if now.Sub(l.second) >= time.Second {
		l.second, l.taken = now, 0
	}
	l.taken++
	return l.taken <= maxPerSecond
}

// tellMissing puts a line in the place of those that are not there.
func (l *lines) tellMissing() {
	if l.missing > 0 {
		l.hand(fmt.Appendf(nil, "[%d lines left out]", l.missing))
		l.missing = 0
	}
}

// tail keeps the last lines.
type tail struct {
	mu    sync.Mutex
	kept  []string
	fresh int // how many of them are of the present process
}

// begin says that a new process prints from now on.
func (t *tail) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fresh = 0
}

func (t *tail) add(line []byte) {
	text := strings.ToValidUTF8(string(line[:min(len(line), tailBytes)]), "\uFFFD")
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.kept) == tailLines {
		t.kept = slices.Delete(t.kept, 0, 1)
	}
	t.kept = append(t.kept, text)
	t.fresh = min(t.fresh+1, tailLines)
}

func (t *tail) lines() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.kept)
}

// last is what up to n lines of the present process say of its end, the last
// one first: a reason is often cut.
func (t *tail) last(n int, cause func(string) (string, bool)) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last []string
	for i := len(t.kept) - 1; i >= len(t.kept)-t.fresh && len(last) < n; i-- {
		text, whole := cause(strings.TrimSpace(t.kept[i]))
		if text != "" && !slices.Contains(last, text) {
			last = append(last, text)
		}
		if whole {
			break
		}
	}
	return last
}
