package nagios

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// at is the time of all points here.
var at = time.Unix(1_700_000_000, 0)

// linesOf returns the points of b as line protocol, sorted, without their time.
func linesOf(t *testing.T, b *telemetry.Batch) []string {
	t.Helper()
	text := string(b.AppendLines(nil))
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, " 1700000000000000000\n", "\n")), "\n")
	slices.Sort(lines)
	return lines
}

func TestAppendTo(t *testing.T) {
	f := func(r Run, o Options, want ...string) {
		t.Helper()
		var b telemetry.Batch
		b.At(at)
		Parse(r, o).AppendTo(&b, "web", o, telemetry.Fields{"attempt": 1})
		if got := linesOf(t, &b); !slices.Equal(got, want) {
			t.Errorf("%+v:\n%s\nwant\n%s", r, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	f(Run{Stdout: "fine", Took: 1500 * time.Microsecond}, Options{},
		`check_state,check=web attempt=1i,duration_ms=1.5,exit_code=0i,perf_errors=0i,state=0i,text="fine",timed_out=false,truncated=false`)
	f(Run{Stdout: "bad\nlong|x=y", Stderr: "oh", Code: 9, Truncated: true}, Options{},
		`check_state,check=web attempt=1i,duration_ms=0,exit_code=9i,long_text="long",perf_errors=1i,reason="exit_code",state=3i,stderr="oh",text="bad",timed_out=false,truncated=true`)
	f(Run{Code: -1, Reason: TimedOut}, Options{TimedOut: new(Critical)},
		`check_state,check=web attempt=1i,duration_ms=0,perf_errors=0i,reason="timed_out",state=2i,text="",timed_out=true,truncated=false`)
	const state = `check_state,check=web attempt=1i,duration_ms=0,exit_code=0i,perf_errors=0i,state=0i,text="",timed_out=false,truncated=false`
	f(Run{Stdout: "|a=3;10:20;@~:5;0;100 b=U;5 'c d'=7c e=2ms"}, Options{}, state,
		`nagios_perf,check=web,label=a crit_high=5,crit_inside=true,max=100,min=0,value=3,warn_high=20,warn_inside=false,warn_low=10`,
		`nagios_perf,check=web,label=b warn_high=5,warn_inside=false,warn_low=0`,
		`nagios_perf,check=web,label=c\ d,unit=c counter=true,value=7`,
		`nagios_perf,check=web,label=e,unit=ms value=2`)
	f(Run{Stdout: "|a=U b=2kB c=3% d=1ms"}, Options{Kilo: 1024}, state,
		`nagios_perf,check=web,label=b,unit=kB base_value=2048,value=2`,
		`nagios_perf,check=web,label=c,unit=% value=3`,
		`nagios_perf,check=web,label=d,unit=ms base_value=0.001,value=1`)
}

func TestDecode(t *testing.T) {
	var b telemetry.Batch
	r := Decode(&b, []byte("fine|a=1 b=x u=U c=2s\n"), at, Options{})
	want := []string{"nagios_perf,label=a value=1", "nagios_perf,label=c,unit=s value=2"}
	if got := linesOf(t, &b); !slices.Equal(got, want) || r.Points != 2 || r.Total() != 1 || r.Bad[FaultBadValue] != 1 || r.First == nil {
		t.Errorf("%q, %+v", got, r)
	}
}

// What is not UTF-8, and what is no number any more in base units, harms nothing but itself.
func TestOddPoints(t *testing.T) {
	var b telemetry.Batch
	r := Decode(&b, []byte("\xff\xfe|a\xff=1 b=1e308EB\n"), at, Options{Kilo: 1000})
	want := []string{"nagios_perf,label=a\uFFFD value=1", "nagios_perf,label=b,unit=EB value=1e+308"}
	if got := linesOf(t, &b); !slices.Equal(got, want) || r.Points != 2 {
		t.Errorf("%q, %+v", got, r)
	}
}

func BenchmarkParse(b *testing.B) {
	r := Run{Stdout: "OK - 127.0.0.1: rta 0.024ms, lost 0%|rta=0.024ms;100.000;500.000;0; pl=0%;20;60;; rtmax=0.052ms;;;; rtmin=0.009ms;;;; \n"}
	b.SetBytes(int64(len(r.Stdout)))
	b.ReportAllocs()
	for b.Loop() {
		Parse(r, Options{})
	}
}
