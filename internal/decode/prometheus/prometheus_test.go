package prometheus

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

var noon = time.Unix(1763559525, 0)

// decode returns the points of text as line protocol, sorted.
func decode(o Options, text string) (lines []string, r report.Report) {
	var b telemetry.Batch
	d := Decoder{Options: o}
	r = d.Decode(&b, []byte(text), noon)
	return linesOf(&b), r
}

// linesOf returns the points of b as line protocol, sorted.
func linesOf(b *telemetry.Batch) (lines []string) {
	for line := range strings.Lines(string(b.AppendLines(nil))) {
		lines = append(lines, strings.TrimSuffix(strings.TrimSuffix(line, "\n"), " 1763559525000000000"))
	}
	slices.Sort(lines)
	return lines
}

func TestText(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		got, r := decode(Options{}, text+"\n")
		if !slices.Equal(got, want) || r.Total() > 0 || r.Points != len(want) {
			t.Errorf("%q: %q, %d points, %v; want %q", text, got, r.Points, r.First, want)
		}
	}
	f("")
	f("up 1", "up value=1")
	f("up 1\nup 2", "up value=1", "up value=2")
	f("\t up\t 1 ", "up value=1")
	f("up 1\r", "up value=1")
	f("up{} 1", "up value=1")
	f(`up{a="b"} 1`, "up,a=b value=1")
	f(`up { a = "b" , c="d", } 1`, "up,a=b,c=d value=1")
	f(`up{a="b",e=""} 1`, "up,a=b value=1")
	f(`up{e="",a="b"} 1`+"\n"+`up{a="c"} 2`, "up,a=b value=1", "up,a=c value=2")
	f(`up{a="\"_\\_\n_\x"} 1`, `up,a="_\_\ _\x value=1`) // a line feed is a blank in a tag
	f(`up{a="}",b=","} 1`, `up,a=},b=\, value=1`)
	f(`a:b_C9 1.5e3`, "a:b_C9 value=1500")
	f(`a 999999999999999`, "a value=999999999999999")
	f(`a 9007199254740993`, "a value=9007199254740992")
	f(`a 007`, "a value=7")
	f(`a -1`, "a value=-1")
	f(`a .5`, "a value=0.5")
	f(`a 1 1000`, "a value=1 1000000000")
	f(`a 1 -1`, "a value=1 -1000000")
	f(`a{b="é"} 1`, "a,b=é value=1")
	f("a{b=\"\xff\"} 1", "a,b=\uFFFD value=1")
	f(`{"my.name"} 1`, "my.name value=1")
	f(`{"my.name",l="v"} 1`, "my.name,l=v value=1")
	f(`{l="v","my.name"} 1`, "my.name,l=v value=1")
	f(`{"my.name","my label"="v"} 1`, `my.name,my\ label=v value=1`)
	f("# a comment\n#\n# TYPE a counter\n#HELP a\na 1", "a value=1")
	f(`h_bucket{le="+Inf"} 3`, "h_bucket,le=+Inf value=3")
}

