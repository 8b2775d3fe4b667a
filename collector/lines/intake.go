package lines

import (
	"bytes"
	"cmp"
	"errors"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/telemetry"
)

// An intake makes points of the text of one source.
type intake struct {
	l      *listener
	out    collector.Emitter
	from   string // who sends
	apart  bool   // each text stands for itself: none goes on with another, and lines are numbered in each
	lines  int    // how many have come before
	cut    cutter
	decode telemetry.LineDecoder
	other  *other // nil: line protocol
}

func (l *listener) intake(out collector.Emitter, from string) intake {
	in := intake{l: l, out: out, from: from, cut: cutter{limit: l.cfg.MaxLine}}
	in.decode.Precision = l.unit
	if decode.Canonical(l.cfg.Format) != influx {
		in.other = l.other()
	}
	return in
}

// take adds the points of the whole lines in text to b, and returns what comes behind them: the begin of a line. A text in
// open quotes is the begin of a line too, since it may have newlines in it, unless this is the last chance. The error joins
// those of the lines that are left out.
func (in *intake) take(b *telemetry.Batch, text []byte, last bool) (rest []byte, err error) {
	arrival := time.Now()
	if in.apart {
		in.lines = 0
	}
	for {
		lines, rest := in.cut.next(text)
		err = errors.Join(err, in.tooLong())
		if len(lines) == 0 {
			return rest, err
		}
		n, fault := in.read(b, lines, arrival, last)
		err = errors.Join(err, fault)
		if n < len(lines) {
			open := text[len(text)-len(rest)-len(lines)+n:]
			if len(open) <= in.cut.limit {
				return open, err
			}
			_, fault = in.read(b, lines[n:], arrival, true)
			err = errors.Join(err, fault)
		}
		text = rest
	}
}

// read adds the points of lines to b, and returns how much of lines it has read: all of it, if last.
func (in *intake) read(b *telemetry.Batch, lines []byte, arrival time.Time, last bool) (n int, err error) {
	if in.other != nil {
		in.readOther(b, lines, arrival)
		return len(lines), nil
	}
	if last {
		n, err = len(lines), in.decode.Decode(b, lines, arrival)
	} else {
		n, err = in.decode.DecodePart(b, lines, arrival)
	}
	if err != nil {
		in.refused(err)
	}
	in.lines += bytes.Count(lines[:n], []byte{'\n'})
	return n, err
}

// refused numbers the lines that err is about as the sender does, and reports the first of them.
func (in *intake) refused(err error) {
	var first *telemetry.DecodeError
	for _, fault := range flat(err) {
		if e, ok := errors.AsType[*telemetry.DecodeError](fault); ok {
			e.Line += in.lines
			first = cmp.Or(first, e)
		}
	}
	if first == nil {
		return
	}
	if more, ok := in.l.reports.lines.Pass(); ok {
		in.l.log.Warn("line refused", "from", in.from, "line", first.Line, "error", first.Where, "unreported", more)
	}
}

// tooLong counts and reports the lines that the cutter has left out since the last time.
func (in *intake) tooLong() error {
	n := in.cut.long
	if n == 0 {
		return nil
	}
	in.cut.long = 0
	in.lines += n
	in.out.Drop("too_long", n)
	err := &tooLongError{in.lines, in.l.cfg.MaxLine, string(in.cut.start)}
	if more, ok := in.l.reports.lines.Pass(); ok {
		in.l.log.Warn("line refused", "from", in.from, "line", in.lines, "error", err, "unreported", more)
	}
	if in.other != nil {
		in.other.refuse(n, err)
	}
	return err
}
