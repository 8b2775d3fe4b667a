package lines

import (
	"errors"
	"time"

	"github.com/pacewire/pacewire/collector"
	"github.com/pacewire/pacewire/telemetry"
)

// An intake makes points of the text of one source.
type intake struct {
	l      *listener
	out    collector.Emitter
	from   string // who sends
	lines  int    // how many have come before, without empty ones and comments
	cut    cutter
	decode telemetry.LineDecoder
}

func (l *listener) intake(out collector.Emitter, from string) intake {
	in := intake{l: l, out: out, from: from, cut: cutter{limit: l.cfg.MaxLine}}
	in.decode.Precision = l.unit
	return in
}

// take adds the points of the whole lines in text to b, and returns what comes behind them: the begin of a line. The error
// joins those of the lines that are left out.
func (in *intake) take(b *telemetry.Batch, text []byte) (rest []byte, err error) {
	var errs []error
	arrival := time.Now()
	for lines, rest := in.cut.next(text); ; lines, rest = in.cut.next(rest) {
		if in.cut.long > 0 {
			errs = append(errs, in.tooLong())
		}
		if len(lines) == 0 {
			return rest, errors.Join(errs...)
		}
		before := b.Len() + b.Drops().Total()
		if err := in.decode.Decode(b, lines, arrival); err != nil {
			errs = append(errs, err)
			in.refused(err)
		}
		in.lines += b.Len() + b.Drops().Total() - before
	}
}

// refused reports the first of the lines that err is about.
func (in *intake) refused(err error) {
	line := in.lines
	if e, ok := errors.AsType[*telemetry.DecodeError](err); ok {
		err = e
		line += e.Line
	}
	if more, ok := in.l.reports.lines.pass(); ok {
		in.l.log.Warn("line refused", "from", in.from, "line", line, "error", err, "unreported", more)
	}
}

// tooLong counts and reports the lines that the cutter has left out.
func (in *intake) tooLong() error {
	n := in.cut.long
	in.cut.long = 0
	in.lines += n
	in.out.Drop("too_long", n)
	err := &tooLongError{in.l.cfg.MaxLine, in.cut.start}
	if more, ok := in.l.reports.lines.pass(); ok {
		in.l.log.Warn("line refused", "from", in.from, "line", in.lines, "error", err, "unreported", more)
	}
	return err
}
