package graphite

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

var noon = time.Unix(1700000000, 0)

func decoder(t testing.TB, templates ...string) *Decoder {
	t.Helper()
	d, err := New(Options{Templates: templates})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// decode returns the points of a text as line protocol, sorted.
func decode(d *Decoder, text string) (string, report.Report) {
	var b telemetry.Batch
	r := d.Decode(&b, []byte(text), noon)
	lines := strings.SplitAfter(string(b.AppendLines(nil)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, ""), r
}

func TestLines(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got, r := decode(decoder(t), text); got != want || r.First != nil || r.Points != strings.Count(want, "\n") {
			t.Errorf("%q: %q, %v; want %q", text, got, r, want)
		}
	}
	f("a.b.c 1.5 1700000001\n", "a.b.c value=1.5 1700000001000000000\n")
	f("a 1", "a value=1 1700000000000000000\n")
	f("a 1 -1\r\n", "a value=1 1700000000000000000\n")
	f("a 1 1700000001.25", "a value=1 1700000001250000000\n")
	f("  a\t-2e3   1 \n\n", "a value=-2000 1000000000\n")
	f("a;dc=x;rack=7 1 1", "a,dc=x,rack=7 value=1 1000000000\n")
	f("a;dc= 1 1", "a value=1 1000000000\n")
	f("bytes\xff 1 1", "bytes\uFFFD value=1 1000000000\n")
}

// A bad line costs itself alone.
func TestBadLines(t *testing.T) {
	f := func(line, reason, says string) {
		t.Helper()
		got, r := decode(decoder(t), "a 1 1\n"+line+"\nb 2 2\n")
		if want := "a value=1 1000000000\nb value=2 2000000000\n"; got != want {
			t.Errorf("%q: %q", line, got)
		}
		if r.Bad[reason] == 0 || r.First == nil || !strings.Contains(r.First.Error(), says) || !strings.Contains(r.First.Error(), "line 2") {
			t.Errorf("%q: %v; want %s and %q", line, r, reason, says)
		}
	}
	f("lonely", report.Syntax, "there are 1 words")
	f("a 1 2 3", report.Syntax, "there are 4 words")
	f("a one 1", report.Syntax, `value "one"`)
	f("a 0x10 1", report.Syntax, "want a number")
	f("a 1 noon", report.Syntax, `time "noon"`)
	f("a 1 99999999999999", report.TimeRange, "time")
	f("a 1 -62135596800", report.TimeRange, "") // year 1
	f("a 1 253402300799", report.TimeRange, "") // year 9999
	f("a 1 1e300", report.TimeRange, "time")
	f("a NaN 1", report.NotFinite, "NaN")
	f("a -inf 1", report.NotFinite, "Inf")
	f("a 1e999 1", report.NotFinite, "Inf")
	f(";a=b 1 1", report.Syntax, "nothing of it is the series")
	f("a;b 1 1", report.Syntax, "want tags")
	f("a;=b 1 1", report.Syntax, "want tags")
	f("\x00\x01\xfe\xff\x7f", report.Syntax, "words")
}

func TestTemplates(t *testing.T) {
	f := func(template, path, want string) {
		t.Helper()
		if got, r := decode(decoder(t, strings.Split(template, "|")...), path+" 1 1"); got != want+" 1000000000\n" || r.First != nil {
			t.Errorf("%s of %s: %q, %v; want %q", template, path, got, r, want)
		}
	}
	f("series*", "a.b.c", "a_b_c value=1")
	f(".host.series.field", "servers.web1.cpu.user", "cpu,host=web1 user=1")
	f(".host.measurement*", "servers.web1.cpu.user", "cpu_user,host=web1 value=1")
	f("host..series.field*", "web1.x.cpu.user.total", "cpu,host=web1 user_total=1")
	f("series.region.region", "cpu.us.west", "cpu,region=us_west value=1")
	f("series.host dc=x,host=y", "cpu.web1", "cpu,dc=x,host=web1 value=1")
	f("series.host dc=x", "cpu;dc=z", "cpu,dc=z value=1") // the line says it
	f("series.field", "cpu.user.more", "cpu user=1")
	f("servers.* .host.series*", "other.web1.cpu", "other.web1.cpu value=1") // no template for it
	f("* series.host|servers.* .host.series|servers.db* .db.series", "servers.db1.cpu", "cpu,host=db1 value=1")
	f("* series.host|*.db1 .db.series", "servers.db1.cpu", "cpu,db=db1 value=1")
	f("servers.*.cpu .host.series", "servers.web1", "servers.web1 value=1") // shorter than the filter
}

func TestBadTemplates(t *testing.T) {
	f := func(template, says string) {
		t.Helper()
		if _, err := New(Options{Templates: []string{template}}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", template, err, says)
		}
	}
	f("", "want [FILTER]")
	f("a b c d", "want [FILTER]")
	f("host.rack", "no node is the series")
	f("series*.host", "stand last")
	f("series.host*", "only series* and field*")
	f("[ series", "filter")
	f("series a=", "want name=value")
}

func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte, template string) {
		d, err := New(Options{Templates: []string{template}})
		if err != nil {
			d = decoder(t)
		}
		var b, again telemetry.Batch
		r := d.Decode(&b, text, noon)
		if b.Len() != r.Points || b.Drops().Total() > 0 {
			t.Fatalf("%d points, %v, drops %v", b.Len(), r, b.Drops())
		}
		if err := again.DecodeLines(b.AppendLines(nil), noon); err != nil || again.Len() != b.Len() {
			t.Fatalf("what it makes is no batch: %v", err)
		}
		if lines := len(strings.Split(string(text), "\n")); r.Points+r.Total() > lines {
			t.Fatalf("%v of %d lines", r, lines)
		}
		if (r.First == nil) != (len(r.Bad) == 0) {
			t.Fatalf("%v", r)
		}
	})
}
