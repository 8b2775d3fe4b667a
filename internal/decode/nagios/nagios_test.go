package nagios

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// A sample is the output of a check and what it means; testdata/samples/README.md has its form.
type sample struct {
	Stdout, Stderr string
	ExitCode       int `json:"exit_code"`
	Expect         struct {
		State, Reason, Text string
		LongText            string     `json:"long_text"`
		NoOutput            bool       `json:"no_output"`
		TextFrom            string     `json:"text_from"`
		Perf                []perfItem `json:"perfdata"`
		Faults              []struct {
			Error string
		} `json:"perfdata_errors"`
	}
}

// A perfItem is an item as samples have it.
type perfItem struct {
	Label      string
	Value      *float64
	Unit       string
	Counter    bool
	BaseValue  *float64 `json:"base_value"`
	BaseUnit   string   `json:"base_unit"`
	Warn, Crit *Range
	Min, Max   *float64
}

func read(stdout, stderr string, code int) Check {
	return Parse(Run{Stdout: stdout, Stderr: stderr, Code: code}, Options{})
}

func readSamples(t testing.TB) map[string]sample {
	t.Helper()
	files, err := filepath.Glob("testdata/samples/*.json")
	if err != nil || len(files) < 45 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	all := map[string]sample{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s sample
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[strings.TrimSuffix(filepath.Base(file), ".json")] = s
	}
	return all
}

// What common checks print, and what is made by hand to show one rule each, is read as it is meant.
func TestSamples(t *testing.T) {
	for name, s := range readSamples(t) {
		t.Run(name, func(t *testing.T) {
			c, want := read(s.Stdout, s.Stderr, s.ExitCode), s.Expect
			if c.State.String() != want.State || c.Reason != want.Reason || c.Text != want.Text || c.LongText != want.LongText {
				t.Errorf("%v %q %q %q, want %+v", c.State, c.Reason, c.Text, c.LongText, want)
			}
			if c.Silent() != want.NoOutput || c.Silent() && c.Text != "" && want.TextFrom != "stderr" {
				t.Errorf("no output: %v, want %v", c.Silent(), want.NoOutput)
			}
			if len(c.Perf) != len(want.Perf) {
				t.Fatalf("%d items, want %d: %+v", len(c.Perf), len(want.Perf), c.Perf)
			}
			for i, w := range want.Perf {
				if got := asSample(c.Perf[i]); !got.equals(w) {
					t.Errorf("%s, want %+v", itemText(c.Perf[i]), w)
				}
			}
			if len(c.Faults) != len(want.Faults) {
				t.Fatalf("faults %v, want %v", c.Faults, want.Faults)
			}
			for i, f := range want.Faults {
				if c.Faults[i].Code != f.Error {
					t.Errorf("fault %v, want %v", c.Faults[i], f)
				}
			}
		})
	}
}

func asSample(i Item) perfItem {
	s := perfItem{Label: i.Label, Unit: i.Unit, Counter: i.Counter(), Warn: i.Warn, Crit: i.Crit, Min: i.Min, Max: i.Max}
	if i.Unknown {
		return s
	}
	s.Value = &i.Value
	if base, factor := Base(i.Unit, 1000); factor != 1 {
		s.BaseUnit, s.BaseValue = base, new(i.Value*factor)
	}
	return s
}

// equals reports whether p is the same as another: its base value nearly, since that is computed.
func (p perfItem) equals(other perfItem) bool {
	if p.BaseValue != nil && other.BaseValue != nil && math.Abs(*p.BaseValue-*other.BaseValue) <= 1e-9*math.Abs(*other.BaseValue) {
		p.BaseValue = other.BaseValue
	}
	return reflect.DeepEqual(p, other)
}

