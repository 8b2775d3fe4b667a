package prometheus

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

// FuzzDecode reads any bytes as both formats: every line becomes a point or is counted, and of a text that the parser of Prometheus
// takes each sample is the same.
func FuzzDecode(f *testing.F) {
	pages, err := filepath.Glob("testdata/*.prom")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range pages {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, open := range []bool{false, true} {
			var b telemetry.Batch
			families := 0
			d := Decoder{Options: Options{OpenMetrics: open, Family: func(f Family) { families += len(f.Name) }}}
			r := d.Decode(&b, text, noon)
			if r.Points != b.Len() || b.Drops().Total() > 0 || (r.Total() > 0) != (r.First != nil) {
				t.Fatalf("%d points told, %d there; %v left out, first %v; the batch dropped %v", r.Points, b.Len(), r.Bad, r.First, b.Drops())
			}
			if n := bytes.Count(text, []byte("\n")) + 1; r.Points+r.Total() > n {
				t.Fatalf("%d points and %v of %d lines", r.Points, r.Bad, n)
			}
			if len(b.AppendMsgPack(nil)) == 0 {
				t.Fatal("not encoded")
			}
		}
		compare(t, text)
	})
}

// TestSecondOpinion compares what we read with what the parser of Prometheus reads.
func TestSecondOpinion(t *testing.T) {
	f := func(text string) {
		t.Helper()
		if !compare(t, []byte(text)) {
			t.Errorf("%q: no second opinion", text)
		}
	}
	text, err := os.ReadFile("testdata/page.prom")
	if err != nil {
		t.Fatal(err)
	}
	f(string(text))
	f("a 1\nb{c=\"d\"} 2 1000\nb{c=\"\\\\\\\"\"} NaN\n")
	f("# TYPE a counter\na 1\n# TYPE b gauge\nb{x=\"y\",} -1.5e-3\n")
	f("{\"my.name\",\"a b\"=\"c\"} 1\n")
	f("a .5\na{} 5. -1\n")
}

// compare fails when a text that both the parser of Prometheus and we take has other samples for us. It returns false for other
// texts: one bad line is the end of that parser, and it puts histograms and summaries together anew.
func compare(t *testing.T, text []byte) bool {
	t.Helper()
	if bytes.ContainsAny(text, "\r") || bytes.Contains(text, []byte("histogram")) || bytes.Contains(text, []byte("summary")) {
		return false
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return false
	}
	var want []string
	for _, f := range families {
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, label(l.GetName(), l.GetValue()))
			}
			v := m.GetUntyped().GetValue() + m.GetCounter().GetValue() + m.GetGauge().GetValue() // all but one are 0
			want = append(want, identity(f.GetName(), labels, v, m.TimestampMs != nil, m.GetTimestampMs()))
		}
	}
	var got []string
	var b telemetry.Batch
	d := Decoder{Options: Options{Sample: func(s *Sample) bool {
		got = append(got, ours(s))
		return false
	}}}
	r := d.Decode(&b, text, noon)
	if r.Bad[report.Syntax]+r.Bad[report.TimeRange] > 0 { // it takes a{b""="c"}, and any time
		return false
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%q:\nours   %q, %v\ntheirs %q", text, got, r.First, want)
	}
	return true
}

func ours(s *Sample) string {
	var labels []string
	for _, l := range s.Labels {
		labels = append(labels, label(l.Key, l.Value))
	}
	return identity(s.Name, labels, s.Value, s.Timed, s.Time/milli)
}

func label(key, text string) string { return fmt.Sprintf("%q=%q", key, text) }

func identity(name string, labels []string, v float64, timed bool, ms int64) string {
	slices.Sort(labels)
	if v == 0 {
		v = math.Abs(v) // no sign, which a sum loses
	}
	text := fmt.Sprintf("%q {%s} %v", name, strings.Join(labels, ","), v)
	if timed {
		text += fmt.Sprintf(" %d", ms)
	}
	return text
}
