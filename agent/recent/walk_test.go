package recent

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pacewire/pacewire/telemetry"
)

// many is a Store of hosts with so many series each.
func many(hosts, series int) *Store {
	s := newStore(Limits{Series: hosts * series})
	for host := range hosts {
		b := new(telemetry.Batch)
		for i := range series {
			b.Add("disk", telemetry.Fields{"used": 1.0}, telemetry.Tags{"path": fmt.Sprintf("/srv/%d", i)})
		}
		s.Add(b, fmt.Sprint("h", host), "host", noon)
	}
	return s
}

// TestReadersLookAtFew counts what readers look at: what they give, and not the whole Store.
func TestReadersLookAtFew(t *testing.T) {
	s := many(50, 200)
	all, _, _ := s.Latest(Query{}, noon, "", 5000)
	half, _ := placeOf(all[len(all)-1].ID)
	f := func(what string, q Query, from place, limit, most int) {
		t.Helper()
		got := 0
		looked := s.walk(q, s.instant(noon), from, func(*set, *field) bool { got++; return got < limit })
		if looked > most || got == 0 {
			t.Errorf("%s: %d looked at for %d, want %d at most", what, looked, got, most)
		}
	}
	f("the first", Query{}, place{}, 5, 10)
	f("behind a place", Query{}, half, 5, 12)
	f("a host", Query{Host: "h7"}, place{}, 1000, 400)
	f("a host behind a place", Query{Host: "h7"}, half, 1000, 400)
	f("a series of a plugin", Query{Host: "h7", Plugin: "host", Series: "disk"}, place{}, 1000, 400)
	f("a field of all", Query{Field: "used"}, place{}, 5, 10)
}

// TestReadersLetGo looks whether no more than a chunk is looked at before Add may go on.
func TestReadersLetGo(t *testing.T) {
	s := many(20, 200)
	s.limits.Series = 1 << 20
	const wide = chunk + 100 // fields, of one set
	for i := range wide {
		b := new(telemetry.Batch)
		b.Add("wide", telemetry.Fields{fmt.Sprint("f", i): i}, nil)
		s.Add(b, "h5", "host", noon)
	}
	f := func(q Query, want int) {
		t.Helper()
		got, steps := 0, 0
		w := walk{query: q, prefix: q.prefix(), oldest: s.instant(noon).mono - Span, see: func(*set, *field) bool { got++; return true }}
		for s.step(&w) {
			if steps++; w.looked > chunk+1 || steps > 100 {
				t.Fatalf("%+v: %d looked at in one of %d steps", q, w.looked, steps)
			}
		}
		if got != want {
			t.Errorf("%+v: %d fields, want %d", q, got, want)
		}
	}
	f(Query{}, 20*200+wide)
	f(Query{Series: "wide"}, wide)
	f(Query{Series: "none"}, 0)
	f(Query{Field: "f77"}, 1)
}

// TestReadersAndWriters reads while series come and go.
func TestReadersAndWriters(t *testing.T) {
	s := many(10, 100)
	var all sync.WaitGroup
	all.Go(func() {
		for i := range 300 {
			b := new(telemetry.Batch)
			b.Add("new", telemetry.Fields{fmt.Sprint("f", i%7): i, "text": fmt.Sprint(i)}, telemetry.Tags{"n": fmt.Sprint(i)})
			s.Add(b, fmt.Sprint("h", i%10), "p", noon.Add(time.Duration(i)*time.Second))
		}
	})
	for range 2 {
		all.Go(func() {
			for range 30 {
				values, _, _ := s.Latest(Query{}, noon, "", 5000)
				known := 0
				for _, v := range values {
					if v.Series == "disk" {
						known++
					}
				}
				if known != 1000 || !slices.IsSortedFunc(values, byOrder) {
					t.Errorf("%d of 1000 in order %v", known, slices.IsSortedFunc(values, byOrder))
				}
				s.History(Query{Host: "h3"}, noon, noon, 50)
				s.Catalog(Query{}, noon)
			}
		})
	}
	all.Wait()
}

func byOrder(a, b Value) int {
	for _, c := range []int{strings.Compare(a.Host, b.Host), strings.Compare(a.Plugin, b.Plugin), strings.Compare(a.Series, b.Series)} {
		if c != 0 {
			return c
		}
	}
	return 0
}

// TestPagesHaveAll compares pages with a list of all, whatever the names are and what goes between two pages.
func TestPagesHaveAll(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newStore(Limits{})
		name := rapid.StringOfN(rapid.SampledFrom([]rune("ab\x00\x01\xffé/")), 1, 3, -1)
		n := rapid.IntRange(1, 40).Draw(rt, "n")
		for range n {
			b := new(telemetry.Batch)
			b.Add(name.Draw(rt, "series"), telemetry.Fields{name.Draw(rt, "field"): 1, "x": true}, telemetry.Tags{"t": name.Draw(rt, "tag")})
			s.Add(b, name.Draw(rt, "host"), name.Draw(rt, "plugin"), noon)
		}
		all, more, _ := s.Latest(Query{}, noon, "", 1000)
		if more || len(all) != s.Stats().Series || !slices.IsSortedFunc(all, byOrder) {
			rt.Fatalf("%d of %d, more %v", len(all), s.Stats().Series, more)
		}
		limit := rapid.IntRange(1, 7).Draw(rt, "limit")
		var got []string
		after := ""
		for more = true; more; {
			page, goesOn, ok := s.Latest(Query{}, noon, after, limit)
			if !ok || len(page) > limit {
				rt.Fatalf("page behind %q: %d, %v", after, len(page), ok)
			}
			for _, v := range page {
				got, after = append(got, v.ID), v.ID
			}
			more = goesOn
		}
		for i, v := range all {
			if i >= len(got) || got[i] != v.ID {
				rt.Fatalf("page by page %d of %d, other from %d on", len(got), len(all), i)
			}
		}
		one := all[rapid.IntRange(0, len(all)-1).Draw(rt, "one")]
		of, _, _ := s.Latest(Query{Host: one.Host, Series: one.Series, Tags: one.Tags}, noon, "", 1000)
		want := 0
		for _, v := range all {
			if v.Host == one.Host && v.Series == one.Series && v.Tags["t"] == one.Tags["t"] {
				want++
			}
		}
		if len(of) != want {
			rt.Fatalf("%d of %q, want %d", len(of), one.Host, want)
		}
	})
}

// TestPlaceOutlivesItsValue goes on behind a value that is gone.
func TestPlaceOutlivesItsValue(t *testing.T) {
	s := newStore(Limits{})
	s.Add(cpu(noon, 1, 2, 3), "h1", "host", noon)
	page, _, _ := s.Latest(Query{}, noon, "", 2)
	b := new(telemetry.Batch)
	b.Add("cpu", telemetry.Fields{"usage": 3.0}, telemetry.Tags{"core": "2"})
	s.Add(b, "h1", "host", noon.Add(Span))
	rest, more, ok := s.Latest(Query{}, noon.Add(Span), page[1].ID, 2)
	if len(rest) != 1 || rest[0].Value != 3.0 || more || !ok {
		t.Errorf("%+v, %v, %v", rest, more, ok)
	}
}
