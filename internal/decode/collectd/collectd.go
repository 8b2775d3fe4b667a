// Package collectd reads the plain text protocol of collectd: values and notifications, as its exec plugin and its socket take them.
package collectd

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// Reasons for leaving something out that only this format has.
const (
	BadValue       = "bad_value"       // no number where a value should be
	WrongCount     = "wrong_count"     // another number of values than the type has
	OutOfRange     = "out_of_range"    // a value that its type says is impossible
	UnknownCommand = "unknown_command" // neither PUTVAL nor PUTNOTIF
)

// Options say how lines become points.
type Options struct {
	Types  Types  // the names of values; those of other types are value, or value0, value1 ...
	Plugin string // the plugin whose events notifications are
}

// Every is how often programs are to speak unless somebody says it, as of collectd itself.
const Every = 10 * time.Second

// Variables are what the exec plugin tells its programs: the host that they are to speak of, and how often.
func Variables(host string, every time.Duration) map[string]string {
	if every <= 0 {
		every = Every
	}
	return map[string]string{
		"COLLECTD_HOSTNAME": host, "COLLECTD_INTERVAL": strconv.FormatFloat(every.Seconds(), 'f', -1, 64),
	}
}

// Decode adds the points and the events of a text: PUTVAL and PUTNOTIF, one a line. Empty lines and those that begin with # say nothing.
func Decode(b *telemetry.Batch, text []byte, at time.Time, o Options) report.Report {
	r := reader{b: b, options: o, at: at}
	for n, line := range r.report.Lines(text) {
		if r.line = n; line[0] != '#' {
			r.command(line)
		}
	}
	return r.report
}

// A reader reads one text.
type reader struct {
	b       *telemetry.Batch
	options Options
	at      time.Time
	line    int
	report  report.Report
}

// A fault is what is wrong with a line, and the reason under which that is counted.
type fault struct {
	reason string
	error
}

func (f *fault) Unwrap() error { return f.error }

func faultf(reason, format string, args ...any) error {
	return &fault{reason, fmt.Errorf(format, args...)}
}

// command takes one line.
func (r *reader) command(line string) {
	word, rest := line, ""
	if i := strings.IndexAny(line, blanks); i >= 0 {
		word, rest = line[:i], line[i:]
	}
	var err error
	switch strings.ToUpper(word) {
	case "PUTVAL":
		err = r.values(rest)
	case "PUTNOTIF":
		err = r.notification(rest)
	default:
		err = faultf(UnknownCommand, "%.40q: want PUTVAL or PUTNOTIF", word)
	}
	if f, ok := errors.AsType[*fault](err); ok {
		r.report.Refuse(f.reason, r.line, "%w", f.error)
	}
}

// time reads a time in seconds; N and an empty one are now.
func (r *reader) time(text string) (time.Time, error) {
	if text == "N" || text == "" {
		return r.at, nil
	}
	t, reason := report.Seconds(text)
	if reason != "" {
		return t, faultf(reason, "time %.40q: want seconds since 1970, in the years 1678 to 2261, or N", text)
	}
	return t, nil
}

// hostTag is what the tag host is for a host; that of localhost is for who sends the batch to decide.
func hostTag(name string) string {
	if name == here {
		return ""
	}
	return name
}

// here is what programs call the host that they run on, when nobody has told them its name.
const here = "localhost"
