package recent

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

// noon is when the tests begin: the start of a slot.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newStore returns a Store whose first slot begins at noon.
func newStore(l Limits) *Store {
	s := New(l)
	s.begun = noon
	return s
}

// cpu returns a batch of one point per core.
func cpu(at time.Time, usage ...float64) *telemetry.Batch {
	b := new(telemetry.Batch)
	b.At(at)
	for core, v := range usage {
		b.Add("cpu", telemetry.Fields{"usage": v}, telemetry.Tags{"core": fmt.Sprint(core)})
	}
	return b
}

func TestLatest(t *testing.T) {
	s := newStore(Limits{})
	b := cpu(noon, 1, 2)
	b.Add("cpu", telemetry.Fields{"usage": 3.0, "temp": 50}, telemetry.Tags{"core": "1", "host": "h1"})
	b.Add("os", telemetry.Fields{"name": "Debian", "ok": true}, nil)
	s.Add(b, "h1", "host", noon.Add(time.Second))
	s.Add(cpu(noon, 9), "h2", "host", noon.Add(time.Second))

	f := func(q Query, want string) {
		t.Helper()
		values, more, ok := s.Latest(q, noon.Add(3*time.Second), "", 100)
		got := ""
		for _, v := range values {
			got += fmt.Sprintf("%s/%s %s%v %s=%v ", v.Host, v.Plugin, v.Series, v.Tags["core"], v.Field, v.Value)
			if v.AgeMS != 2000 || v.Time != noon.UnixNano() {
				t.Errorf("%+v: want it to be 2000 ms old", v)
			}
		}
		if strings.TrimSpace(got) != want || more || !ok {
			t.Errorf("Latest(%+v) = %q, %v, %v; want %q", q, got, more, ok, want)
		}
	}
	f(Query{Series: "cpu", Host: "h1"}, "h1/host cpu0 usage=1 h1/host cpu1 temp=50 h1/host cpu1 usage=3")
	f(Query{Tags: map[string]string{"core": "0"}}, "h1/host cpu0 usage=1 h2/host cpu0 usage=9")
	f(Query{Series: "os"}, "h1/host os name=Debian h1/host os ok=true")
	f(Query{Field: "temp"}, "h1/host cpu1 temp=50")
	f(Query{Plugin: "other"}, "")
}

func TestLatestGoesOn(t *testing.T) {
	s := newStore(Limits{})
	s.Add(cpu(noon, 1, 2, 3, 4, 5), "h1", "host", noon)
	got, after := "", ""
	for more := true; more; {
		var values []Value
		var ok bool
		values, more, ok = s.Latest(Query{}, noon, after, 2)
		if !ok || len(values) == 0 || len(values) > 2 {
			t.Fatalf("page behind %q: %v, %v", after, values, ok)
		}
		for _, v := range values {
			got, after = got+fmt.Sprint(v.Value), v.ID
		}
	}
	if got != "12345" {
		t.Errorf("pages gave %s", got)
	}
	f := func(after string) {
		t.Helper()
		if _, _, ok := s.Latest(Query{}, noon, after, 2); ok {
			t.Errorf("%q is taken for an id", after)
		}
	}
	f("gone")
	f("no base64")
	f(place{"", "v"}.id())
	f(place{"a\x00\x01b\x00\x01", "v"}.id())
	f(place{"a\x00\x01b\x00\x01c\x00\x01", ""}.id())
	f(place{"a\x00\x01b\x00\x01c\x00\x01d\x00\x01", "v"}.id())
}

func TestHistory(t *testing.T) {
	s := newStore(Limits{})
	for i := range 400 {
		at := noon.Add(time.Duration(i) * Step)
		s.Add(cpu(at, float64(i)), "h1", "host", at)
	}
	now := noon.Add(399 * Step)
	all, more := s.History(Query{}, now.Add(-2*time.Hour), now, 10)
	if len(all) != 1 || more {
		t.Fatalf("%d series, more %v", len(all), more)
	}
	h := all[0]
	if len(h.Values) != Slots || h.Values[0] != 40 || h.Values[Slots-1] != 399 || !h.From.Equal(noon.Add(40*Step)) {
		t.Errorf("%d values from %v on: %v ... %v", len(h.Values), h.From, h.Values[0], h.Values[len(h.Values)-1])
	}
	if rate, ok := h.Rate(); !ok || rate != 0.1 {
		t.Errorf("rate %v, %v; want 0.1", rate, ok)
	}
	s.Add(cpu(noon.Add(395*Step), 7), "h1", "host", now)
	if all, _ = s.History(Query{}, now.Add(-5*Step), now, 10); len(all[0].Values) != 6 || all[0].Values[1] != 395 || all[0].Values[5] != 7 {
		t.Errorf("a late point is not in the slot of its arrival: %v", all[0].Values)
	}
}

func TestHistoryOfWrongClock(t *testing.T) {
	s := newStore(Limits{})
	f := func(own time.Time) {
		t.Helper()
		s.Add(cpu(own, 5), "h1", "host", noon)
		all, _ := s.History(Query{}, noon, noon, 10)
		if len(all) != 1 || len(all[0].Values) != 1 || all[0].Values[0] != 5 {
			t.Errorf("a point of %v is not in the slot of its arrival: %+v", own, all)
		}
		s = newStore(Limits{})
	}
	f(noon)
	f(noon.Add(time.Hour))
	f(noon.Add(11 * time.Second))
	f(time.Unix(0, 0))
	f(time.Unix(0, math.MaxInt64))
	f(time.Unix(0, math.MinInt64))
}

