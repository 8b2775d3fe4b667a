package decode

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// What hostile programs print, in every format. The rules, and why a format differs, are told to operators in the README of the
// collector exec, under "What is left out".

// A dialect is how a format writes a point that has one value.
type dialect struct {
	format     string
	head, tail string // around the points
	zeros      string // that make its unit of time of a second
	// line writes a point: label is the value of a tag, or what the format has in its place.
	line func(series, label, value, time string) string
	// point is that point as line protocol, with its time in seconds.
	point func(series, label, value, time string) string
}

func tagged(series, label, value, time string) string {
	return series + ",t=" + label + " value=" + value + " " + nanos(time)
}

// nanos makes nanoseconds of seconds.
func nanos(seconds string) string {
	if whole, part, ok := strings.Cut(seconds, "."); ok {
		return whole + (part + "000000000")[:9]
	}
	if seconds == "0" {
		return seconds
	}
	return seconds + "000000000"
}

const middle = "1700000000" // the time of points whose time is not what it is about; decoded at noon, which is the same

func dialects() []dialect {
	exposition := func(series, label, value, time string) string {
		return fmt.Sprintf("%s{t=\"%s\"} %s %s\n", series, label, value, time)
	}
	return []dialect{
		{"influx", "", "", "000000000", func(series, label, value, time string) string {
			return fmt.Sprintf("%s,t=%s value=%s %s\n", series, label, value, time)
		}, tagged},
		{"json", "", "", "000000000", func(series, label, value, time string) string {
			return fmt.Sprintf(`{"series":"%s","tags":{"t":"%s"},"fields":{"value":%s},"time":%s}`+"\n", series, label, value, time)
		}, tagged},
		{"graphite", "", "", "", func(series, label, value, time string) string {
			return fmt.Sprintf("%s;t=%s %s %s\n", series, label, value, time)
		}, tagged},
		{"opentsdb", "", "", "", func(series, label, value, time string) string {
			return fmt.Sprintf("put %s %s %s t=%s\n", series, time, value, label)
		}, tagged},
		{"prometheus", "", "", "000", exposition, tagged},
		{"openmetrics", "", "# EOF\n", "", exposition, tagged},
		{"collectd", "", "", "", func(series, label, value, time string) string {
			return fmt.Sprintf("PUTVAL localhost/%s/x-%s %s:%s\n", series, label, time, value)
		}, func(series, label, value, time string) string {
			return fmt.Sprintf("%s_x,type_instance=%s value=%s %s", series, label, value, nanos(time))
		}},
		{"munin", "", "", "", func(series, label, value, time string) string {
			return fmt.Sprintf("multigraph %s.%s\nvalue.value %s:%s\n", series, label, time, value)
		}, func(series, label, value, time string) string {
			return fmt.Sprintf("munin,graph=%s.%s value=%s %s", series, label, value, nanos(time))
		}},
		{"nagios", "OK\n|", "", "", func(series, label, value, _ string) string { // a check says no times
			return fmt.Sprintf("'%s.%s'=%s\n", series, label, value)
		}, func(series, label, value, _ string) string {
			value, unit, _ := strings.Cut(value, " ")
			if unit != "" {
				unit = ",unit=" + unit
			}
			return fmt.Sprintf("nagios_perf,label=%s.%s%s value=%s %s", series, label, unit, value, nanos(middle))
		}},
	}
}

// around puts what is hostile between two good points.
func (d dialect) around(hostile string) string {
	return d.head + d.good("before") + hostile + d.good("behind") + d.tail
}

func (d dialect) good(series string) string { return d.line(series, "x", "1", middle+d.zeros) }

// neighbours are the good points, as they are to come out.
func (d dialect) neighbours() []string {
	return []string{d.point("before", "x", "1", middle), d.point("behind", "x", "1", middle)}
}

