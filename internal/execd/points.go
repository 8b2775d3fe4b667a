package execd

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/pacewire/pacewire/internal/child"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// Points reads the points that programs print.
type Points struct {
	Decoder decode.Decoder
	Log     *slog.Logger
	Linger  time.Duration              // how long points wait for others to travel with
	Drop    func(reason string, n int) // counts what was left out; nil: the batch does, by the codes that it has

	told    time.Time
	missing int // lines that were left out since
}

// Unfinished is the reason why a line is left out that has no end: half a number is a number, too, and a wrong one.
const Unfinished = "unfinished"

// Read hands the points that a program prints to send, in batches that are empty before, until its output ends, or nobody takes them. A
// program that has closed its output is ended.
func (r *Points) Read(p *Program, empty func() *telemetry.Batch, send func(b *telemetry.Batch) error) {
	for lines := child.NewReader(p); ; {
		text, first, end := lines.Some()
		if len(text) > 0 {
			b := empty()
			r.decode(b, bytes.Clone(text), first) // its strings look into the text
			if send(b) != nil {
				return
			}
		}
		if errors.Is(end, io.EOF) {
			p.heardOut()
		}
		if end != nil {
			return
		}
		if r.Linger > 0 && p.Waiting() < telemetry.TargetFrame {
			p.goneWithin(r.Linger)
		}
	}
}

// decode makes b the points of text, whose first line has the number first.
func (r *Points) decode(b *telemetry.Batch, text []byte, first int) {
	whole := bytes.LastIndexByte(text, '\n') + 1
	got := r.Decoder.Decode(b, text[:whole], time.Now().Truncate(time.Microsecond))
	if rest := bytes.TrimSpace(text[whole:]); len(rest) > 0 {
		got.Refuse(Unfinished, bytes.Count(text, []byte{'\n'})+1, "the output has ended before the line did: %.60q", rest)
	}
	r.count(b, got)
	if n := got.Total(); n > 0 {
		r.tell(n, first, got)
	}
}

// count counts what was left out.
func (r *Points) count(b *telemetry.Batch, got report.Report) {
	if r.Drop == nil {
		got.Into(b.Drops())
		return
	}
	for reason, n := range got.Bad {
		r.Drop(report.Counter(reason), n)
	}
}

// tell tells of lines that cannot be read, once in a while: they are all counted.
func (r *Points) tell(n, first int, got report.Report) {
	const apart = 10 * time.Second
	r.missing += n
	if time.Since(r.told) < apart {
		return
	}
	r.Log.Warn("part of what the program prints is left out", "parts", r.missing, "behind_line", first-1, "error", got.First)
	r.told, r.missing = time.Now(), 0
}
