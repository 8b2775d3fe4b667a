package execd

import (
	"bytes"
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
	Linger  time.Duration // how long points wait for others to travel with

	told    time.Time
	missing int // lines that were left out since
}

// Read hands the points that a program prints to send, in batches that are empty before, until its output ends, or nobody takes them.
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
	got := r.Decoder.Decode(b, text, time.Now().Truncate(time.Microsecond))
	got.Into(b.Drops())
	if n := got.Total(); n > 0 {
		r.tell(n, first, got)
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
