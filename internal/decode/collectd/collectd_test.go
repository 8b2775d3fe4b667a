package collectd

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

var noon = time.Unix(1700000000, 0)

const typesDB = `# some of collectd's
if_octets	rx:DERIVE:0:U, tx:DERIVE:0:U
cpu		value:DERIVE:0:U
load  shortterm:GAUGE:0:5000, midterm:GAUGE:0:5000, longterm:GAUGE:0:5000   # three
`

// options are those of most tests.
func options(t testing.TB) Options {
	t.Helper()
	types := Types{}
	if err := types.Parse(typesDB); err != nil {
		t.Fatal(err)
	}
	return Options{Types: types, Plugin: "legacy"}
}

// decode returns the points of a text as sorted lines, and the report.
func decode(t testing.TB, text string, o Options) (string, report.Report) {
	t.Helper()
	var b telemetry.Batch
	r := Decode(&b, []byte(text), noon, o)
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

func TestPutval(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, r := decode(t, text, options(t))
		if got != want || r.Total() > 0 {
			t.Errorf("%s\ngot  %s%v\nwant %s", text, got, r.First, want)
		}
	}
	f("PUTVAL localhost/cpu-0/cpu-idle N:2299366", "cpu_cpu,instance=0,type_instance=idle value=2299366i 1700000000000000000\n")
	f("putval localhost/interface/if_octets-eth0 interval=10 1180647081:421465:479194\n",
		"interface_if_octets,type_instance=eth0 rx=421465i,tx=479194i 1180647081000000000\n")
	f("PUTVAL other/load/load 1180647081.25:0.1:U:3", "load_load,host=other longterm=3,shortterm=0.1 1180647081250000000\n")
	f("PUTVAL localhost/a/unknown N:5\nPUTVAL localhost/b/unknown N:5:U:-1e3", "a_unknown value=5 1700000000000000000\nb_unknown value0=5,value2=-1000 1700000000000000000\n")
	f("PUTVAL localhost/a/b N:U", "")
	f("\n  # a comment\nPUTVAL\tlocalhost/a/b\tN:1\r\n", "a_b value=1 1700000000000000000\n")
	f(`PUTVAL "localhost/a-one two/b-\"x\" \\z" N:1`, `a_b,instance=one\ two,type_instance="x"\ \z value=1 1700000000000000000`+"\n")
	f("PUTVAL localhost/a-b-c/df_complex-used-/home N:1", "a_df_complex,instance=b-c,type_instance=used-/home value=1 1700000000000000000\n")
	f("PUTVAL localhost/c/cpu N:1.5e+10\nPUTVAL localhost/d/cpu N:18446744073709551615\n", "c_cpu value=15000000000i 1700000000000000000\nd_cpu value=18446744073709551615u 1700000000000000000\n")
}

// Options hold for the values behind them, of which there may be several on a line.
func TestPutvalLists(t *testing.T) {
	got, r := decode(t, `PUTVAL localhost/a/b 1180647081:1 interval=10 meta:room="the lab" 1180647091:2 meta:room=hall meta:host=x 1180647101:3`, options(t))
	want := "a_b value=1 1180647081000000000\na_b,room=hall value=3 1180647101000000000\na_b,room=the\\ lab value=2 1180647091000000000\n"
	if got != want || r.Total() > 0 {
		t.Errorf("%s%v, want %s", got, r.First, want)
	}
}

func TestPutnotif(t *testing.T) {
	f := func(text, state, event string) {
		t.Helper()
		got, r := decode(t, text, options(t))
		if got != state+event || r.Total() > 0 || r.Points != 2 {
			t.Errorf("%s\ngot  %s%v\nwant %s", text, got, r.First, state+event)
		}
	}
	f(`PUTNOTIF severity=failure time=1700000001 host=localhost plugin=cpu plugin_instance=0 type=cpu type_instance=idle message=too hot, 99 degrees`,
		`check_state,check=cpu-0/cpu-idle state=2i,text="too hot, 99 degrees" 1700000001000000000`+"\n",
		`event,plugin=legacy,type=notification message="cpu-0/cpu-idle is CRITICAL: too hot, 99 degrees",to="CRITICAL" 1700000001000000000`+"\n")
	f(`putnotif Severity=Okay time=N host="other" plugin=df s:room=lab Message="it says \"fine\""`,
		`check_state,check=df,host=other state=0i,text="it says \"fine\"" 1700000000000000000`+"\n",
		`event,host=other,plugin=legacy,type=notification message="df is OK: it says \"fine\"",to="OK" 1700000000000000000`+"\n")
	f(`PUTNOTIF severity=warning type=load message="a" and "b"`,
		`check_state,check=load state=1i,text="\"a\" and \"b\"" 1700000000000000000`+"\n",
		`event,plugin=legacy,type=notification message="load is WARNING: \"a\" and \"b\"",to="WARNING" 1700000000000000000`+"\n")
	f(`PUTNOTIF severity=warning message=x`, `check_state,check=legacy state=1i,text="x" 1700000000000000000`+"\n",
		`event,plugin=legacy,type=notification message="legacy is WARNING: x",to="WARNING" 1700000000000000000`+"\n")
}