func TestState(t *testing.T) {
	f := func(code int, want State, reason string) {
		t.Helper()
		if c := read("OK: all is well", "", code); c.State != want || c.Reason != reason {
			t.Errorf("exit code %d: %v %q, want %v %q", code, c.State, c.Reason, want, reason)
		}
	}
	f(0, OK, "")
	f(1, Warning, "")
	f(2, Critical, "")
	f(3, Unknown, "")
	f(4, Unknown, ExitCode)
	f(-1, Unknown, ExitCode)
	f(126, Unknown, NotExecutable)
	f(127, Unknown, NotFound)
}

func TestStateNames(t *testing.T) {
	f := func(name string, want State, ok bool) {
		t.Helper()
		if got, is := ParseState(name); got != want || is != ok {
			t.Errorf("%q is %v, %v", name, got, is)
		}
	}
	f("OK", OK, true)
	f("critical", Critical, true)
	f("UNKNOWN", Unknown, true)
	f("", Unknown, false)
	if got := State(7).String(); got != "UNKNOWN" {
		t.Errorf("a state that there is not is %s", got)
	}
}

func TestText(t *testing.T) {
	f := func(stdout, text, long string, items int) {
		t.Helper()
		c := read(stdout, "not this", 0)
		if c.Text != text || c.LongText != long || len(c.Perf) != items || len(c.Faults) > 0 {
			t.Errorf("%q: %q %q %v %v", stdout, c.Text, c.LongText, c.Perf, c.Faults)
		}
	}
	f("fine", "fine", "", 0)
	f("  fine | a=1 \r\n", "fine", "", 1)
	f("fine\r\nmore \r\n  indented\r\n\r\n\n", "fine", "more \n  indented", 0)
	f("fine|a=1\nmore|b=2\nc=3 d=4\n\ne=5\n", "fine", "more", 5)
	f("fine\n|b=2", "fine", "", 1)
	f("|a=1", "", "", 1)
	f("\nmore", "", "more", 0)
	f("not this", "not this", "", 0)
}

func TestNoOutput(t *testing.T) {
	f := func(stdout, stderr string, code int, text, reason string) {
		t.Helper()
		if c := read(stdout, stderr, code); c.Text != text || c.Reason != reason || !c.Silent() {
			t.Errorf("%q, %q: %+v", stdout, stderr, c)
		}
	}
	f("", "", 0, "", NoOutput)
	f(" \r\n\n\t", "\n \n  broken at line 3 \nmore\n", 2, "broken at line 3", NoOutput)
	f("", "sh: nothing: not found", 127, "sh: nothing: not found", NotFound)
}

func TestOptions(t *testing.T) {
	f := func(r Run, o Options, want State, reason string) {
		t.Helper()
		if c := Parse(r, o); c.State != want || c.Reason != reason {
			t.Errorf("%+v with %+v: %v %q, want %v %q", r, o, c.State, c.Reason, want, reason)
		}
	}
	o := Options{NoOutput: new(Unknown), TimedOut: new(Critical)}
	f(Run{Code: 2}, Options{}, Critical, NoOutput)
	f(Run{Code: 2}, o, Unknown, NoOutput)
	f(Run{Code: 0, Stdout: " "}, o, Unknown, NoOutput)
	f(Run{Code: 2, Stdout: "x"}, o, Critical, "")
	f(Run{Code: -1, Reason: TimedOut}, Options{}, Unknown, TimedOut)
	f(Run{Code: -1, Reason: TimedOut, Stdout: "x"}, o, Critical, TimedOut)
	f(Run{Code: 0, Reason: TimedOut, Stdout: "x"}, Options{}, Unknown, TimedOut)
	f(Run{Code: -1, Reason: "signal"}, o, Unknown, "signal")
}

// Of items that are not whole none is made.
func TestMend(t *testing.T) {
	f := func(before, after, want string) {
		t.Helper()
		if got := Mend(before+after, len(before)); got != want {
			t.Errorf("%q and %q: %q, want %q", before, after, got, want)
		}
	}
	f("fine|a=1 b=12", "34;5 c=3\n", "fine|a=1   c=3\n")
	f("fine|a=1 ", " c=3", "fine|a=1   c=3")
	f("fine|a=1\n", "c=3", "fine|a=1\n c=3")
	f("a=12", "34", " 34")
	f("", "", " ")
	long := strings.Repeat("x", 2000)
	f("fine\n"+long, long+"\nmore", "fine\n"+long+" "+long+"\nmore")
}