func TestBadLines(t *testing.T) {
	f := func(line, reason, says string) {
		t.Helper()
		got, r := decode(Options{}, "before 1\n"+line+"\nafter 2\n")
		if len(got) != 2 || r.Bad[reason] != 1 || r.Total() != 1 || !strings.Contains(fmt.Sprint(r.First), says) || !strings.HasPrefix(r.First.Error(), "line 2: ") {
			t.Errorf("%q: %q, %v, %v; want %s: %s", line, got, r.Bad, r.First, reason, says)
		}
	}
	f("1", report.Syntax, "no name of a metric")
	f("a", report.Syntax, "no number as the value")
	f("a b", report.Syntax, "no number as the value")
	f("a -0X1p3", report.Syntax, "no number as the value")
	f("a 0x_1p3", report.Syntax, "no number as the value")
	f("a 0x1p3", report.Syntax, "no number as the value")
	f("a 1_000", report.Syntax, "no number as the value")
	f("a 1 b", report.Syntax, "no number as the time")
	f("a 1 1.5", report.Syntax, "no number as the time")
	f("a 1 2 3", report.Syntax, "something behind the end")
	f("a-b 1", report.Syntax, "no number as the value")
	f("{} 1", report.Syntax, "no name of a metric")
	f(`a{"b"} 1`, report.Syntax, "two names of a metric")
	f(`a{b} 1`, report.Syntax, `no ="..." behind the name of a label`)
	f(`a{b=c} 1`, report.Syntax, `no ="..." behind the name of a label`)
	f(`a{b="c} 1`, report.Syntax, "a text in quotes does not end")
	f(`a{b="c\`, report.Syntax, "a text in quotes does not end")
	f(`a{b="c" 1`, report.Syntax, "labels that do not end with }")
	f(`a{b="c"`, report.Syntax, "labels that do not end with }")
	f(`a{b="c"d="e"} 1`, report.Syntax, "labels that do not end with }")
	f(`a{`, report.Syntax, "labels that do not end with }")
	f(`a{,} 1`, report.Syntax, "no name of a label")
	f(`a{""="c"} 1`, report.Syntax, "no name of a label")
	f(`a{b="c",b="d"} 1`, report.Syntax, "a label twice")
	f("a NaN", report.NotFinite, "a: the value is NaN")
	f("a +Inf", report.NotFinite, "a: the value is +Inf")
	f("a -inf", report.NotFinite, "a: the value is -Inf")
	f("a 1e999", report.NotFinite, "a: the value is +Inf")
	f("a 1 253402300799000", report.TimeRange, "a: the time is not between the years 1678 and 2261") // 9999
	f("a 1 -62135596800000", report.TimeRange, "a: the time is not")                                 // 1
	f("a 1 99999999999999999999", report.TimeRange, "a: the time is not")
	f("\x00\x01\xfe", report.Syntax, "no name of a metric")
	var many strings.Builder
	for i := range 65 {
		fmt.Fprintf(&many, "l%d=\"v\",", i)
	}
	f("a{"+many.String()+"} 1", report.Limit, "65 labels: a point has 64 at most")
}

// A text of the format 0.0.4 that does not end with a line feed may be cut within a number.
func TestUnfinished(t *testing.T) {
	got, r := decode(Options{}, "a 1\nb 23")
	if len(got) != 1 || r.Bad[Unfinished] != 1 || !strings.Contains(r.First.Error(), "line 2: the last line does not end") {
		t.Errorf("%q, %v, %v", got, r.Bad, r.First)
	}
}

func TestOpenMetrics(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		got, r := decode(Options{OpenMetrics: true}, text)
		if !slices.Equal(got, want) || r.Total() > 0 {
			t.Errorf("%q: %q, %v; want %q", text, got, r.First, want)
		}
	}
	f("# EOF")
	f("# EOF\n")
	f("a_total 1\n# EOF\n", "a_total value=1")
	f("a_total 1 1.5\n# EOF\n", "a_total value=1 1500000000")
	f("a_total 1 1763559525.123456\n# EOF\n", "a_total value=1 1763559525123456000")
	f("a_total 1 # {trace_id=\"x\"} 0.5 1.5\n# EOF\n", "a_total value=1")
	f("a_bucket{le=\"1\"} 1 2 # {} 0.5\n# EOF\n", "a_bucket,le=1 value=1 2000000000")
	f("a_created 1.5e9\n# EOF\n", "a_created value=1500000000")

	bad := func(text, reason string, points int) {
		t.Helper()
		if got, r := decode(Options{OpenMetrics: true}, text); r.Bad[reason] != 1 || len(got) != points {
			t.Errorf("%q: %q, %v; want %s", text, got, r.Bad, reason)
		}
	}
	bad("", CutOff, 0)
	bad("a 1\n", CutOff, 0)
	bad("a 1\n# EO", CutOff, 0)
	bad("a 1# EOF", CutOff, 0)
	bad("a 1 1e300\nb 1\n# EOF\n", report.TimeRange, 1)
	bad("a 1 NaN\nb 1\n# EOF\n", report.Syntax, 1)
	bad("a 1 x\nb 1\n# EOF\n", report.Syntax, 1)
}

func TestOptions(t *testing.T) {
	if got, _ := decode(Options{NoTimes: true}, "a 1 1000\n"); !slices.Equal(got, []string{"a value=1"}) {
		t.Errorf("without times: %q", got)
	}
	if got, r := decode(Options{Limit: 2}, "a 1\nb NaN\nc 1\nd 1\ne 1\n"); len(got) != 2 || r.Bad[TooMany] != 1 {
		t.Errorf("two at most: %q, %v", got, r.Bad)
	}
	rename := func(s *Sample) bool {
		s.Labels = append(s.Labels, telemetry.Tag{Key: "k", Value: s.Name})
		s.Name += "_new"
		return s.Name != "b_new"
	}
	if got, r := decode(Options{Sample: rename}, "a 1\nb 2\nc 3\n"); !slices.Equal(got, []string{"a_new,k=a value=1", "c_new,k=c value=3"}) || r.Points != 2 {
		t.Errorf("changed: %q, %d", got, r.Points)
	}
}

func TestFamilies(t *testing.T) {
	f := func(text string, want ...Family) {
		t.Helper()
		var got []Family
		_, _ = decode(Options{Family: func(f Family) { got = append(got, f) }}, text)
		if !slices.Equal(got, want) {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	f("a 1\n")
	f("# TYPE a counter\na 1\na 2\nb 1\n", Family{Name: "a", Type: "counter", Samples: 3})
	f("# HELP a What \\\\ it\\nis.\n# TYPE a gauge\n# UNIT a seconds\n", Family{Name: "a", Type: "gauge", Help: "What \\ it\nis.", Unit: "seconds"})
	f("# HELP a\n# TYPE b gauge\nb 1\n", Family{Name: "a"}, Family{Name: "b", Type: "gauge", Samples: 1})
	f("# TYPE \"my name\" gauge\n", Family{Name: "my name", Type: "gauge"})
	f("# TYPE \"my name\n# TYPE\n# HOW a b\n")
}

// Nothing is allocated for a sample in steady state, but for texts with escapes; a batch allocates one thing for each group.
func TestDecodeAllocates(t *testing.T) {
	const families = 100
	text := page(families)
	var b telemetry.Batch
	var d Decoder
	n := testing.AllocsPerRun(20, func() {
		b.Reset()
		if r := d.Decode(&b, text, noon); r.Points != 5*families || r.Total() > 0 {
			t.Fatalf("%d points, %v", r.Points, r.First)
		}
	})
	if n > families {
		t.Errorf("%v allocations", n)
	}
}

// page is a text of n families of five samples.
func page(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "# HELP metric_%d_total What it counts.\n# TYPE metric_%d_total counter\n", i, i)
		for cpu := range 5 {
			fmt.Fprintf(&b, "metric_%d_total{cpu=\"%d\",mode=\"user\",device=\"eth0\"} %d.25\n", i, cpu, 1234*i+cpu)
		}
	}
	return []byte(b.String())
}

func BenchmarkDecode(b *testing.B) {
	text := page(200)
	var batch telemetry.Batch
	var d Decoder
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		d.Decode(&batch, text, noon)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/sample")
}

// A line that is too long, or has far more labels than a point may have, costs itself only.
func TestLimits(t *testing.T) {
	labels := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `l%d="",`, i)
		}
		return b.String()
	}
	f := func(line, says string) {
		t.Helper()
		got, r := decode(Options{}, "a 1\n"+line+"\nb 1\n")
		if !slices.Equal(got, []string{"a value=1", "b value=1"}) || r.Bad[report.Limit] != 1 || r.Total() != 1 || !strings.Contains(r.First.Error(), says) {
			t.Errorf("%.40s: %q, %v", line, got, r)
		}
	}
	f("c{"+labels(telemetry.MaxTags+1)+"} 1", "65 labels: a point has 64 at most")
	f("c{"+labels(mostLabels+1)+"} 1", "more than 256 labels")
	f(`c{l="`+strings.Repeat("x", report.MaxLine)+`"} 1`, "more than 65536 bytes")
}
