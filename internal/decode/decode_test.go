package decode

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

var noon = time.Unix(1700000000, 0)

// points decodes a text and returns its points as line protocol.
func points(t *testing.T, d Decoder, text string) (string, report.Report) {
	t.Helper()
	var b telemetry.Batch
	r := d.Decode(&b, []byte(text), noon)
	if n := b.Drops().Total(); n > 0 {
		t.Errorf("the batch counts %d drops: they belong to the report", n)
	}
	if b.Len() != r.Points {
		t.Errorf("%d points in the batch, %d in the report", b.Len(), r.Points)
	}
	lines := strings.SplitAfter(string(b.AppendLines(nil)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, ""), r
}

func TestInflux(t *testing.T) {
	d, err := New("influx", Options{Precision: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	got, r := points(t, d, "a x=1i 1\nbad\n# comment\nb,t=u x=NaN,y=2\nc x=inf\n")
	if want := "a x=1i 1000000000\nb,t=u y=2 1700000000000000000\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if want := map[string]int{report.Syntax: 1, report.NotFinite: 2, report.NoFields: 1}; !maps.Equal(r.Bad, want) {
		t.Errorf("%v, want %v", r.Bad, want)
	}
	if r.First == nil || !strings.Contains(r.First.Error(), "line 2") {
		t.Errorf("%v", r.First)
	}
}

// Where values alone are bad, that is told too.
func TestInfluxValues(t *testing.T) {
	if _, r := read(t, "influx", "a x=NaN,y=1\n"); r.First == nil || !strings.Contains(r.First.Error(), "no point can have: not_finite") {
		t.Errorf("%v", r)
	}
}

func TestNewKnowsNoOther(t *testing.T) {
	if d, err := New("yaml", Options{}); err == nil || !strings.Contains(err.Error(), `"yaml": want influx`) {
		t.Errorf("%v, %v", d, err)
	}
}

// read decodes a text of a format.
func read(t *testing.T, format, text string) (string, report.Report) {
	t.Helper()
	d, err := New(format, Options{Series: "plugin"})
	if err != nil {
		t.Fatal(err)
	}
	return points(t, d, text)
}

// The same values are the same points, whatever format they come in.
func TestFormatsAgree(t *testing.T) {
	f := func(format, text string) {
		t.Helper()
		const want = "cpu,core=0 value=1.5 1700000000000000000\ncpu,core=1 value=2 1700000000000000000\n"
		for _, format := range []string{format, "auto"} {
			if got, r := read(t, format, text); got != want || r.First != nil {
				t.Errorf("%s: %q, %v; want %q", format, got, r, want)
			}
		}
	}
	f("influx", "cpu,core=0 value=1.5 1700000000000000000\ncpu,core=1 value=2 1700000000000000000\n")
	f("graphite", "cpu;core=0 1.5 1700000000\ncpu;core=1 2 1700000000\n")
	f("opentsdb", "put cpu 1700000000 1.5 core=0\ncpu 1700000000000 2 core=1\n")
	f("opentsdb_line", "cpu 1700000000 1.5 core=0\ncpu 1700000000000 2 core=1\n")
	f("prometheus", "# TYPE cpu gauge\ncpu{core=\"0\"} 1.5 1700000000000\ncpu{core=\"1\"} 2 1700000000000\n")
	f("json", `[{"series":"cpu","time":1700000000000000000,"tags":{"core":"0"},"fields":{"value":1.5}},`+
		`{"series":"cpu","time":"2023-11-14T22:13:20Z","tags":{"core":"1"},"fields":{"value":2}}]`)
}

func TestOpenTSDB(t *testing.T) {
	f := func(line, reason, says string) {
		t.Helper()
		got, r := read(t, "opentsdb", "put a 1 1 t=u\n"+line+"\n")
		if got != "a,t=u value=1 1000000000\n" || r.Bad[reason] == 0 || !strings.Contains(r.First.Error(), says) || !strings.Contains(r.First.Error(), "line 2") {
			t.Errorf("%s: %q, %v; want %s and %q", line, got, r, reason, says)
		}
	}
	f("put a 1 2", report.Syntax, "there are 3 words")
	f("put", report.Syntax, "there are 0 words")
	f("a 1700000000 1 t=", report.Syntax, `tag "t="`)
	f("a 1700000000 1 t", report.Syntax, "want name=value")
	f("a 1700000000 x t=u", report.Syntax, `value "x"`)
	f("a 170000000000 1 t=u", report.Syntax, "10 digits of seconds or 13")
	f("a -1 1 t=u", report.Syntax, "time")
	f("a 9999999999 1 t=u", report.TimeRange, "time")
	f("a 9999999999999 1 t=u", report.TimeRange, "time")
	f("a 1700000000 nan t=u", report.NotFinite, "NaN")
}

func TestDetect(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := Detect([]byte(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("# HELP up x\nup 1\n", "prometheus")
	f("\n# TYPE up gauge\n", "prometheus")
	f("up{job=\"x\"} 1\n", "prometheus")
	f(`{"a": 1}`, "json")
	f("{\n  \"a\": 1}", "json")
	f("[{}]", "json")
	f("[OK] all is well", "")
	f("PUTVAL h/load/load N:1", "collectd")
	f("DISK OK - / 56% | /=2643MB;5948;5958;0;5968\n", "nagios")
	f("first\nmore | a=1\n", "nagios")
	f("a.b 1 1700000000", "graphite")
	f("a;b=c 1 -1", "graphite")
	f("put a 1700000000 1 t=u", "opentsdb")
	f("a 1700000000 1 t=u", "opentsdb")
	f("cpu,core=0 user=1.5,sys=2i", "influx")
	f("# comment\ncpu user=t 1\n", "influx")
	f("CRITICAL: no answer = no joy", "")
	f("three words 7", "")
	f("a 1 noon", "")
	f("", "")
	f("\x00\xff\xfe\n\x01", "")
	f(strings.Repeat("x", 1<<20), "")
	f(strings.Repeat("text\n", 100)+"a b=1", "") // too far down
}

// No text makes a decoder take memory, or time, out of proportion.
func TestBombs(t *testing.T) {
	const size, perByte = 64 << 10, 1000
	words := []string{
		"\n", " ", "'", "=", "|", "a=1|", "'a' ", "\"", "\\", "{", "[", "[\n", `{"a":`, "[[],", `"a",`, "a.", "a;", ";a=b", "a,b=c", "a,", "# ", "# HELP a b\n",
		"a{b=\"c\",", "a 1\n", "a 1 1\n", "a a=1\n", "PUTVAL ", "PUTVAL a/b/c N:1\n", "N:1:", "multigraph a\n", "a.value 1\n", "a.label x\n", "\x00", "\xff", "1", "-", "e",
	}
	big := `{"` + strings.Repeat("k", size/2) + `":{`
	for i := range size / 20 {
		big += fmt.Sprintf(`"%d":1,`, i)
	}
	texts := []string{big + `"a":1}}`}
	for _, word := range words {
		texts = append(texts, strings.Repeat(word, size/len(word)))
	}
	for _, format := range Formats() {
		for _, text := range texts {
			d, err := New(format, Options{Series: "x"})
			if err != nil {
				t.Fatal(err)
			}
			var b telemetry.Batch
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			d.Decode(&b, []byte(text), noon)
			runtime.ReadMemStats(&after)
			if took := after.TotalAlloc - before.TotalAlloc; took > uint64(perByte*len(text)) {
				t.Errorf("%s takes %d KiB for %.20q ...", format, took>>10, text)
			}
		}
	}
}

// Whatever a text is, the decoder of each format takes it and counts what it leaves out.
func FuzzFormats(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, format := range Formats() {
			d, err := New(format, Options{Series: "x"})
			if err != nil {
				t.Fatal(err)
			}
			var b, again telemetry.Batch
			r := d.Decode(&b, slices.Clone(text), noon)
			if b.Len() != r.Points {
				t.Fatalf("%s: %d points in the batch, %d in the report", format, b.Len(), r.Points)
			}
			if (r.First == nil) != (r.Total() == 0) {
				t.Fatalf("%s: %v", format, r)
			}
			told(t, format, r)
			if err := again.DecodeMsgPack(b.AppendMsgPack(nil)); b.Len() > 0 && b.Len() < telemetry.MaxPoints && err != nil {
				t.Fatalf("%s: what it makes is no batch: %v", format, err)
			}
		}
	})
}

// Settings are read as an operator writes them, and what is wrong with them is told at once.
func TestSettings(t *testing.T) {
	s := DefaultSettings("json")
	if err := s.Check(Formats()); err != nil {
		t.Error(err)
	}
	s.Format = "nagios_perfdata"
	if err := s.Check(Formats()); err != nil {
		t.Error(err)
	}
	if err := s.Check([]string{"influx"}); err == nil {
		t.Error("a format is taken by its other name alone")
	}
	if got := Enum([]string{"influx"})["format"]; !slices.Equal(got, []any{"influx", "influxdb_line"}) {
		t.Errorf("%v", got)
	}
	s.Precision = "ms"
	d, err := s.Decoder("influx", "p")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := points(t, d, "a b=1 5"); got != "a b=1 5000000\n" {
		t.Errorf("%q", got)
	}
	if d, err = s.Decoder("json", "p"); err != nil {
		t.Fatal(err)
	}
	if got, _ := points(t, d, `{"v": 1}`); !strings.HasPrefix(got, "p v=1 ") {
		t.Errorf("%q", got)
	}
	f := func(change func(*Settings), says string) {
		t.Helper()
		s := DefaultSettings("influx")
		change(&s)
		if err := s.Check([]string{"influx", "json"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", s, err, says)
		}
	}
	f(func(s *Settings) { s.Format = "xml" }, `format "xml": want influx, json`)
	f(func(s *Settings) { s.Precision = "m" }, `precision "m": want ns, us, ms, s`)
	f(func(s *Settings) { s.JSON.TagKeys = []string{"a..b"} }, `json: path "a..b"`)
	f(func(s *Settings) { s.Templates = []string{"host"} }, `templates: template "host": no node is the series`)
}

// Programs of collectd are told whom they speak of, unless an operator says so; what they print has the names of a types.db.
func TestSettingsOfCollectd(t *testing.T) {
	s := DefaultSettings("collectd")
	s.TypesDB = []string{t.TempDir() + "/types.db"}
	own := map[string]string{"COLLECTD_HOSTNAME": "web-2", "A": "b"}
	want := map[string]string{"COLLECTD_HOSTNAME": "web-2", "COLLECTD_INTERVAL": "60", "A": "b"}
	if got := s.Variables("web-1", time.Minute, own); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := DefaultSettings("influx").Variables("web-1", time.Minute, own); !maps.Equal(got, own) {
		t.Errorf("%v, want %v", got, own)
	}
	if got := DefaultSettings("munin").Variables("web-1", time.Minute, own); got["MUNIN_CAP_MULTIGRAPH"] != "1" || got["A"] != "b" {
		t.Errorf("%v", got)
	}
	if _, err := s.Decoder("collectd", "p"); err == nil || !strings.HasPrefix(err.Error(), "types_db: ") {
		t.Error(err)
	}
	if err := os.WriteFile(s.TypesDB[0], []byte("load shortterm:GAUGE:0:U longterm:GAUGE:0:U\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := s.Decoder("collectd", "p")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := points(t, d, "PUTVAL localhost/a/load N:1:2"); got != "a_load longterm=2,shortterm=1 1700000000000000000\n" {
		t.Error(got)
	}
}