func TestPerf(t *testing.T) {
	f := func(text, want string, faults ...string) {
		t.Helper()
		items, found, _ := ParsePerf(text)
		var got, codes []string
		for _, i := range items {
			got = append(got, itemText(i))
		}
		for _, f := range found {
			codes = append(codes, f.Code)
		}
		if strings.Join(got, " ") != want || strings.Join(codes, " ") != strings.Join(faults, " ") {
			t.Errorf("%q: %q %v, want %q %v", text, got, found, want, faults)
		}
	}
	f("", "")
	f("  \t ", "")
	f("a=1", "[a]=1")
	f("a=-1.5e3ms;;;-5;+5", "[a]=-1500ms min-5 max5")
	f("a=1EB b=1e2EB c=.5 d=5. e=+3", "[a]=1EB [b]=100EB [c]=0.5 [d]=5 [e]=3")
	f("a = 5 b=  U;1 c= 0,5s", "[a]=5 [b]=U warn0..1 [c]=0.5s")
	f("a= b=2", "[b]=2", FaultBadValue)
	f("a= Used=2", "[Used]=2", FaultBadValue)
	f("a=x;1;2 b=2", "[b]=2", FaultBadValue)
	f("a=1.2.3 b=1,234,567 c=1,234.5 d=2", "[d]=2", FaultBadValue, FaultBadValue, FaultBadValue)
	f("a=1e999 b=nan c=inf d=- e=. f=2", "[f]=2", FaultBadValue, FaultBadValue, FaultBadValue, FaultBadValue, FaultBadValue)
	f("a=1;2;3;4;5;6;7 b=2", "[a]=1 warn0..2 crit0..3 min4 max5 [b]=2")
	f("a=1;x;5:3;y;9%", "[a]=1", FaultBadRange, FaultBadRange, FaultBadLimit, FaultBadLimit)
	f("'a b'=1 'it''s'=2 'x=y' =3 ''''=4", "[a b]=1 [it's]=2 [x=y]=3 [']=4")
	f("'a' b c=1 d=2", "[c]=1 [d]=2", FaultNoEquals)
	f("'a'x c=1", "[c]=1", FaultNoEquals)
	f("a=1 'b", "[a]=1", FaultQuote)
	f("a=1 'b''=2 c=3", "[a]=1", FaultQuote)
	f("a=1 nothing", "[a]=1", FaultNoEquals)
	f("=1 ''=2 c=3", "[c]=3", FaultNoLabel, FaultNoLabel)
	f("b | c|x=1", "[x]=1", FaultBarInLabel)
	f("a=1|b=2 c=3||d=4", "[a]=1 [b]=2 [c]=3 [d]=4", FaultBarInValue, FaultBarInValue, FaultBarInLabel)
	f("a==1 b=2", "[b]=2", FaultBadValue)
	f("größe=3µm", "[größe]=3µm")
}

// itemText says an item in short.
func itemText(i Item) string {
	var b strings.Builder
	b.WriteString("[" + i.Label + "]=")
	if i.Unknown {
		b.WriteString("U")
	} else {
		b.WriteString(numberText(i.Value) + i.Unit)
	}
	for _, part := range []struct {
		name string
		r    *Range
	}{{" warn", i.Warn}, {" crit", i.Crit}} {
		if part.r != nil {
			b.WriteString(part.name + rangeText(*part.r))
		}
	}
	if i.Min != nil {
		b.WriteString(" min" + numberText(*i.Min))
	}
	if i.Max != nil {
		b.WriteString(" max" + numberText(*i.Max))
	}
	return b.String()
}

func numberText(n float64) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func rangeText(r Range) string {
	text := ".."
	if r.Low != nil {
		text = numberText(*r.Low) + text
	}
	if r.High != nil {
		text += numberText(*r.High)
	}
	if r.Inside {
		text = "@" + text
	}
	return text
}

