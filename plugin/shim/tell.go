package shim

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// A teller tells of lines that cannot be read, so many a second: they are all counted.
type teller struct {
	log     *slog.Logger
	second  time.Time
	n       int
	missing int
}

const (
	toldPerSecond = 5
	toldBytes     = 120 // of a line
)

// bad tells what is wrong with a line; the first time also what a good one looks like.
func (t *teller) bad(line int, text []byte, form Format, err error) {
	first := t.second.IsZero()
	if now := time.Now(); now.Sub(t.second) >= time.Second {
		t.second, t.n = now, 0
	}
	if t.n++; t.n > toldPerSecond {
		t.missing++
		return
	}
	attrs := []any{"line", line, "text", cut(string(text), toldBytes), "error", reason(err)}
	if t.missing > 0 {
		attrs = append(attrs, "more", t.missing)
		t.missing = 0
	}
	if first {
		attrs = append(attrs, "want", form.example())
	}
	t.log.Warn("a line of the program is left out", attrs...)
}

// reason returns an error of a decoder without the number of the line, which is another one: that of the program's output.
func reason(err error) string {
	if e, ok := errors.AsType[*telemetry.DecodeError](err); ok {
		return strings.TrimSuffix(strings.TrimPrefix(e.Code.String()+": "+e.Where, "line: "), ": ")
	}
	return err.Error()
}

// codeOf returns the code by which a line is counted that cannot be read.
func codeOf(err error) telemetry.Code {
	if e, ok := errors.AsType[*telemetry.DecodeError](err); ok {
		return e.Code
	}
	return telemetry.CodeLine
}

// cut returns the start of a text without its line end, at most so many bytes.
func cut(text string, most int) string {
	text = strings.TrimRight(text, "\r\n")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "\uFFFD") + "..."
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