func TestBad(t *testing.T) {
	f := func(line, reason, first string) {
		t.Helper()
		got, r := decode(t, "PUTVAL localhost/a/b N:1\n"+line+"\nPUTVAL localhost/c/d N:2\n", options(t))
		want := "a_b value=1 1700000000000000000\nc_d value=2 1700000000000000000\n"
		if got != want || !maps.Equal(r.Bad, map[string]int{reason: 1}) || !strings.HasPrefix(r.First.Error(), "line 2: "+first) {
			t.Errorf("%s: %s%v", line, got, r)
		}
	}
	f("FLUSH timeout=5", UnknownCommand, `"FLUSH": want PUTVAL or PUTNOTIF`)
	f("PUTVAL", report.Syntax, `identifier "": want host/plugin/type`)
	f("PUTVAL a/b N:1", report.Syntax, `identifier "a/b"`)
	f("PUTVAL a/-b/c N:1", report.Syntax, `identifier "a/-b/c"`)
	f(`PUTVAL "a/b/c N:1`, report.Syntax, `"\"a/b/c N:1": a quote is missing`)
	f("PUTVAL a/b/c", report.Syntax, "a/b/c: there is no value")
	f("PUTVAL a/b/c interval=10", report.Syntax, "a/b/c: there is no value")
	f("PUTVAL a/b/c 5", report.Syntax, `b/c: values "5": want N:VALUE`)
	f("PUTVAL a/b/c N:", report.Syntax, `b/c: values "N:"`)
	f("PUTVAL a/b/c :1", report.Syntax, `b/c: values ":1"`)
	f("PUTVAL a/b/c N:one", BadValue, `b/c: value "one" of value: want a number, or U`)
	f("PUTVAL a/b/c N:0x10", BadValue, `b/c: value "0x10"`)
	f("PUTVAL a/b/cpu N:1.5", BadValue, `b/cpu: value "1.5"`)
	f("PUTVAL a/b/if_octets N:1", WrongCount, "b/if_octets: 1 values: the type if_octets has 2")
	f("PUTVAL a/b/c -62135596800:1", report.TimeRange, `time "-62135596800": want seconds since 1970`)
	f("PUTVAL a/b/c 253402300799:1", report.TimeRange, `time "253402300799"`)
	f("PUTVAL a/b/c noon:1", report.Syntax, `time "noon"`)
	f("PUTNOTIF message=x", report.Syntax, `severity "": want failure, warning or okay`)
	f("PUTNOTIF severity=bad message=x", report.Syntax, `severity "bad"`)
	f("PUTNOTIF severity=okay", report.Syntax, "there is no message")
	f("PUTNOTIF severity=okay message=", report.Syntax, "there is no message")
	f("PUTNOTIF severity=okay loud message=x", report.Syntax, `"loud": want KEY=VALUE`)
	f("PUTNOTIF severity=okay time=253402300799 message=x", report.TimeRange, `time "253402300799"`)
	f(`PUTNOTIF severity="okay message=x`, report.Syntax, `"severity=\"okay message=x": a quote is missing`)
}

// What is not finite costs itself, and its point when there is nothing else.
func TestNotFinite(t *testing.T) {
	got, r := decode(t, "PUTVAL localhost/a/load N:NaN:1:inf\nPUTVAL localhost/a/cpu N:-1e999\n", options(t))
	if got != "a_load midterm=1 1700000000000000000\n" || r.Bad[report.NotFinite] != 3 || r.Bad[report.NoFields] != 1 {
		t.Errorf("%s, %v", got, r)
	}
}

// A line with a fault counts up to it.
func TestHalfALine(t *testing.T) {
	got, r := decode(t, "PUTVAL localhost/a/b N:1 N:x N:3\n", options(t))
	if got != "a_b value=1 1700000000000000000\n" || r.Bad[BadValue] != 1 {
		t.Errorf("%s, %v", got, r)
	}
}