func TestRange(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		r, ok := parseRange(text)
		if got := rangeText(r); !ok || got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, ok, want)
		}
	}
	f("10", "0..10")
	f("10:", "10..")
	f(":10", "0..10")
	f(":", "0..")
	f("~:10", "..10")
	f("~:", "..")
	f("-5:-2", "-5..-2")
	f("@10:20", "@10..20")
	f("@10", "@0..10")
	f("3:3", "3..3")
	f("0,5:1,5", "0.5..1.5")
	bad := func(text string) {
		t.Helper()
		if r, ok := parseRange(text); ok {
			t.Errorf("%q is %s", text, rangeText(r))
		}
	}
	bad("")
	bad("@")
	bad("~")
	bad("-5")
	bad("20:10")
	bad("10:~")
	bad("10%")
	bad("1:2:3")
	bad("1 2")
	bad("@@1")
	bad("1e999")
}

func TestBase(t *testing.T) {
	f := func(unit string, kilo int, want string, factor float64) {
		t.Helper()
		if base, by := Base(unit, kilo); base != want || math.Abs(by-factor) > 1e-9*factor {
			t.Errorf("%s is %v %s, want %v %s", unit, by, base, factor, want)
		}
	}
	f("", 1000, "", 1)
	f("s", 1000, "s", 1)
	f("ns", 1000, "s", 1e-9)
	f("m", 1000, "s", 60)
	f("d", 1000, "s", 86400)
	f("B", 1000, "B", 1)
	f("kB", 1000, "B", 1e3)
	f("KB", 1024, "B", 1024)
	f("MB", 1024, "B", 1<<20)
	f("Mb", 1000, "b", 1e6)
	f("EB", 1000, "B", 1e18)
	f("KiB", 1000, "B", 1024)
	f("GiB", 1000, "B", 1<<30)
	for _, same := range []string{"%", "c", "b/s", "rpm", "mB", "K", "i", "iB", "BB", "MBB", "KKB", "KMB", "KiiB", "packets", "MB/s", "µs"} {
		f(same, 1024, same, 1)
	}
}

// However bad the items are, few of the faults are listed, and all are counted.
func TestFaultsAreBounded(t *testing.T) {
	_, faults, bad := ParsePerf(strings.Repeat("a=x b=1;x ", 10_000))
	if len(faults) != maxFaults || len(bad) != 2 || bad[FaultBadValue] != 10_000 || bad[FaultBadRange] != 10_000 {
		t.Errorf("%d faults, %v", len(faults), bad)
	}
	_, faults, _ = ParsePerf(strings.Repeat("ü", 10_000))
	if len(faults) != 1 || len(faults[0].Text) > maxFaultText {
		t.Errorf("%v", faults)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range readSamples(f) {
		f.Add(s.Stdout, s.Stderr, s.ExitCode)
	}
	f.Fuzz(func(t *testing.T, stdout, stderr string, code int) {
		c := read(stdout, stderr, code)
		if c.State < OK || c.State > Unknown || strings.Contains(c.Text, "|") && !c.Silent() || strings.Contains(c.Text, "\n") {
			t.Errorf("%+v", c)
		}
		if len(c.Perf) > strings.Count(stdout, "=") {
			t.Errorf("%d items of %d equals signs", len(c.Perf), strings.Count(stdout, "="))
		}
		for _, i := range c.Perf {
			checkItem(t, i)
		}
	})
}

func checkItem(t *testing.T, i Item) {
	t.Helper()
	if i.Label == "" || math.IsNaN(i.Value) || math.IsInf(i.Value, 0) || strings.ContainsAny(i.Unit, "|;"+blanks) {
		t.Errorf("%+v", i)
	}
	for _, r := range []*Range{i.Warn, i.Crit} {
		if r != nil && r.Low != nil && r.High != nil && *r.Low > *r.High {
			t.Errorf("%+v: %s", i, rangeText(*r))
		}
	}
}