func TestHistoryHasNoTexts(t *testing.T) {
	s := newStore(Limits{})
	b := new(telemetry.Batch)
	b.Add("os", telemetry.Fields{"name": "Debian", "ok": true}, nil)
	s.Add(b, "h1", "host", noon)
	if all, _ := s.History(Query{}, noon, noon, 10); len(all) != 0 {
		t.Errorf("history of texts: %+v", all)
	}
}

func TestRate(t *testing.T) {
	nan := math.NaN()
	f := func(want float64, ok bool, values ...float64) {
		t.Helper()
		if got, is := (History{Values: values}).Rate(); got != want || is != ok {
			t.Errorf("rate of %v = %v, %v; want %v, %v", values, got, is, want, ok)
		}
	}
	f(0, false)
	f(0, false, 5)
	f(0, false, nan, 5, nan)
	f(1, true, 10, nan, 30)
	f(2, true, 10, 30)
	f(1, true, 500, 0, 10) // it began anew
	f(0, false, 500, 0)
}

func TestLimits(t *testing.T) {
	s := newStore(Limits{Series: 3})
	s.Add(cpu(noon, 1, 2, 3, 4, 5), "h1", "host", noon)
	if got := s.Stats(); got.Series != 3 || got.Refused != 2 {
		t.Errorf("%+v, want 3 series and 2 refused", got)
	}
	s.Add(cpu(noon, 1, 2, 3, 4, 5), "h1", "host", noon.Add(Span))
	if got := s.Stats(); got.Series != 3 || got.Dropped != 3 {
		t.Errorf("%+v, want the first three dropped after an hour", got)
	}

	s = newStore(Limits{Bytes: 20_000})
	for i := range 1000 {
		b := new(telemetry.Batch)
		b.Add("big", telemetry.Fields{"text": strings.Repeat("é", 5000), "n": i}, telemetry.Tags{"n": fmt.Sprint(i), "pad": strings.Repeat("x", 1000)})
		s.Add(b, "h1", "host", noon)
	}
	if got := s.Stats(); got.Bytes > 25_000 || got.Refused == 0 {
		t.Errorf("%+v, want at most some bytes above the limit", got)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	s := newStore(Limits{})
	b := new(telemetry.Batch)
	b.Add("os", telemetry.Fields{"name": "Debian", "ok": true, "n": 5}, telemetry.Tags{"a": "b"})
	s.Add(b, "h1", "host", noon)
	b.Reset()
	b.Add("os", telemetry.Fields{"name": 5, "ok": "now a text", "n": false}, telemetry.Tags{"a": "b"})
	s.Add(b, "h1", "host", noon)
	s.Add(new(telemetry.Batch), "h1", "host", noon.Add(2*Span))
	if got := s.Stats(); got.Series != 0 || got.Bytes != 0 || len(s.sets) != 0 || len(s.order) != 0 {
		t.Errorf("%+v after all are dropped", got)
	}
}

func TestTextsAreCopied(t *testing.T) {
	msg := []byte(`os,a=bb name="Debian"`)
	b := new(telemetry.Batch)
	if err := b.Decode("", "", msg, noon); err != nil {
		t.Fatal(err)
	}
	s := newStore(Limits{})
	s.Add(b, "h1", "host", noon)
	clear(msg)
	values, _, _ := s.Latest(Query{}, noon, "", 1)
	if v := values[0]; v.Value != "Debian" || v.Series != "os" || v.Field != "name" || v.Tags["a"] != "bb" {
		t.Errorf("%+v looks into a message that is gone", v)
	}
}

func TestKeysAreClear(t *testing.T) {
	s := newStore(Limits{})
	s.Add(cpu(noon, 1), "a\x00b", "c", noon)
	s.Add(cpu(noon, 2), "a", "b\x00c", noon)
	s.Add(cpu(noon, 3), strings.Repeat("long", 100), "c", noon)
	if got := s.Stats().Series; got != 3 {
		t.Errorf("%d series, want 3", got)
	}
}

func TestCatalog(t *testing.T) {
	s := newStore(Limits{})
	s.Add(cpu(noon, 1, 2), "h1", "host", noon)
	s.Add(cpu(noon, 1), "h2", "other", noon)
	got := fmt.Sprint(s.Catalog(Query{}, noon))
	if want := "[{cpu map[usage:float] 3 2 [host other]}]"; got != want {
		t.Errorf("catalog %s, want %s", got, want)
	}
}

func TestAddAllocatesNothing(t *testing.T) {
	s := newStore(Limits{})
	b := cpu(noon, 1, 2, 3, 4)
	b.Add("os", telemetry.Fields{"name": "Debian", "ok": true}, nil)
	s.Add(b, "h1", "host", noon)
	if n := testing.AllocsPerRun(100, func() { s.Add(b, "h1", "host", noon) }); n != 0 {
		t.Errorf("%v allocations for series that are known", n)
	}
}
