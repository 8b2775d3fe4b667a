package decode

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// influx reads line protocol.
type influx struct{ lines telemetry.LineDecoder }

func newInflux(o Options) *influx {
	return &influx{telemetry.LineDecoder{Precision: o.Precision}}
}

// Decode adds the points of text. What is left out is in the report alone, as with all formats: see report.Into. Where line protocol
// refuses a name that is not UTF-8, a program's is mended as it is in all formats.
func (d *influx) Decode(b *telemetry.Batch, text []byte, at time.Time) (r report.Report) {
	if !utf8.Valid(text) {
		text = bytes.Map(func(r rune) rune { return r }, text) // U+FFFD for each bad byte
	}
	points, before := b.Len(), *b.Drops()
	err := d.lines.Decode(b, text, at)
	b.Drops().Each(func(c telemetry.Code, n int) { r.Count(reason(c), n-before.Count(c)) })
	*b.Drops() = before
	r.Points = b.Len() - points
	var first *telemetry.DecodeError
	switch {
	case errors.As(err, &first):
		r.First = first
	case len(r.Bad) > 0: // no line is bad, but values are
		r.First = fmt.Errorf("values that no point can have: %s", strings.Join(slices.Sorted(maps.Keys(r.Bad)), ", "))
	}
	return r
}

// reason is the name that all formats have for a code.
func reason(c telemetry.Code) string {
	switch c {
	case telemetry.CodeNaN:
		return report.NotFinite
	case telemetry.CodeLine:
		return report.Syntax
	}
	return c.String()
}
