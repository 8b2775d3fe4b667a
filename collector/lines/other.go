package lines

import (
	"bytes"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// other is how an intake reads another format than line protocol.
type other struct {
	decode.Decoder
	*dialogue // nil: nobody is answered
}

// other returns what reads the lines of one source in the format of the config.
func (l *listener) other() *other {
	d, err := decode.New(l.cfg.Format, l.options)
	if err != nil {
		panic(err) // Validate has made one of the same
	}
	return &other{Decoder: d}
}

// readOther adds the points of lines. Each is read by itself, and costs itself alone; but those of a datagram may be one document.
func (in *intake) readOther(b *telemetry.Batch, lines []byte, arrival time.Time) {
	if in.apart {
		in.account(in.other.Decode(b, lines, arrival))
		in.lines += bytes.Count(lines, []byte{'\n'})
		return
	}
	for line := range bytes.Lines(lines) {
		in.lines++
		if in.other.asks(line) {
			continue
		}
		got := in.other.Decode(b, line, arrival)
		in.account(got)
		in.other.answer(line, got)
	}
}

// account counts what was left out, by its reason, and reports the first of it.
func (in *intake) account(got report.Report) {
	for reason, n := range got.Bad {
		in.out.Drop(report.Counter(reason), n)
	}
	if got.First == nil {
		return
	}
	more, ok := in.l.reports.lines.Pass()
	switch {
	case !ok:
	case in.apart: // the error has the number
		in.l.log.Warn("line refused", "from", in.from, "error", got.First, "unreported", more)
	default:
		in.l.log.Warn("line refused", "from", in.from, "line", in.lines, "error", said(got.First), "unreported", more)
	}
}

// said returns an error about a line without its number, which is 1 where lines are read one by one.
func said(err error) string { return strings.TrimPrefix(err.Error(), "line 1: ") }
