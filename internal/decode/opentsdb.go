package decode

import (
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode/graphite"
	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// opentsdb reads the lines that OpenTSDB takes: "[put] NAME TIME VALUE TAG=VALUE ...". Each has its time.
func opentsdb(b *telemetry.Batch, text []byte, _ time.Time) (r report.Report) {
	for n, words := range r.Words(text) {
		metric(b, &r, n, words)
	}
	return r
}

// metric adds the point of a line.
func metric(b *telemetry.Batch, r *report.Report, n int, words []string) {
	if words[0] == "put" {
		words = words[1:]
	}
	if len(words) < 4 {
		r.Refuse(report.Syntax, n, "want a name, a time, a value and a tag at least, and there are %d words", len(words))
		return
	}
	at, reason := opentsdbTime(words[1])
	if reason != "" {
		r.Refuse(reason, n, "time %.40q: want 10 digits of seconds or 13 of milliseconds since 1970", words[1])
		return
	}
	value, ok := graphite.Number(words[2])
	if !ok {
		r.Refuse(report.Syntax, n, "value %.40q: want a number", words[2])
		return
	}
	tags := telemetry.Tags{}
	for _, pair := range words[3:] {
		key, text, ok := strings.Cut(pair, "=")
		if !ok || key == "" || text == "" {
			r.Refuse(report.Syntax, n, "tag %.40q: want name=value", pair)
			return
		}
		tags[key] = text
	}
	r.AppendOne(b, n, telemetry.Point{Series: words[0], Time: at, Tags: tags}, "value", value)
}

// opentsdbTime reads a time whose unit its length tells.
func opentsdbTime(text string) (t time.Time, reason string) {
	const seconds, milliseconds = 10, 13
	v, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil || v < 0:
		return t, report.Syntax
	case len(text) == milliseconds:
		t = time.UnixMilli(v)
	case len(text) <= seconds:
		t = time.Unix(v, 0)
	default:
		return t, report.Syntax
	}
	if !report.Holds(t) {
		return t, report.TimeRange
	}
	return t, ""
}
