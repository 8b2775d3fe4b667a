package jsontext

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/decode/report"
	"github.com/pacewire/pacewire/telemetry"
)

var noon = time.Unix(1700000000, 0)

// at is what a line of a point without a time ends with.
const at = " 1700000000000000000\n"

// decode returns the points of a text as line protocol, sorted.
func decode(t testing.TB, o Options, text string) (string, report.Report) {
	t.Helper()
	d, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	var b telemetry.Batch
	r := d.Decode(&b, []byte(text), noon)
	if b.Len() != r.Points || b.Drops().Total() > 0 {
		t.Errorf("%d points in the batch, %v, drops %v", b.Len(), r, b.Drops())
	}
	lines := strings.SplitAfter(string(b.AppendLines(nil)), "\n")
	slices.Sort(lines)
	return strings.Join(lines, ""), r
}

func TestOurForm(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got, r := decode(t, Options{Series: "s"}, text); got != want || r.First != nil {
			t.Errorf("%s: %q, %v; want %q", text, got, r, want)
		}
	}
	f(`{"series":"a","time":5,"tags":{"t":"u"},"fields":{"f":1,"b":true,"s":"x","none":null}}`, "a,t=u b=true,f=1,s=\"x\" 5\n")
	f(`{"fields":{"f":1.5e3}}`, "s f=1500"+at)
	f(`{"fields":{"i":9223372036854775807,"u":"18446744073709551615","f":3},"types":{"i":"i","u":"u","f":"f"}}`,
		"s f=3,i=9223372036854775807i,u=18446744073709551615u"+at)
	f(`{"time":"2023-11-14T22:13:21.5Z","fields":{"f":1}}`, "s f=1 1700000001500000000\n")
	f(`{"time":9223372036854775807,"fields":{"f":1}}`, "s f=1 9223372036854775807\n")
	f(`[{"fields":{"f":1}},{"series":"b","fields":{"f":2}}]`, "b f=2"+at+"s f=1"+at)
	f("{\"fields\":{\"f\":1}}\n\n{\"series\":\"b\",\"fields\":{\"f\":2}}\n", "b f=2"+at+"s f=1"+at)
	f("", "")
}

// What is not of our form is flattened, or read by paths.
func TestForeign(t *testing.T) {
	f := func(o Options, text, want string) {
		t.Helper()
		if o.Series == "" {
			o.Series = "s"
		}
		if got, r := decode(t, o, text); got != want || r.First != nil {
			t.Errorf("%+v: %q, %v; want %q", o, got, r, want)
		}
	}
	f(Options{}, `{"a":1,"b":{"c":2,"d":[3,{"e":true}]},"text":"no","none":null}`, "s a=1,b_c=2,b_d_0=3,b_d_1_e=true"+at)
	f(Options{}, `{"series":"x","fields":{"f":1},"more":2}`, "s fields_f=1,more=2"+at)
	disks := `{"host":{"name":"h"},"disks":[{"n":"sda","used":1,"st":{"ok":true,"msg":"fine"}},{"n":"sdb","used":2}]}`
	f(Options{Root: "disks", TagKeys: []string{"n"}}, disks, "s,n=sda st_ok=true,used=1"+at+"s,n=sdb used=2"+at)
	f(Options{Root: "disks.1", SeriesKey: "n"}, disks, "sdb used=2"+at)
	f(Options{Root: "disks", TagKeys: []string{"n"}, FieldKeys: []string{"st"}}, `{"disks":[{"n":"a","x":1,"st":{"ok":true,"msg":"fine"}}]}`,
		`s,n=a st_msg="fine",st_ok=true`+at)
	f(Options{FieldKeys: []string{"disks.0.used", "disks.0.n", "absent"}}, disks, `s disks_0_n="sda",disks_0_used=1`+at)
	f(Options{TagKeys: []string{"host.name", "up", "n", "list"}}, `{"host":{"name":"h"},"up":true,"n":5,"list":[],"v":1}`, "s,host_name=h,n=5,up=true v=1"+at)
	f(Options{TagKeys: []string{`a\.b`}}, `{"a.b":"x","c.d":1}`, "s,a.b=x c.d=1"+at)
	f(Options{SeriesKey: "name"}, `[{"name":"a","v":1},{"v":2}]`, "a v=1"+at+"s v=2"+at)
}

func TestTimes(t *testing.T) {
	f := func(form, v, want string) {
		t.Helper()
		got, r := decode(t, Options{Series: "s", TimeKey: "t", TimeForm: form}, fmt.Sprintf(`{"t":%s,"v":1}`, v))
		if want = "s v=1 " + want + "\n"; got != want || r.First != nil {
			t.Errorf("%s of %q: %q, %v; want %q", v, form, got, r, want)
		}
	}
	f("", "1700000001", "1700000001000000000")
	f("", "1700000001.25", "1700000001250000000")
	f("", "1700000001500", "1700000001500000000")
	f("", "1700000001500000", "1700000001500000000")
	f("", "1700000001500000001", "1700000001500000001")
	f("", `"1700000001"`, "1700000001000000000")
	f("", `"2023-11-14T23:13:21+01:00"`, "1700000001000000000")
	f("unix_ms", "1", "1000000")
	f("unix_us", "1", "1000")
	f("unix_ns", `"1"`, "1")
	f("unix", "1e9", "1000000000000000000")
	f("rfc3339", `"2023-11-14T22:13:21.000000001Z"`, "1700000001000000001")
	f("2006-01-02 15:04:05", `"2023-11-14 22:13:21"`, "1700000001000000000")
}

