package munin

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

var noon = time.Unix(1700000000, 0)

// run decodes what a plugin printed at a time, and returns the points as sorted lines, and the report.
func run(t testing.TB, p *Plugin, at time.Time, text string) (string, report.Report) {
	t.Helper()
	var b telemetry.Batch
	r := p.Decode(&b, []byte(text), at)
	if n := b.Drops().Total(); n > 0 {
		t.Errorf("the batch counts %d drops: they belong to the report", n)
	}
	if b.Len() != r.Points {
		t.Errorf("%d points in the batch, %d in the report", b.Len(), r.Points)
	}
	if (r.Total() > 0) != (r.First != nil) {
		t.Errorf("%v, %v", r.Bad, r.First)
	}
	lines := strings.SplitAfter(string(b.AppendLines(nil)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, ""), r
}

// same decodes a text that has nothing bad.
func same(t *testing.T, p *Plugin, at time.Time, text, want string) {
	t.Helper()
	got, r := run(t, p, at, text)
	if got != want || r.Total() > 0 {
		t.Errorf("got\n%s%v\nwant\n%s", got, r.First, want)
	}
}

func TestGauges(t *testing.T) {
	same(t, New(Options{Plugin: "load"}), noon, "graph_title Load average\nload.label load\nload.value 0.20\n",
		"munin_load,graph=load load=0.2 1700000000000000000\n")
	same(t, New(Options{}), noon, "a.value 1\nb.value\t-2e3\r\n  c.value   3  \nd.value U\ne.value N:5\n",
		"munin,graph=munin a=1,b=-2000,c=3,e=5 1700000000000000000\n")
	same(t, New(Options{Plugin: "p"}), noon, "# nothing\n\n", "")
}

func TestMultigraph(t *testing.T) {
	text := "multigraph disk\nsda.label sda\n\nmultigraph disk.sda\nread.value 1\nmultigraph disk\nsda.value 2\n"
	same(t, New(Options{Plugin: "disk"}), noon, text, "munin_disk,graph=disk sda=2 1700000000000000000\n"+
		"munin_disk,graph=disk.sda read=1 1700000000000000000\n")
}

func TestTimes(t *testing.T) {
	same(t, New(Options{Plugin: "p"}), noon, "a.value 1699999990:1\na.value 1699999995:2\nb.value 1699999995:3\nb.value 4\n",
		"munin_p,graph=p a=1 1699999990000000000\nmunin_p,graph=p a=2,b=3 1699999995000000000\nmunin_p,graph=p b=4 1700000000000000000\n")
}

func TestHost(t *testing.T) {
	same(t, New(Options{Plugin: "p"}), noon, "host_name switch-1\na.value 1\n", "munin_p,graph=p,host=switch-1 a=1 1700000000000000000\n")
	same(t, New(Options{Plugin: "p"}), noon, "host_name localhost\na.value 1\n", "munin_p,graph=p a=1 1700000000000000000\n")
}

// Counters are as they are: whole numbers that no bound of what they grow by takes away.
func TestCounters(t *testing.T) {
	config := "c.type COUNTER\nd.type DERIVE\nd.min 0\nd.max 10\na.type ABSOLUTE\n"
	p := New(Options{Plugin: "p"})
	same(t, p, noon, config+"c.value 18446744073709551615\nd.value 9223372036854775807\na.value 1.5\n",
		"munin_p,graph=p a=1.5,c=18446744073709551615u,d=9223372036854775807i 1700000000000000000\n")
	same(t, p, noon.Add(time.Second), config+"c.value 1.5e+10\nd.value -7\n", "munin_p,graph=p c=15000000000i,d=-7i 1700000001000000000\n")
}

// A plugin that calls a field something else from one run to the next has no rate of it then.
func TestKindChanges(t *testing.T) {
	kinds := []string{gauge, absolute, counter, derive, counter, absolute, derive, gauge, counter}
	p := New(Options{Plugin: "p", Rates: true})
	for i, kind := range kinds {
		at := noon.Add(time.Duration(2*i) * time.Second)
		for n, want := range []int{0, 1} {
			if kind == gauge {
				want = 1
			}
			text := fmt.Sprintf("a.type %s\na.value %d\n", kind, 1<<40+n)
			if got, r := run(t, p, at.Add(time.Duration(n)*time.Second), text); r.Points != want || r.Total() > 0 {
				t.Errorf("%s for the %d. time: %q, %v", kind, n+1, got, r)
			}
		}
	}
}

func TestRates(t *testing.T) {
	config := "c.type COUNTER\nd.type DERIVE\na.type ABSOLUTE\ng.value 1\n"
	p := New(Options{Plugin: "p", Rates: true})
	at := noon
	next := func(values, want string) {
		t.Helper()
		got, r := run(t, p, at, config+values)
		if !strings.HasPrefix(got, "munin_p,graph=p "+want+" ") || r.Total() > 0 {
			t.Errorf("%s: %s%v, want %s", values, got, r.First, want)
		}
		at = at.Add(10 * time.Second)
	}
	next("c.value 4294967290\nd.value 10\na.value 100\n", "g=1")
	next("c.value 4\nd.value 5\na.value 100\n", "a=10,c=1,d=-0.5,g=1") // beyond 2^32
	next("c.value 24\nd.value 9007199254740993\na.value U\n", "c=2,d=900719925474098.8,g=1")
	next("c.value U\nd.value 9007199254740995\na.value 400\n", "a=20,d=0.2,g=1") // exact above 2^53
	next("c.value 64\n", "c=2,g=1")                                              // over the gap
	next("c.value 18446744073709551615\nd.value -9223372036854775808\n", "c=1844674407370955300,d=-461618961805475840,g=1")
	next("c.value 9\nd.value 9223372036854775807\n", "c=1,d=1844674407370955300,g=1") // beyond 2^64
}

// A value that was printed before is no reading anew.
func TestRatesOfTimes(t *testing.T) {
	p := New(Options{Plugin: "p", Rates: true})
	same(t, p, noon, "c.type COUNTER\nc.value 1700000000:10\nc.value 1700000010:30\n", "munin_p,graph=p c=2 1700000010000000000\n")
	same(t, p, noon, "c.type COUNTER\nc.value 1700000010:30\nc.value 1700000020:60\n", "munin_p,graph=p c=3 1700000020000000000\n")
}

func TestBounds(t *testing.T) {
	f := func(rates bool, text, want string, refused int) {
		t.Helper()
		p := New(Options{Plugin: "p", Rates: rates})
		run(t, p, noon, "d.type DERIVE\nd.value 1000\n")
		got, r := run(t, p, noon.Add(time.Second), text)
		if got != want || r.Bad[OutOfRange] != refused || r.Total() != refused {
			t.Errorf("%s: %s, %v", text, got, r)
		}
	}
	f(false, "g.min 0\ng.max 100\ng.value 100\n", "munin_p,graph=p g=100 1700000001000000000\n", 0)
	f(false, "g.min 0\ng.max 100\ng.value 101\n", "", 1)
	f(false, "g.value -1\ng.min 0\n", "", 1) // values may stand before what they are bound by
	f(false, "g.min U\ng.max U\ng.value -1\n", "munin_p,graph=p g=-1 1700000001000000000\n", 0)
	f(false, "d.type DERIVE\nd.min 0\nd.value 10\n", "munin_p,graph=p d=10i 1700000001000000000\n", 0)
	f(true, "d.type DERIVE\nd.min 0\nd.value 10\n", "", 1)
}

func TestLimits(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, r := run(t, New(Options{Plugin: "df"}), noon, "root.label /\n"+text)
		if !strings.Contains(got, want) || strings.Count(got, "check_state") != min(1, len(want)) || r.Total() > 0 {
			t.Errorf("%s\ngot  %s\nwant %s", text, got, want)
		}
	}
	f("root.value 99\n", "")
	f("root.warning 92\nroot.critical 98\nroot.value 92\n", `check_state,check=df.root state=0i,text="/: 92" 1700000000000000000`)
	f("root.warning 92\nroot.critical 98\nroot.value 93\n", `check_state,check=df.root state=1i,text="/: 93 is not within :92, the limit of warning" 17`)
	f("root.warning 92\nroot.critical 98\nroot.value 98.5\n", `check_state,check=df.root state=2i,text="/: 98.5 is not within :98, the limit of critical" 17`)
	f("root.warning 5:\nroot.value 1700000001:4\n", `state=1i,text="/: 4 is not within 5:, the limit of warning" 1700000001`)
	f("root.warning 5:10\nroot.value 4\nroot.value 7\n", `check_state,check=df.root state=0i,text="/: 7" 17`)
	f("root.warning :10\nroot.value U\n", `check_state,check=df.root reason="no_value",state=3i,text="/: no value" 17`)
	f("root.warning :10\nother.value 1\n", `check_state,check=df.root reason="no_value",state=3i,text="/: no value" 17`)
	f("root.warning :10\n", "") // config alone
	f("root.warning\nroot.critical\nroot.value 1\n", "")
}