func TestTypes(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		types := Types{}
		if err := types.Parse("a v:GAUGE:0:U\n" + text); err == nil || err.Error() != want || len(types) != 1 {
			t.Errorf("%s: %v, %v; want %s", text, types, err, want)
		}
	}
	f("b\n", "line 2: b: there is no value: want name:kind:min:max")
	f("b x:GAUGE\n", `line 2: b: "x:GAUGE": want name:kind:min:max, each name once`)
	f("b :GAUGE:0:1\n", `line 2: b: ":GAUGE:0:1": want name:kind:min:max, each name once`)
	f("b x:GAUGE:0:1 x:GAUGE:0:1\n", `line 2: b: "x:GAUGE:0:1": want name:kind:min:max, each name once`)
	f("b x:GAUGE:low:1\n", `line 2: b: "x:GAUGE:low:1": bounds "low" and "1": want numbers or U, the lower first`)
	f("b x:GAUGE:1:0\n", `line 2: b: "x:GAUGE:1:0": bounds "1" and "0": want numbers or U, the lower first`)
	f("b x:GAUGE:NaN:1\n", `line 2: b: "x:GAUGE:NaN:1": bounds "NaN" and "1": want numbers or U, the lower first`)
	f("\nb x:PIE:0:1\n", `line 3: b: "x:PIE:0:1": kind "PIE": want GAUGE, COUNTER, DERIVE or ABSOLUTE`)
}

// Values that types.db says are impossible are left out, each for itself; what it says of counters is about their growth.
func TestBounds(t *testing.T) {
	types := Types{}
	if err := types.Parse("percent value:GAUGE:0:100.1\nload a:GAUGE:0:U, b:GAUGE:U:10\nold value:COUNTER:0:100\n"); err != nil {
		t.Fatal(err)
	}
	f := func(value, want string, bad map[string]int) {
		t.Helper()
		got, r := decode(t, "PUTVAL h/x/"+value, Options{Types: types})
		if want != "" {
			want = "x_" + want + " 1000000000\n"
		}
		if got != want || !maps.Equal(r.Bad, bad) {
			t.Errorf("%s: %s%v; want %s%v", value, got, r.Bad, want, bad)
		}
	}
	none, one := map[string]int(nil), map[string]int{OutOfRange: 1}
	f("percent 1:0", "percent,host=h value=0", none)
	f("percent 1:100.1", "percent,host=h value=100.1", none)
	f("percent 1:100.2", "", one)
	f("percent 1:-0.5", "", one)
	f("percent 1:-Inf", "", map[string]int{report.NotFinite: 1, report.NoFields: 1})
	f("percent 1:NaN", "", map[string]int{report.NotFinite: 1, report.NoFields: 1})
	f("load 1:-1:5", "load,host=h b=5", one)
	f("load 1:1e9:-1e9", "load,host=h a=1000000000,b=-1000000000", none)
	f("load 1:-1:11", "", map[string]int{OutOfRange: 2})
	f("old 1:5000", "old,host=h value=5000i", none)
}

func TestReadTypes(t *testing.T) {
	path := t.TempDir() + "/types.db"
	if err := os.WriteFile(path, []byte(typesDB), 0o600); err != nil {
		t.Fatal(err)
	}
	if types, err := ReadTypes(path); err != nil || len(types) != 3 || len(types["load"]) != 3 || !types["cpu"][0].Counter {
		t.Errorf("%v, %v", types, err)
	}
	if _, err := ReadTypes(path, path+".local"); err == nil || !strings.Contains(err.Error(), path+".local") {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("load\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTypes(path); err == nil || !strings.Contains(err.Error(), path+": line 1: load: there is no value") {
		t.Error(err)
	}
}

func TestVariables(t *testing.T) {
	f := func(every time.Duration, want string) {
		t.Helper()
		if got := Variables("web-1", every); got["COLLECTD_HOSTNAME"] != "web-1" || got["COLLECTD_INTERVAL"] != want || len(got) != 2 {
			t.Errorf("%v: %v", every, got)
		}
	}
	f(0, "10")
	f(time.Minute, "60")
	f(1500*time.Millisecond, "1.5")
}

func BenchmarkDecode(b *testing.B) {
	in := []byte(strings.Repeat("PUTVAL localhost/interface/if_octets-eth0 interval=10 1180647081:421465:479194\n", 1000))
	o := options(b)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	var batch telemetry.Batch
	for b.Loop() {
		batch.Reset()
		Decode(&batch, in, noon, o)
	}
}

// What is far above what collectd's own programs print is left out: tags that a million points share would be a million times as many.
func TestLimits(t *testing.T) {
	f := func(line string, points int) {
		t.Helper()
		got, r := decode(t, "PUTVAL h/a/b N:1\n"+line+"\nPUTVAL h/c/d N:2", options(t))
		if r.Points != points+2 || r.Bad[report.Limit] != 1 || r.Total() != 1 || !strings.Contains(got, "a_b,") || !strings.Contains(got, "c_d,") {
			t.Errorf("%.40s: %d points, %v", line, r.Points, r)
		}
	}
	f("PUTVAL h/x/y"+strings.Repeat(" N:1", maxLists+1), maxLists)
	f("PUTVAL h/x/y N"+strings.Repeat(":1", telemetry.MaxFields+1), 0)
	f("PUTVAL h/x/y meta:a="+strings.Repeat("x", report.MaxLine)+" N:1", 0)
}