// What is bad costs itself alone, and is counted by reason.
func TestBad(t *testing.T) {
	f := func(o Options, bad, reason, says string) {
		t.Helper()
		o.TimeKey = "t"
		got, r := decode(t, o, `{"s":"a","v":1}`+"\n"+bad+"\n"+`{"s":"b","v":2}`+"\n")
		if got != "a v=1"+at+"b v=2"+at || r.Bad[reason] == 0 || r.First == nil || !strings.Contains(r.First.Error(), says) {
			t.Errorf("%s: %q, %v; want %s and %q", bad, got, r, reason, says)
		}
	}
	o := Options{SeriesKey: "s"}
	f(o, `{"s":"a","v":1`, report.Syntax, "line 2: unexpected end of JSON input")
	f(o, `{"s":"a","v":NaN}`, report.Syntax, "line 2: invalid character 'N'")
	f(o, `{"s":"a","v":1} 7x`, report.Syntax, "line 2: invalid character '7' after top-level value")
	f(o, "\x00\xff\xfe", report.Syntax, "line 2: invalid character")
	f(o, `[{"s":"c"},`, report.Syntax, "line 2")
	f(o, `"text"`, report.Syntax, "want an object, and there is a text")
	f(o, `null`, report.Syntax, "there is null")
	f(o, `[1]`, report.Syntax, "there is a number")
	f(o, `{"s":"a","v":1e999}`, report.NotFinite, "a: the value of v is +Inf")
	f(o, `{"s":"a"}`, report.NoFields, "a: no value is left")
	f(o, `{"v":1}`, NoSeries, "nothing says the series")
	f(o, `{"s":[],"v":1}`, NoSeries, "nothing says the series")
	f(o, `{"s":"a","t":"0001-01-01T00:00:00Z","v":1}`, report.TimeRange, "time 0001-01-01T00:00:00Z: not between")
	f(o, `{"s":"a","t":"9999-12-31T00:00:00Z","v":1}`, report.TimeRange, "time 9999")
	f(o, `{"s":"a","t":-62135596801,"v":1}`, report.TimeRange, "not between")
	f(o, `{"s":"a","t":1e300,"v":1}`, report.TimeRange, "not between")
	f(o, `{"s":"a","t":true,"v":1}`, report.Syntax, "time: want a number, and there is a boolean")
	f(o, `{"s":"a","t":{},"v":1}`, report.Syntax, "there is an object")
	f(o, `{"s":"a","t":"noon","v":1}`, report.Syntax, "time: parsing")
	deep := strings.Repeat(`{"a":`, maxDepth+2) + "1" + strings.Repeat("}", maxDepth+2)
	f(o, `{"s":"a","deep":`+deep+`}`, report.Limit, "are left out")
	f(o, `{"s":"a","`+strings.Repeat("k", 300)+`":1}`, report.Limit, "are left out")
}

func TestBadOurs(t *testing.T) {
	f := func(object, says string) {
		t.Helper()
		got, r := decode(t, Options{Series: "s"}, `[{"fields":{"f":1}},`+object+`]`)
		if got != "s f=1"+at || r.Total() == 0 || !strings.Contains(r.First.Error(), says) {
			t.Errorf("%s: %q, %v; want %q", object, got, r, says)
		}
	}
	f(`{"series":5,"fields":{"f":1}}`, "series: want a text, and there is a number")
	f(`{"tags":{"t":5},"fields":{"f":1}}`, "tag t: want a text, and there is a number")
	f(`{"time":"noon","fields":{"f":1}}`, "time: parsing")
	f(`{"time":[],"fields":{"f":1}}`, "time: want a number, and there is a list")
	f(`{"time":9223372036854775808,"fields":{"f":1}}`, "time 9223372036854775808: not between")
	f(`{"fields":{"f":[]}}`, "field f: want a number, a text or a boolean")
	f(`{"fields":{"f":1.5},"types":{"f":"i"}}`, "field f: want an integer, and there is 1.5")
	f(`{"fields":{"f":-1},"types":{"f":"u"}}`, "want an integer of 0 or more")
	f(`{"fields":{}}`, "no value is left")
}

// A text that is no JSON at all has one fault, not one for each line.
func TestNotLines(t *testing.T) {
	text := "{\n  \"a\": 1,\n  \"b\": oops\n}\n"
	if got, r := decode(t, Options{Series: "s"}, text); got != "" || r.Total() != 1 || !strings.Contains(r.First.Error(), "line 3: invalid character 'o'") {
		t.Errorf("%q, %v", got, r)
	}
	if _, r := decode(t, Options{Series: "s", Root: "a.b"}, `{"a":{}}`); r.Total() != 1 || !strings.Contains(r.First.Error(), "there is nothing at a.b") {
		t.Errorf("%v", r)
	}
}

func TestBadPaths(t *testing.T) {
	for _, o := range []Options{{Root: "a..b"}, {TagKeys: []string{"."}}, {FieldKeys: []string{"a."}}, {SeriesKey: ".a"}, {TimeKey: "a..b"}} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), "a key is empty") {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte, root, key, form string) {
		for _, o := range []Options{{Series: "s"}, {Root: root, SeriesKey: key, TimeKey: "t", TimeForm: form, TagKeys: []string{key}}} {
			d, err := New(o)
			if err != nil {
				continue
			}
			var b, again telemetry.Batch
			r := d.Decode(&b, text, noon)
			if b.Len() != r.Points || b.Drops().Total() > 0 {
				t.Fatalf("%d points, %v, drops %v", b.Len(), r, b.Drops())
			}
			if (r.First == nil) != (r.Total() == 0) {
				t.Fatalf("%v", r)
			}
			if err := again.DecodeMsgPack(b.AppendMsgPack(nil)); b.Len() > 0 && b.Len() < 1000 && err != nil {
				t.Fatalf("what it makes is no batch: %v", err)
			}
		}
	})
}
