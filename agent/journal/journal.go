// Package journal keeps the last lines that plugins printed.
package journal

import (
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// DefaultBytes is what a Journal holds unless New is told otherwise.
const DefaultBytes = 64 << 10

// Stream is that of lines which the agent has to say about a plugin; the others are stdout and stderr.
const Stream = "agent"

// Journal holds the last lines of one plugin, of all its processes. Its methods may be called at the same time.
//
// Sequence numbers begin at the time the journal was made, in microseconds: so they go on growing when an agent starts again,
// and who follows a plugin is not taken for somebody who has seen it all.
type Journal struct {
	mu     sync.Mutex
	lines  ring
	before uint64 // the sequence number before the first
	last   uint64
	trace  trace
}

// New returns a journal bounded to so many bytes, what it needs for itself counted in; 0 means DefaultBytes.
func New(bytes int) *Journal {
	if bytes <= 0 {
		bytes = DefaultBytes
	}
	base := uint64(time.Now().UnixMicro())
	return &Journal{lines: ring{bound: bytes}, before: base, last: base}
}

// Add keeps a line that process pid printed, and returns it as it is kept: with its level and a sequence number, cut, and
// harmless to a terminal. The line is the caller's again afterwards.
func (j *Journal) Add(at time.Time, pid int, stream string, line []byte) telemetry.LogLine {
	r := Read(stream, line)
	j.mu.Lock()
	defer j.mu.Unlock()
	if stream == "stderr" {
		r.Level = j.trace.level(pid, r, line)
	}
	return j.keep(telemetry.LogLine{Time: at.UnixNano(), Stream: stream, Level: levelName(r.Level), PID: int64(pid), Text: r.Text()})
}

// Note keeps what the agent says about the plugin.
func (j *Journal) Note(level slog.Level, text string) telemetry.LogLine {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.keep(telemetry.LogLine{Time: time.Now().UnixNano(), Stream: Stream, Level: levelName(level), Text: cut(Printable(text))})
}

func (j *Journal) keep(l telemetry.LogLine) telemetry.LogLine {
	j.last++
	l.Seq = j.last
	j.lines.add(l)
	return l
}

// Bounds of a page: with these it has room in a reply, in JSON too.
const (
	pageLines = 500
	pageBytes = 48 << 10
)

// Page returns lines after the one of that sequence number, the oldest first. With a tail above 0 it begins no earlier than
// so many lines before the end, and what lies between does not count as lost. Pages are bounded in lines, and in bytes as
// JSON has them: to maxBytes, or to what a reply has room for; one line is on a page in any case.
func (j *Journal) Page(after uint64, tail, maxBytes int) telemetry.LogPage {
	if maxBytes <= 0 || maxBytes > pageBytes {
		maxBytes = pageBytes
	}
	if tail <= 0 {
		tail = math.MaxInt
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if after > j.last { // of an agent whose clock was ahead
		after = 0
	}
	after = max(after, j.before)
	p := telemetry.LogPage{Lines: []telemetry.LogLine{}, Next: j.last}
	n := j.lines.len()
	wanted := int(min(j.last-after, uint64(tail)))
	if wanted > n {
		p.Lost, wanted = uint64(wanted-n), n
	}
	for i := n - wanted; i < n; i++ {
		l := j.lines.at(i)
		maxBytes -= weight(l)
		if len(p.Lines) == pageLines || maxBytes < 0 && len(p.Lines) > 0 {
			p.More, p.Next = true, l.Seq-1
			break
		}
		p.Lines = append(p.Lines, l)
	}
	return p
}

// weight is how many bytes a line takes in JSON.
func weight(l telemetry.LogLine) int {
	const keys = 110 // and numbers
	n := keys + len(l.Text)
	for i := range len(l.Text) {
		switch l.Text[i] {
		case '"', '\\':
			n++
		case '<', '>', '&':
			n += 5
		}
	}
	return n
}
