package decode

import (
	"bytes"
	"regexp"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// auto reads each text as what it looks like.
type auto struct {
	options  Options
	decoders map[string]Decoder
}

// Decode adds the points of text, of which plain text has none.
func (a *auto) Decode(b *telemetry.Batch, text []byte, at time.Time) (r report.Report) {
	format := Detect(text)
	if format == "" {
		return r
	}
	d := a.decoders[format]
	if d == nil {
		var err error
		if d, err = New(format, a.options); err != nil {
			r.Refuse(report.Syntax, 0, "%w", err)
			return r
		}
		if a.decoders == nil {
			a.decoders = map[string]Decoder{}
		}
		a.decoders[format] = d
	}
	return d.Decode(b, text, at)
}

const (
	looked  = 20      // lines with something on them that are looked at
	lookFar = 4 << 10 // bytes of each that are
)

// Detect tells the format of a text by its first lines; "" is plain text.
func Detect(text []byte) string {
	n := 0
	for line := range bytes.Lines(text) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		if format := formatOf(line[:min(len(line), lookFar)]); format != "" {
			return format
		}
		if n++; n == looked {
			break
		}
	}
	return ""
}

const number = `[-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?`

// looks are what a line of each format looks like; the first that fits counts.
var looks = []struct {
	format string
	line   *regexp.Regexp
}{
	{"prometheus", regexp.MustCompile(`^# (HELP|TYPE) `)},
	{"json", regexp.MustCompile(`^[{\[]\s*(["{\[}\]]|$)`)},
	{"collectd", regexp.MustCompile(`^PUT(VAL|NOTIF) `)},
	{"nagios", regexp.MustCompile(`\|.*=`)},
	{"influx", regexp.MustCompile(`^[^\s,=#]+(,\S+=\S+)* [^\s=]+=([-+0-9."]|[tTfF])`)},
	{"opentsdb", regexp.MustCompile(`^(put )?\S+ [0-9]{10,13} ` + number + `( \S+=\S+)+$`)},
	{"graphite", regexp.MustCompile(`^[^\s{]+ ` + number + ` -?[0-9]+(\.[0-9]+)?$`)},
	{"prometheus", regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*\{.*\} ` + number)},
}

// formatOf tells the format of a line, "" if it could be any text.
func formatOf(line []byte) string {
	for _, l := range looks {
		if l.line.Match(line) {
			return l.format
		}
	}
	return ""
}
