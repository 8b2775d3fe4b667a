package prometheus

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

var (
	errName   = errors.New("no name of a metric")
	errNames  = errors.New("two names of a metric")
	errLabel  = errors.New("no name of a label")
	errTwice  = errors.New("a label twice")
	errEquals = errors.New(`no ="..." behind the name of a label`)
	errQuote  = errors.New("a text in quotes does not end")
	errBrace  = errors.New("labels that do not end with }")
	errValue  = errors.New("no number as the value")
	errStamp  = errors.New("no number as the time")
	errRest   = errors.New("something behind the end")
	errTime   = errors.New("the time is not between the years 1678 and 2261")
	errLong   = fmt.Errorf("it has more than %d bytes", report.MaxLine)
	errMany   = fmt.Errorf("more than %d labels", mostLabels)
)

// mostLabels is how many a line may have: more than a point, as Options.Sample may take some away.
const mostLabels = 4 * telemetry.MaxTags

// parse reads a line as the sample.
func (d *Decoder) parse(line string) (err error) {
	if len(line) > report.MaxLine {
		return errLong
	}
	s := &d.sample
	at := nameEnd(line)
	s.Name, s.Labels = line[:at], s.Labels[:0]
	at = blanks(line, at)
	if at < len(line) && line[at] == '{' {
		if at, err = s.labels(line, at+1); err != nil {
			return err
		}
	}
	if s.Name == "" {
		return errName
	}
	word, rest := cutWord(line[at:])
	var ok bool
	if s.Value, ok = float(word); !ok {
		return errValue
	}
	if d.OpenMetrics {
		rest = withoutExemplar(rest)
	}
	word, rest = cutWord(rest)
	if rest != "" {
		return errRest
	}
	if word == "" {
		return nil
	}
	s.Timed = true
	if d.OpenMetrics {
		s.Time, err = seconds(word)
	} else {
		s.Time, err = milliseconds(word)
	}
	return err
}

// labels reads what stands behind {, and returns where it ends. The name of the metric may be among it, in quotes.
func (s *Sample) labels(line string, at int) (next int, err error) {
	for {
		at = blanks(line, at)
		if at == len(line) {
			return 0, errBrace
		}
		if line[at] == '}' {
			return at + 1, nil
		}
		if at, err = s.label(line, at); err != nil {
			return 0, err
		}
		at = blanks(line, at)
		switch {
		case at == len(line):
			return 0, errBrace
		case line[at] == ',':
			at++
		case line[at] != '}':
			return 0, errBrace
		}
	}
}

// label reads one label, or the name in quotes, and returns where it ends.
func (s *Sample) label(line string, at int) (next int, err error) {
	var key, text string
	quoted := line[at] == '"'
	if quoted {
		if key, at, err = quote(line, at); err != nil {
			return 0, err
		}
	} else {
		end := at + labelEnd(line[at:])
		key, at = line[at:end], end
	}
	at = blanks(line, at)
	switch {
	case at < len(line) && line[at] == '=':
	case !quoted && key != "":
		return 0, errEquals
	case !quoted:
		return 0, errLabel
	case s.Name != "":
		return 0, errNames
	default:
		s.Name = key
		return at, nil
	}
	if key == "" {
		return 0, errLabel
	}
	at = blanks(line, at+1)
	if at == len(line) || line[at] != '"' {
		return 0, errEquals
	}
	if text, at, err = quote(line, at); err != nil {
		return 0, err
	}
	if len(s.Labels) == mostLabels {
		return 0, errMany
	}
	for i := range s.Labels {
		if s.Labels[i].Key == key {
			return 0, errTwice
		}
	}
	s.Labels = append(s.Labels, telemetry.Tag{Key: key, Value: text})
	return at, nil
}

// quote reads the text in quotes that begins at at, and returns where it ends.
func quote(line string, at int) (text string, next int, err error) {
	at++
	end := at
	for end < len(line) && line[end] != '"' && line[end] != '\\' {
		end++
	}
	if end < len(line) && line[end] == '"' {
		return line[at:end], end + 1, nil
	}
	var b strings.Builder
	for ; at < len(line); at++ {
		switch c := line[at]; {
		case c == '"':
			return b.String(), at + 1, nil
		case c == '\\' && at+1 < len(line):
			at++
			unescape(&b, line[at])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, errQuote
}

// unescape writes what a backslash before c means. Before other characters it means itself.
func unescape(b *strings.Builder, c byte) {
	switch c {
	case 'n':
		b.WriteByte('\n')
	case '\\', '"':
		b.WriteByte(c)
	default:
		b.WriteByte('\\')
		b.WriteByte(c)
	}
}

// withoutExemplar returns what stands before an exemplar: a trace that led to the sample, which is not kept.
func withoutExemplar(text string) string {
	before, _, _ := strings.Cut(text, "#")
	return trim(before)
}

// float returns the number that word is. The forms of Go that are none of the format's do not count.
func float(word string) (v float64, ok bool) {
	if v, ok := whole(word); ok {
		return v, true
	}
	if strings.IndexByte(word, '_') >= 0 || hexadecimal(word) {
		return 0, false
	}
	v, err := strconv.ParseFloat(word, 64)
	return v, err == nil || errors.Is(err, strconv.ErrRange) // too large is an infinity
}

// whole returns the number that word is, if it is digits alone and no more than a float holds exactly: most counters are.
func whole(word string) (v float64, ok bool) {
	const most = 15
	if word == "" || len(word) > most {
		return 0, false
	}
	n := uint64(0)
	for i := range len(word) {
		digit := word[i] - '0'
		if digit > 9 {
			return 0, false
		}
		n = 10*n + uint64(digit)
	}
	return float64(n), true
}

func hexadecimal(word string) bool {
	if word != "" && (word[0] == '+' || word[0] == '-') {
		word = word[1:]
	}
	return len(word) > 1 && word[1]|0x20 == 'x'
}

const (
	milli = int64(1e6)
	most  = float64(math.MaxInt64) / 1e9
)

// milliseconds returns the time that word is, in ns.
func milliseconds(word string) (int64, error) {
	v, err := strconv.ParseInt(word, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, errTime
	case err != nil:
		return 0, errStamp
	}
	return ofMilliseconds(v)
}

// ofMilliseconds returns a time in ns.
func ofMilliseconds(v int64) (int64, error) {
	if v > math.MaxInt64/milli || v < math.MinInt64/milli {
		return 0, errTime
	}
	return v * milli, nil
}

// seconds returns the time that word is, in ns: whole microseconds, which is what a float of today can hold.
func seconds(word string) (int64, error) {
	v, ok := float(word)
	switch {
	case !ok || math.IsNaN(v):
		return 0, errStamp
	case math.Abs(v) >= most:
		return 0, errTime
	}
	whole, part := math.Modf(v)
	return int64(whole)*1e9 + int64(math.Round(part*1e6))*1e3, nil
}