// decode returns the points of a text, and why what was left out of it was: each reason once.
func (d dialect) decode(t testing.TB, text string) (lines []string, reasons string) {
	t.Helper()
	decoder, err := New(d.format, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b telemetry.Batch
	r := decoder.Decode(&b, []byte(text), noon)
	if b.Len() != r.Points || b.Drops().Total() > 0 || (r.First == nil) != (r.Total() == 0) {
		t.Errorf("%s: %d points in the batch, which counts %v; the report says %+v", d.format, b.Len(), b.Drops(), r)
	}
	told(t, d.format, r)
	for line := range strings.Lines(string(b.AppendLines(nil))) {
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
	return lines, strings.Join(slices.Sorted(maps.Keys(r.Bad)), " ")
}

// documented are the reasons that operators are told of.
var documented = sync.OnceValues(func() ([]string, error) {
	text, err := os.ReadFile("../../collector/exec/README.md")
	_, text, _ = bytes.Cut(text, []byte("## What is left out"))
	text, _, _ = bytes.Cut(text, []byte("\n## "))
	var reasons []string
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 1 {
			reasons = append(reasons, strings.FieldsFunc(cells[1], func(c rune) bool { return strings.ContainsRune("`, ", c) })...)
		}
	}
	return reasons, err
})

// told fails unless operators are told of each reason in r.
func told(t testing.TB, format string, r report.Report) {
	t.Helper()
	reasons, err := documented()
	if err != nil {
		t.Fatal(err)
	}
	for reason := range r.Bad {
		if !slices.Contains(reasons, reason) {
			t.Errorf("%s: the reason %s is not among those in the README: %s", format, reason, reasons)
		}
	}
}

// Reasons that formats have for the same: those with points of several fields count a point without any besides its fields; JSON has
// no NaN; checks and collectd's and Munin's programs have a word of their own for what is no number.
var (
	notFinite = map[string]string{"influx": "no_fields not_finite", "collectd": "no_fields not_finite", "json": report.Syntax, "nagios": "bad_value"}
	tooLarge  = map[string]string{"influx": "no_fields not_finite", "collectd": "no_fields not_finite", "json": "no_fields not_finite", "nagios": "bad_value"}
	noNumber  = map[string]string{"collectd": "bad_value", "munin": "bad_value", "nagios": "bad_value"}
	undated   = map[string]string{"nagios": kept}
	onlyDated = with(undated, "opentsdb", report.Syntax) // a time of OpenTSDB has 10 or 13 digits
)

const (
	kept      = "kept"
	elsewhere = "elsewhere" // told by the tests of the format
)

// with returns a table with more in it.
func with(table map[string]string, more ...string) map[string]string {
	all := maps.Clone(table)
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

// A value is kept as it is, or left out for a reason, and never costs its neighbours.
func TestHostileValues(t *testing.T) {
	long := strings.Repeat("1", 10_000)
	f := func(value, want string, but map[string]string) {
		t.Helper()
		for _, d := range dialects() {
			check(t, d, d.line("hostile", "x", value, middle+d.zeros), but[d.format], want, func(value string) string { return d.point("hostile", "x", value, middle) })
		}
	}
	f("NaN", report.NotFinite, notFinite)
	f("nan", report.NotFinite, notFinite)
	f("+Inf", report.NotFinite, notFinite)
	f("-Inf", report.NotFinite, notFinite)
	f("Infinity", report.NotFinite, notFinite)
	f("1e400", report.NotFinite, tooLarge)
	f("-1e400", report.NotFinite, tooLarge)
	f(long, report.NotFinite, tooLarge)
	f("0."+long, "kept 0.1111111111111111", nil)
	f("1e-400", "kept 0", nil)
	f("-0", "kept -0", nil)
	f("9223372036854775807", "kept 9223372036854776000", nil) // a float, as all of these formats mean it
	f("-9223372036854775808", "kept -9223372036854776000", nil)
	f("18446744073709551615", "kept 18446744073709552000", nil)
	f("18446744073709551616", "kept 18446744073709552000", nil)
	f("0x10", report.Syntax, with(noNumber, "nagios", "kept 0 x10")) // that is its unit
	f("1_000", report.Syntax, with(noNumber, "nagios", "kept 1 _000"))
	f("1,5", report.Syntax, with(noNumber, "nagios", "kept 1.5")) // the decimal comma of some locales
	f("x", report.Syntax, noNumber)
	f("++1", report.Syntax, noNumber)
	f("1e", report.Syntax, with(noNumber, "nagios", "kept 1 e"))
	f(".", report.Syntax, noNumber)
}

// Integers keep their type, and those that do not fit it are left out.
func TestHostileIntegers(t *testing.T) {
	f := func(format, text, want, reasons string) {
		t.Helper()
		d := dialect{format: format}
		if lines, got := d.decode(t, text); strings.Join(lines, "\n") != want || got != reasons {
			t.Errorf("%s: %q, %s; want %q, %s", text, lines, got, want, reasons)
		}
	}
	f("influx", "a v=9223372036854775807i,w=18446744073709551615u 1\n", "a v=9223372036854775807i,w=18446744073709551615u 1", "")
	f("influx", "a v=9223372036854775808i,w=1i 1\n", "a w=1i 1", "int_range")
	f("influx", "a v=18446744073709551616u,w=-9223372036854775808i 1\n", "a w=-9223372036854775808i 1", "int_range")
	f("influx", "a v=-1u 1\n", "", "int_range no_fields")
	f("json", `{"series":"a","time":1,"fields":{"v":"9223372036854775807","w":18446744073709551615},"types":{"v":"i","w":"u"}}`,
		"a v=9223372036854775807i,w=18446744073709551615u 1", "")
	f("json", `{"series":"a","time":1,"fields":{"v":9223372036854775808},"types":{"v":"i"}}`, "", "syntax")
	f("munin", "a.type DERIVE\na.value 1:9223372036854775807\nb.type COUNTER\nb.value 1:18446744073709551615\n",
		"munin,graph=munin a=9223372036854775807i,b=18446744073709551615u 1000000000", "")
	f("munin", "a.type COUNTER\na.value 1:18446744073709551616\nb.type COUNTER\nb.value 1:-1\n", "", "bad_value")
}

// Times that a batch can hold are kept, from 1678 to 2261 and negative ones too; others are refused.
func TestHostileTimes(t *testing.T) {
	f := func(time, want string, but map[string]string) {
		t.Helper()
		for _, d := range dialects() {
			at := time
			if time != "0" && strings.Trim(time, "-0123456789") == "" {
				at += d.zeros
			}
			check(t, d, d.line("hostile", "x", "1", at), but[d.format], want, func(string) string { return d.point("hostile", "x", "1", time) })
		}
	}
	whole := with(onlyDated, "influx", report.Syntax, "prometheus", report.Syntax) // their times are integers
	f("-62135596800", report.TimeRange, onlyDated)                                 // the year 1
	f("-9246182400", report.TimeRange, onlyDated)                                  // 1677
	f("-9214560000", kept, onlyDated)                                              // 1678
	f("-2", kept, onlyDated)
	f("0", kept, nil) // 1970
	f("9214646399", kept, nil)
	f("9246182399", report.TimeRange, undated)     // the end of 2262
	f("253402300799", report.TimeRange, onlyDated) // 9999
	f("9223372036854775807", report.TimeRange, onlyDated)
	f("1"+strings.Repeat("0", 10_000), report.TimeRange, onlyDated)
	f("1e400", report.TimeRange, whole)
	f("NaN", report.Syntax, undated)
	f("x", report.Syntax, undated)
	f("1.5", kept, with(whole, "json", elsewhere)) // of nanoseconds
}

// check fails unless what is hostile becomes what is wanted: "kept" or "kept VALUE", or else the reasons for which it is left out.
func check(t *testing.T, d dialect, hostile, but, want string, point func(value string) string) {
	t.Helper()
	if but != "" {
		want = but
	}
	if want == elsewhere {
		return
	}
	points := d.neighbours()
	if want == kept || strings.HasPrefix(want, kept+" ") {
		points = append(points, point(strings.TrimPrefix(want, kept+" ")))
		want = ""
	}
	lines, reasons := d.decode(t, d.around(hostile))
	slices.Sort(lines)
	slices.Sort(points)
	if !slices.Equal(lines, points) || reasons != want {
		t.Errorf("%s: %.100q is %.300q, %q; want %.300q, %q", d.format, hostile, lines, reasons, points, want)
	}
}

// Texts become clean: what is not UTF-8 is U+FFFD, a control character a blank, and what is too long is cut. Line protocol, which names
// its own rules, refuses the last two.
func TestHostileTexts(t *testing.T) {
	f := func(label, want string, but map[string]string) {
		t.Helper()
		for _, d := range dialects() {
			check(t, d, d.line("hostile", label, "1", middle+d.zeros), but[d.format], "kept "+want, func(label string) string { return d.point("hostile", label, "1", middle) })
		}
	}
	refused := func(formats ...string) map[string]string {
		all := map[string]string{}
		for _, format := range formats {
			all[format] = report.Syntax
		}
		return all
	}
	f("ü", "ü", nil)
	f("\xff\xfe", "\uFFFD\uFFFD", nil)
	f("a\xc3", "a\uFFFD", nil)
	f("a\u00a0b", "a\u00a0b", nil) // a letter, where blanks end words
	f("a\x00b", `a\ b`, refused("influx", "json"))
	f("a\x7fb", `a\ b`, refused("influx"))
	f("a\tb", `a\ b`, refused("influx", "json", "graphite", "opentsdb", "collectd"))
	f("a\rb", `a\ b`, refused("influx", "json", "graphite", "opentsdb", "collectd"))
	short := strings.Repeat("x", telemetry.MaxTagValue-len("hostile."))
	f(short, short, nil)
	over := strings.Repeat("x", telemetry.MaxTagValue+1)
	cut := over[:telemetry.MaxTagValue]
	named := "kept " + short // behind a name and a dot
	f(over, cut, map[string]string{"influx": report.Syntax, "munin": named, "nagios": named})
}

// Of what is too large a line is refused, and its neighbours are not.
func TestHostileSizes(t *testing.T) {
	const most = 20_000 // of what a point has few
	many := func(format string) string {
		var b strings.Builder
		for i := range most {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	f := func(format, hostile, reasons string) {
		t.Helper()
		for _, d := range dialects() {
			if d.format == format {
				check(t, d, hostile, reasons, "", nil)
			}
		}
	}
	for _, d := range dialects() { // a line of 1 MiB: that of a check is an item, JSON's is its value, and those are cut
		want := map[string]string{"influx": report.Syntax, "json": "", "nagios": ""}
		reason, special := want[d.format]
		if !special {
			reason = report.Limit
		}
		lines, reasons := d.decode(t, d.around(d.line("hostile", strings.Repeat("x", 1<<20), "1", middle+d.zeros)))
		if n := len(d.neighbours()); reasons != reason || len(lines) < n {
			t.Errorf("%s: %q; want %q", d.format, reasons, reason)
		}
	}
	f("influx", "hostile"+many(",t%d=1")+" v=1\n", report.Syntax) // a line of line protocol has one reason
	f("influx", "hostile "+many("f%d=1,")+"f=1\n", report.Syntax)
	f("json", `{"series":"hostile","tags":{`+many(`"t%d":"1",`)+`"t":""},"fields":{"v":1}}`+"\n", report.Limit)
	f("json", `{"series":"hostile","fields":{`+many(`"f%d":1,`)+`"f":1}}`+"\n", report.Limit)
	f("json", `{"list":[`+strings.Repeat("1,", most)+"1]}\n", "no_series")
	f("graphite", "hostile"+many(";t%d=1")+" 1 1\n", report.Limit)
	f("opentsdb", "hostile 1 1"+many(" t%d=1")+"\n", report.Limit)
	f("prometheus", "hostile{"+many(`t%d="1",`)+"} 1\n", report.Limit)
	f("openmetrics", "hostile{"+many(`t%d="1",`)+"} 1\n", report.Limit)
	f("collectd", "PUTVAL a/b/c"+many(" meta:m%d=1")+" N:1\n", report.Limit)
	f("collectd", "PUTVAL a/b/c N"+strings.Repeat(":1", most)+"\n", report.Limit)
	f("json", strings.Repeat(`{"a":`, 5000)+"1"+strings.Repeat("}", 5000)+"\n", "limit no_series")
	f("json", strings.Repeat(`{"a":`, most)+"1"+strings.Repeat("}", most)+"\n", report.Syntax)
	f("json", strings.Repeat("[", most)+"\n", report.Syntax)
}

// Points of ever new shapes do not fill the memory: some are kept, and the rest is counted.
func TestHostileShapes(t *testing.T) {
	const most, more = 100, 10
	for _, d := range dialects() {
		if d.format == "munin" || d.format == "nagios" {
			continue // which have one series
		}
		text := d.head
		for i := range most + more {
			text += d.good(fmt.Sprintf("s%d", i))
		}
		decoder, err := New(d.format, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var b telemetry.Batch
		r := bounded{decoder.(bounded).Decoder, most}.Decode(&b, []byte(text+d.good("s1")+d.tail), noon)
		if b.Len() != most+1 || r.Points != b.Len() || r.Bad[report.Limit] != more || r.Total() != more || r.First == nil || b.Drops().Total() > 0 {
			t.Errorf("%s: %d points, %d told, %v", d.format, b.Len(), r.Points, r)
		}
	}
}

// Bytes that mean nothing between two good lines cost nobody but themselves.
func TestHostileNoise(t *testing.T) {
	random := rand.NewChaCha8([32]byte{7})
	for range 20 {
		noise := make([]byte, 4<<10)
		_, _ = random.Read(noise)
		for _, d := range dialects() {
			lines, reasons := d.decode(t, d.around(string(noise)+"\n"))
			wanted := d.neighbours()
			if d.format == "nagios" {
				wanted = wanted[:1] // a quote that nothing closes is the end of all items
			}
			for _, want := range wanted {
				if !slices.Contains(lines, want) {
					t.Errorf("%s: %q is missing: %d lines, %s", d.format, want, len(lines), reasons)
				}
			}
			if reasons == "" {
				t.Errorf("%s: nothing is counted", d.format)
			}
		}
	}
}

// A text that ends anywhere keeps the points that are whole by then.
func TestHostileEnd(t *testing.T) {
	for _, d := range dialects() {
		text := d.around(d.line("hostile", "x", "12.5", middle+d.zeros))
		for end := range len(text) {
			lines, _ := d.decode(t, text[:end])
			whole := strings.Count(d.head+d.good("before"), "\n") <= strings.Count(text[:end], "\n")
			if whole && d.format != "openmetrics" && !slices.Contains(lines, d.neighbours()[0]) {
				t.Errorf("%s: %q loses its first point: %q", d.format, text[:end], lines)
			}
		}
	}
}

// Line ends of another system, a byte order mark and a last line without an end change nothing.
func TestHostileLineEnds(t *testing.T) {
	for _, d := range dialects() {
		text := d.around("")
		f := func(text, reasons string, n int) {
			t.Helper()
			if lines, got := d.decode(t, text); !slices.Equal(lines, d.neighbours()[:n]) || got != reasons {
				t.Errorf("%s: %q: %q, %s", d.format, text, lines, got)
			}
		}
		f(strings.ReplaceAll(text, "\n", "\r\n"), "", 2)
		f("\uFEFF"+text, "", 2)
		if d.format == "prometheus" {
			f(strings.TrimSuffix(text, "\n"), "unfinished", 1) // half a number is a number, and its format wants the end
		} else {
			f(strings.TrimSuffix(text, "\n"), "", 2)
		}
	}
}

// What auto takes for a format is read as that format.
func TestHostileAuto(t *testing.T) {
	for _, d := range dialects() {
		if d.format == "munin" || d.format == "openmetrics" {
			continue // which nothing tells from plain text, and from the other text of Prometheus
		}
		text := d.around("\x00\xff\n" + d.line("hostile", "x", "NaN", middle+d.zeros))
		want, reasons := d.decode(t, text)
		got, why := dialect{format: "auto"}.decode(t, text)
		if !slices.Equal(got, want) || why != reasons || Detect([]byte(text)) != d.format {
			t.Errorf("%s: %q, %s; want %q, %s", d.format, got, why, want, reasons)
		}
	}
	random := rand.NewChaCha8([32]byte{8})
	for range 20 {
		noise := make([]byte, 4<<10)
		_, _ = random.Read(noise)
		dialect{format: "auto"}.decode(t, string(noise))
		dialect{format: "auto"}.decode(t, string(bytes.ToValidUTF8(noise, nil)))
	}
}