// The limits of a counter are about what it grows by, whether that is shown or not.
func TestLimitsOfCounters(t *testing.T) {
	for _, rates := range []bool{false, true} {
		p := New(Options{Plugin: "if", Rates: rates})
		text := "multigraph if_err\nrx.type COUNTER\nrx.warning 1\nrx.value "
		if got, _ := run(t, p, noon, text+"1000000\n"); strings.Contains(got, "check_state") {
			t.Errorf("at first: %s", got)
		}
		got, _ := run(t, p, noon.Add(time.Second), text+"1000002\n")
		want := `check_state,check=if_err.rx state=1i,text="rx: 2 is not within :1, the limit of warning (per second)" 1700000001`
		if !strings.Contains(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestBad(t *testing.T) {
	f := func(text, want string, bad map[string]int, first string) {
		t.Helper()
		got, r := run(t, New(Options{Plugin: "p"}), noon, text)
		if got != want || !maps.Equal(r.Bad, bad) || !strings.HasPrefix(r.First.Error(), first) {
			t.Errorf("%q: %q, %v", text, got, r)
		}
	}
	a := "munin_p,graph=p a=1 1700000000000000000\n"
	f("Can't open the file\na.value 1\n", a, map[string]int{report.Syntax: 1}, `line 1: "Can't": want field.value`)
	f("a.value 1\n9lives.value 1\n.value 1\nsd-a.value 1\n", a, map[string]int{report.Syntax: 3}, `line 2: field "9lives": want letters`)
	f("a.value 1\nb.value one\nc.value\nd.value 0x10\ne.value 1_0\n", a, map[string]int{BadValue: 4}, `line 2: b: "one": want a number, or U`)
	f("a.value 1\nb.value NaN\nc.value inf\nd.value -1e999\n", a, map[string]int{report.NotFinite: 3}, `line 2: b: "NaN"`)
	f("a.value 1\nb.type COUNTER\nb.value 1.5\nc.type COUNTER\nc.value -1\n", a, map[string]int{BadValue: 2}, `line 3: b: "1.5": a COUNTER is a whole number`)
	f("a.value 1\nb.value -62135596800:1\nb.value 253402300799:1\nb.value soon:1\n", a,
		map[string]int{report.TimeRange: 2, report.Syntax: 1}, `line 2: b: time "-62135596800": want seconds since 1970`)
	f("a.type PIE\na.warning x\na.critical 1:2:3\na.min x\na.value 1\n", a, map[string]int{report.Syntax: 1, BadLimit: 3}, `line 1: a: type "PIE"`)
}

// What no graph of Munin's can show is no reason to lose what it has besides.
func TestManyFields(t *testing.T) {
	var text strings.Builder
	for i := range 2*telemetry.MaxFields + 1 {
		text.WriteString("f" + strings.Repeat("x", i) + ".value 1\n")
	}
	if got, r := run(t, New(Options{}), noon, text.String()); r.Points < 3 || r.Total() > 0 {
		t.Errorf("%d points, %v: %s", r.Points, r.First, got)
	}
}

func TestOutput(t *testing.T) {
	var o Output
	o.Read([]byte("a.label A\na.warning 1\n"))
	if o.Values() {
		t.Error("values in a config")
	}
	o.SetHost("router")
	o.Read([]byte("a.value 2\n"))
	if !o.Values() {
		t.Error("no values")
	}
	var b telemetry.Batch
	if r := New(Options{Plugin: "p"}).AppendTo(&b, &o, noon); r.Points != 2 || !strings.Contains(string(b.AppendLines(nil)), "check=p.a,host=router") {
		t.Errorf("%v: %s", r, b.AppendLines(nil))
	}
}

func TestRange(t *testing.T) {
	f := func(text string, low, high float64) {
		t.Helper()
		r, ok := ParseRange(text)
		if !ok || !r.Holds(low) || !r.Holds(high) || r.Holds(math.Nextafter(low, low-1)) == !math.IsInf(low, 0) ||
			r.Holds(math.Nextafter(high, high+1)) == !math.IsInf(high, 0) {
			t.Errorf("%s: %v", text, r)
		}
	}
	inf := math.Inf(1)
	f("10", -inf, 10)
	f(":10", -inf, 10)
	f("10:", 10, inf)
	f("-1.5:10", -1.5, 10)
	f(" 1 : 2 ", 1, 2)
	for _, text := range []string{"x", "1:x", "x:1", "1:2:3", "NaN", "inf:", "10%"} {
		if r, ok := ParseRange(text); ok {
			t.Errorf("%s: %v", text, r)
		}
	}
	for _, text := range []string{"", ":"} {
		if r, ok := ParseRange(text); r != nil || !ok {
			t.Errorf("%q: %v, %v", text, r, ok)
		}
	}
}

// However much a plugin prints, the time it takes grows with that and no faster.
func TestFlood(t *testing.T) {
	const n = 20_000
	var graphs, times strings.Builder
	for i := range n {
		fmt.Fprintf(&graphs, "multigraph g%d\n", i)
		fmt.Fprintf(&times, "a.value %d:1\n", i)
	}
	if _, r := run(t, New(Options{}), noon, graphs.String()); r.Points != 0 || r.Total() > 0 {
		t.Errorf("%d points, %v", r.Points, r.First)
	}
	if _, r := run(t, New(Options{}), noon, times.String()); r.Points != n || r.Total() > 0 {
		t.Errorf("%d points, %v", r.Points, r.First)
	}
}

func BenchmarkDecode(b *testing.B) {
	var text strings.Builder
	for i := range 100 {
		fmt.Fprintf(&text, "f%d.label field %d\nf%d.type DERIVE\nf%d.min 0\nf%d.value %d\n", i, i, i, i, i, i*1000)
	}
	p, in := New(Options{Plugin: "p"}), []byte(text.String())
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var batch telemetry.Batch
	for b.Loop() {
		batch.Reset()
		p.Decode(&batch, in, noon)
	}
}

// A long name costs each point of its graph no more than is kept of it, and a line that is too long is left out.
func TestLongNames(t *testing.T) {
	long := strings.Repeat("é", telemetry.MaxTagValue)
	got, r := run(t, New(Options{Plugin: "p"}), noon, "multigraph x"+long+"\nhost_name x"+long+"\na.value 1\na.label "+strings.Repeat("x", report.MaxLine)+"\na.critical 0\n")
	kept := ("x" + long)[:telemetry.MaxTagValue-1] // no half of a letter
	want := "munin_p,graph=" + kept + ",host=" + kept + " a=1 1700000000000000000\n"
	if r.Points != 2 || r.Bad[report.Limit] != 1 || r.Total() != 1 || !strings.Contains(got, want) {
		t.Errorf("%v: %.2000s", r, got)
	}
}
